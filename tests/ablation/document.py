"""The tables of a document: one for each stage, between two marks, in order of the total."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from medcyclegan.errors import InputError
from medcyclegan.files import write_bytes
from tests.ablation.figures import Figures, Worst
from tests.ablation.locks import alone

END = "<!-- end -->"
UNKNOWN = "-"
COLUMNS = (
    "total",
    "variant",
    "seed",
    "steps",
    "parameters (k)",
    "organs",
    "worst organ",
    "gap worst",
    "null",
    "worst null",
    "look-alikes",
    "worst look-alike",
    "dose",
    "lesions",
    "invented",
    "flicker",
    "recipe",
)
WORDS = {"variant", "worst organ", "worst null", "worst look-alike", "lesions"}  # to the left
TOTAL, VARIANT, SEED, RECIPE = (
    COLUMNS.index(name) for name in ("total", "variant", "seed", "recipe")
)

Cells = tuple[str, ...]


class Key(NamedTuple):
    """What tells the rows of one table apart; a changed recipe makes another row."""

    variant: str
    seed: int
    recipe: str


def cells(key: Key, figures: Figures, *, steps: str = UNKNOWN, parameters: str = UNKNOWN) -> Cells:
    """Return a row as its table has it."""
    kept, every = figures.lesions
    return (
        _number(figures.total),
        key.variant,
        str(key.seed),
        steps,
        parameters,
        _number(figures.organs),
        _named(figures.worst_organ),
        _number(figures.gap_worst),
        _number(figures.null),
        _named(figures.worst_null),
        _number(figures.lookalikes),
        _named(figures.worst_lookalike),
        _number(figures.dose),
        f"{kept} of {every}",
        _number(figures.invented),
        _number(figures.flicker),
        key.recipe,
    )


def read_keys(document: Path, stage: str) -> set[Key]:
    """Return the rows that a stage's table has.

    Raises:
        InputError: the document has no such table, or one of other columns.
    """
    return {_key(row) for row in _read(document, stage)[1]}


def add_rows(document: Path, stage: str, rows: Iterable[Cells]) -> None:
    """Put rows into a stage's table, in place of those that are there; all are put in order.

    Raises:
        InputError: the document has no such table, or one of other columns.
    """
    with alone(document.parent):
        before, found, after = _read(document, stage)
        known = {_key(row): row for row in (*found, *rows)}
        table = [
            COLUMNS,
            tuple("---" if name in WORDS else "---:" for name in COLUMNS),
            *sorted(known.values(), key=_order),
        ]
        lines = "".join(f"| {' | '.join(row)} |\n" for row in table)
        write_bytes(document, f"{before}{lines}{after}".encode())


def _read(document: Path, stage: str) -> tuple[str, list[Cells], str]:
    """Return the text before a table, its rows, and the text after it."""
    begin = f"<!-- table: {stage} -->\n"
    before, found, rest = document.read_text("utf-8").partition(begin)
    table, ended, after = rest.partition(END)
    if not (found and ended):
        raise InputError(f"{document}: has no table of {stage!r}; add {begin.strip()} and {END}")
    rows = [_split(line) for line in table.splitlines() if line.strip()]
    if rows and rows[0] != COLUMNS:
        raise InputError(f"{document}: the table of {stage!r} has other columns; empty it")
    return before + begin, rows[2:], END + after


def _split(line: str) -> Cells:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def _key(row: Cells) -> Key:
    return Key(row[VARIANT], int(row[SEED]), row[RECIPE])


def _order(row: Cells) -> tuple[float, Key]:
    return float("inf") if row[TOTAL] == UNKNOWN else float(row[TOTAL]), _key(row)


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:z.2f}"


def _named(worst: Worst | None) -> str:
    return UNKNOWN if worst is None else f"{worst.name.replace('_', ' ')} {worst.hu:z.1f}"
