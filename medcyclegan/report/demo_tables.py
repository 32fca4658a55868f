"""The demo's tables as text for a terminal, a file or a log."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 100
HU_COLUMNS = ("contrast", "translated", "true twin")


def number(value: float | None, digits: int = 1) -> str:
    """Return a number for people; a dash for None.

    >>> number(-0.04), number(0.4567, 2), number(None)
    ('0.0', '0.46', '-')
    """
    return "-" if value is None else f"{value:z.{digits}f}"


def words(name: str) -> str:
    """Return a key as words.

    >>> words("vena_cava")
    'vena cava'
    """
    return name.replace("_", " ")


def tables_text(result: Mapping[str, Any], *, color: bool = False) -> str:
    """Return organs, tissue that must not move and criteria as text, with the verdict last.

    Args:
        result: what the demo writes to metrics.json.
        color: for a terminal.
    """
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=color, legacy_windows=False)
    console.print("\nMean HU over test patients; gap closed: 1 is the true twin, 0 no change.\n")
    console.print(_organs(result), "", _null_tissues(result), "", sep="\n")
    for criterion in result["criteria"]:
        met = criterion["met"]
        line = (
            f"{criterion['name']}: {number(criterion['value'], 2)} "
            f"(must be {criterion['relation']} {number(criterion['limit'], 2)})"
        )
        console.print(Text(f"{'met    ' if met else 'NOT MET'} {line}", "green" if met else "red"))
        if criterion["note"]:
            console.print(Text(f"        {criterion['note']}"))
    verdict = "accepted" if result["accepted"] else "NOT accepted"
    console.print(Text(verdict, "bold green" if result["accepted"] else "bold red"))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO made above
    return "\n".join(line.rstrip() for line in text.splitlines())


def _organs(result: Mapping[str, Any]) -> Table:
    summary = result["summary"]
    table = _table("organ", *HU_COLUMNS, "gap closed", *map(_stacked, summary["baselines"]))
    for name, row in result["organs"].items():
        hu = [number(row[key]) for key in ("input_hu", "output_hu", "twin_hu")]
        closed = [row, *row["baselines"].values()]
        table.add_row(words(name), *hu, *(number(each["gap_closed"], 2) for each in closed))
    for title in ("worst", "median", "mean"):
        closed = [summary, *summary["baselines"].values()]
        table.add_row(title, "", "", "", *(number(each[title], 2) for each in closed))
    return table


def _null_tissues(result: Mapping[str, Any]) -> Table:
    summary = result["summary"]
    table = _table("must not move", *HU_COLUMNS, "shift", *map(_stacked, summary["baselines"]))
    for name, row in result["null_tissues"].items():
        hu = [number(row[key]) for key in ("input_hu", "output_hu", "twin_hu")]
        shifts = [row, *row["baselines"].values()]
        table.add_row(words(name), *hu, *(number(each["shift_hu"]) for each in shifts))
    for title, key in (("mean without air", "mean_shift_hu"), ("largest", "largest_shift_hu")):
        shifts = [summary, *summary["baselines"].values()]
        table.add_row(title, "", "", "", *(number(each[key]) for each in shifts))
    return table


def _stacked(name: str) -> str:
    return name.replace(" ", "\n")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table
