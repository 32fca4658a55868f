"""The segmentation protocol's tables, as text for a terminal and as Markdown."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from medcyclegan.report.demo_tables import number, words

MEAN = "mean"
DOMAINS = {"out": "out of distribution", "in": "in distribution"}
WIDEST = 400  # columns; lines are never broken

Result = Mapping[str, Any]
Grid = tuple[list[str], list[list[str]]]  # head and rows


def spanned(found: Mapping[str, float | None] | None, digits: int = 3) -> str:
    """Return a figure with its interval.

    >>> spanned({"value": 0.8, "low": 0.75, "high": 0.84}, 2)
    '0.80 (0.75 to 0.84)'
    """
    if found is None or found["value"] is None:
        return "-"
    low, high = number(found["low"], digits), number(found["high"], digits)
    return f"{number(found['value'], digits)} ({low} to {high})"


def p_value(value: float | None) -> str:
    """Return a p value for people.

    >>> p_value(0.04567), p_value(0.0001), p_value(None)
    ('0.046', '<0.001', '-')
    """
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def verdict(found: Mapping[str, Any] | None) -> str:
    """Return what an arm makes of the gap to the oracle, in words."""
    if found is None:
        return ""
    if found["kind"] == "recovery":
        return f"recovers {spanned(found, 2)}"
    met = {True: "not inferior", False: "not shown not to be inferior", None: "-"}
    return met[found["met"]]


def arms_table(result: Result, domain: str) -> Grid:
    """Return each arm's mean Dice and what is said of it, in or out of distribution."""
    head = [
        "arm",
        "Dice",
        "against standard",
        "p (Holm)",
        "gap to the oracle",
        "surface, mm",
        "95 % surface, mm",
        "missed",
    ]
    against = result["against"][domain]["standard"]
    rows = []
    for arm, found in result["arms"].items():
        row = found[domain][MEAN]
        other = against.get(arm)
        rows.append(
            [
                found["title"],
                spanned(row["dice"]),
                spanned(other["rows"][MEAN]) if other else "",
                p_value(other["p_holm"]) if other else "",
                verdict(result["verdicts"][domain].get(arm, {}).get(MEAN)),
                number(row["surface_mm"]["value"], 2),
                number(row["surface95_mm"]["value"]),
                number(100 * row["missed"]) + " %",
            ]
        )
    return head, rows


def organs_table(result: Result, domain: str, measure: str = "dice") -> Grid:
    """Return each arm's figure in each organ."""
    digits = 3 if measure == "dice" else 2
    head = ["arm", *map(words, result["organs"])]
    rows = [
        [
            found["title"],
            *(number(found[domain][organ][measure]["value"], digits) for organ in result["organs"]),
        ]
        for found in result["arms"].values()
    ]
    return head, rows


def references_table(result: Result, domain: str) -> Grid:
    """Return how far each arm's mean Dice lies above that of each reference arm."""
    references = result["against"][domain]
    head = ["arm", *(f"against {result['arms'][name]['title']}" for name in references)]
    rows = []
    for arm, found in result["arms"].items():
        row = [found["title"]]
        for others in references.values():
            other = others.get(arm)
            row.append(
                f"{spanned(other['rows'][MEAN])}, p {p_value(other['p_holm'])}" if other else ""
            )
        rows.append(row)
    return head, rows


def training_table(result: Result) -> Grid:
    """Return how far validation Dice changed with the last doubling of steps, and CPU minutes."""
    change = result["rounds"][-1]["change"]
    head = ["arm", "networks", "change, in", "change, out", "CPU minutes"]
    rows = [
        [
            found["title"],
            str(found["trainings"]),
            number(change.get(arm, {}).get("in"), 4),
            number(change.get(arm, {}).get("out"), 4),
            number(found["cpu_seconds"] / 60),
        ]
        for arm, found in result["arms"].items()
    ]
    return head, rows


def steps_line(result: Result) -> str:
    """Return one sentence on how long was trained, and whether that was enough."""
    steps, tolerance = result["steps"], result["tolerance"]
    if result["settled"]:
        return (
            f"Trained for {steps} steps per domain: the last doubling changed no arm's mean Dice "
            f"on validation patients by more than {tolerance:g}."
        )
    if len(result["rounds"]) < 2:
        return f"Trained for {steps} steps per domain, the most allowed, and never doubled."
    change = result["rounds"][-1]["change"]
    largest = {arm: max(map(abs, found.values())) for arm, found in change.items()}
    over = [
        f"{result['arms'][arm]['title']} {value:.4f}"
        for arm, value in largest.items()
        if value > tolerance
    ]
    return (
        f"Trained for {steps} steps per domain, the most allowed, and NOT settled: the last "
        f"doubling changed the mean Dice on validation patients by more than {tolerance:g} in "
        f"{', '.join(over)}."
    )


def gap_line(result: Result, domain: str) -> str:
    """Return one sentence on the gap from standard augmentation to the oracle."""
    gap = result["gap"][domain][MEAN]
    if gap["value"] is None:
        return f"{DOMAINS[domain]}: no oracle, so that no recovery is said."
    said = (
        "large and sure enough to say which share of it an arm recovers"
        if gap["large_and_sure"]
        else f"not over {result['least_gap']:g} with an interval above 0: no recovery is said, but "
        f"whether an arm loses less than {result['margin']:g} against standard augmentation"
    )
    return f"{DOMAINS[domain]}: from standard augmentation to the oracle {spanned(gap)}; {said}."


def tables_text(result: Result) -> str:
    """Return the protocol's tables for a terminal or a file."""
    console = Console(file=io.StringIO(), width=WIDEST, legacy_windows=False)
    for title, grid in _tables(result):
        console.print(f"\n{title}\n", highlight=False, markup=False)
        if grid is not None:
            console.print(_table(*grid))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO made above
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def tables_markdown(result: Result) -> str:
    """Return the protocol's tables as Markdown."""
    parts = []
    for title, grid in _tables(result):
        parts.append(title)
        if grid is not None:
            head, rows = grid
            lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
            parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _tables(result: Result) -> list[tuple[str, Grid | None]]:
    tables: list[tuple[str, Grid | None]] = []
    for domain, title in DOMAINS.items():
        count = result["patients"][f"test_{domain}"]
        line = f"Mean over organs, {count} test patients {title}, 95 % intervals over patients and "
        tables.append((line + "seeds together.", arms_table(result, domain)))
        tables.append((gap_line(result, domain), None))
        tables.append((f"Dice by organ, {title}.", organs_table(result, domain)))
    tables.append(("How long was trained.", training_table(result)))
    tables.append((steps_line(result), None))
    return tables


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for index, column in enumerate(head):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
