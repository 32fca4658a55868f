"""An evaluation's tables as text for a terminal or a file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

WORST = "gap_closed_worst"
WIDEST = 400  # columns; lines are never broken
LEAST_SHOWN = 0.00005  # what is smaller is shown as 0


def figure(value: float | None) -> str:
    """Return a number with about three digits that count; a dash for None.

    >>> figure(0.8765), figure(0.0019), figure(-1e-5), figure(12.34), figure(1234.5), figure(None)
    ('0.88', '0.0019', '0.00', '12.3', '1234', '-')
    """
    if value is None:
        return "-"
    size = abs(value)
    digits = 4 if LEAST_SHOWN <= size < 0.01 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:z.{digits}f}"


def interval(found: Mapping[str, float | None]) -> str:
    """Return the 95 % interval of a figure; nothing where there is none.

    >>> interval({"value": 0.5, "low": 0.4, "high": 0.6}), interval({"low": None, "high": None})
    ('0.40 to 0.60', '')
    """
    if found["low"] is None:
        return ""
    return f"{figure(found['low'])} to {figure(found['high'])}"


def words(name: str) -> str:
    """Return a key as words.

    >>> words("vena_cava")
    'vena cava'
    """
    return name.replace("_", " ")


def title_of(name: str, metrics: Mapping[str, Any]) -> str:
    """Return what people call a figure of the summary."""
    return "gap closed, worst organ" if name == WORST else str(metrics[name]["title"])


def ideal_of(name: str, metrics: Mapping[str, Any]) -> str:
    """Return what the truth scores in a figure of the summary; "high" where more is better."""
    ideal = metrics["gap_closed" if name == WORST else name]["ideal"]
    return "high" if ideal is None else f"{ideal:g}"


def summary_table(result: Mapping[str, Any]) -> str:
    """Return each method's figures, means over rows that are not set aside, as text.

    Args:
        result: what `evaluate` writes to metrics.json.
    """
    summary, metrics = result["summary"], result["metrics"]
    table = _table("mean over rows", "ideal", *result["methods"])
    for name in dict.fromkeys(name for figures in summary.values() for name in figures):
        figures = [figure(summary.get(method, {}).get(name)) for method in result["methods"]]
        table.add_row(title_of(name, metrics), ideal_of(name, metrics), *figures)
    count = result["patients"]
    lines = [f"{count} patient{'s' if count != 1 else ''}", "", _text(table)]
    if result["not_measured"]:
        lines += ["", "not measured, for want of what is named:"]
        lines += [f"  {name}: {', '.join(needs)}" for name, needs in result["not_measured"].items()]
    for name, needs in result["left_out"].items():
        lines.append(f"left out: {name}, which takes {needs}")
    return "\n".join(lines)


def all_tables(result: Mapping[str, Any]) -> str:
    """Return the summary and every metric's rows with their intervals as text.

    Args:
        result: what `evaluate` writes to metrics.json.
    """
    parts = [summary_table(result)]
    for name, found in result["metrics"].items():
        table = _table("row", "patients", *result["methods"])
        for row, figures in found["rows"].items():
            cells = [figures["methods"][method] for method in result["methods"]]
            shown = [f"{figure(cell['value'])}\n{interval(cell)}".strip() for cell in cells]
            mark = " (aside)" if row in result["aside"] else ""
            table.add_row(words(row) + mark, str(figures["patients"]), *shown)
        parts.append(f"{name}: {found['title']} (ideal: {ideal_of(name, result['metrics'])})")
        parts.append(_text(table))
    return "\n\n".join(parts)


def markdown_table(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the summary as a table in Markdown, a row for each method.

    Args:
        result: what `evaluate` writes to metrics.json.
        names: the figures of the summary that are shown; those that are not there are passed over.
    """
    summary = result["summary"]
    shown = [name for name in names if any(name in figures for figures in summary.values())]
    lines = [
        f"| method | {' | '.join(words(name) for name in shown)} |",
        f"|---|{'---:|' * len(shown)}",
        f"| *ideal* | {' | '.join(ideal_of(name, result['metrics']) for name in shown)} |",
    ]
    for method in result["methods"]:
        figures = (figure(summary.get(method, {}).get(name)) for name in shown)
        lines.append(f"| {words(method)} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        title = column.replace("_", "\n")
        table.add_column(title, justify="right" if index else "left", no_wrap=True)
    return table


def _text(table: Table) -> str:
    console = Console(file=io.StringIO(), width=WIDEST, force_terminal=False)
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO made above
    return "\n".join(line.rstrip() for line in text.splitlines())
