"""Volumes named by the rows of a CSV table."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medcyclegan.config import TableConfig
from medcyclegan.errors import InputError

MOST_BYTES = 1 << 28
SHOWN = 5  # values that a message lists


class NamedVolume(NamedTuple):
    """What one row says.

    Args:
        line: of the table, from 1; a row of several lines counts at its last.
        path: where the volume is.
        patient: what the row calls the patient; empty where no column does.
        series: SeriesInstanceUID; empty where no column says.
    """

    line: int
    path: Path
    patient: str
    series: str


def read_table(table: TableConfig) -> list[NamedVolume]:
    """Return what the rows of a table that are meant name, in the table's order.

    Raises:
        InputError: no such table, no CSV, no such column, no row that is meant, a row of another
            length than the header, an empty cell where a path or patient is due, or a path where
            nothing lies; the message names the table, and the line.
    """
    header, rows = _read(table)
    columns = {
        name: _column(table, header, name)
        for name in (table.column, table.patient, table.series, *table.where)
        if name is not None
    }
    meant = [(line, row) for line, row in rows if _is_meant(table, row, columns)]
    if not meant:
        raise InputError(f"{table.csv}: {_why_none(table, [row for _, row in rows], columns)}")

    def cell(line: int, row: Sequence[str], name: str | None) -> str:
        if name is None:
            return ""
        value = row[columns[name]].strip()
        if not value and name != table.series:
            raise InputError(f"{table.csv}: line {line}: column {name!r} is empty; fill it in")
        return value

    return [
        NamedVolume(
            line,
            _place(table, line, cell(line, row, table.column)),
            cell(line, row, table.patient),
            cell(line, row, table.series),
        )
        for line, row in meant
    ]


def _read(table: TableConfig) -> tuple[list[str], list[tuple[int, list[str]]]]:
    path = Path(table.csv)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{table.csv}: is larger than {MOST_BYTES >> 20} MiB; no table of volumes"
            )
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{table.csv}: cannot be read ({reason}); correct the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table.csv}: is not UTF-8 text; save it as such") from error
    except csv.Error as error:
        raise InputError(f"{table.csv}: is no CSV ({error}); save it anew") from error
    if not header:
        raise InputError(f"{table.csv}: is empty; its first line must name the columns")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{table.csv}: line {line}: has {len(row)} cells, the header {len(header)}; "
                "correct it (a path with a comma needs quotes)"
            )
    return header, rows


def _column(table: TableConfig, header: list[str], name: str) -> int:
    if header.count(name) == 1:
        return header.index(name)
    if name in header:
        raise InputError(f"{table.csv}: has {header.count(name)} columns {name!r}; rename one")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise InputError(f"{table.csv}: is not separated by commas; save it so")
    more = ", ..." if len(header) > SHOWN else ""
    known = f"; it has {', '.join(map(repr, header[:SHOWN]))}{more}"
    raise InputError(f"{table.csv}: has no column {name!r}{_nearest(name, header) or known}")


def _is_meant(table: TableConfig, row: Sequence[str], columns: dict[str, int]) -> bool:
    return all(
        any(_says(row[columns[name]], one) for one in _listed(wanted))
        for name, wanted in table.where.items()
    )


def _why_none(table: TableConfig, rows: list[list[str]], columns: dict[str, int]) -> str:
    if not rows:
        return "has no row below its header"
    for name, wanted in table.where.items():
        found = sorted({row[columns[name]].strip() for row in rows})
        if not any(_says(value, one) for value in found for one in _listed(wanted)):
            shown = ", ".join(map(repr, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
            meant = _nearest(_listed(wanted)[0], found)
            return f"no row has {' or '.join(_listed(wanted))} in {name!r}{meant}; there: {shown}"
    return f"no row has all that {', '.join(table.where)} must say"


def _says(cell: str, wanted: str) -> bool:
    if cell.strip().casefold() == wanted.strip().casefold():
        return True
    try:
        return float(cell) == float(wanted)
    except ValueError:
        return False


def _listed(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted


def _place(table: TableConfig, line: int, typed: str) -> Path:
    folders = [Path(table.csv).parent, Path()] if table.folder is None else [Path(table.folder)]
    places = [folder / typed for folder in folders]
    for place in places:
        if "\0" not in typed and place.exists():
            return place
    where = " or ".join(dict.fromkeys(str(folder) for folder in folders))
    raise InputError(
        f"{table.csv}: line {line}: {typed!r}: no such file or folder below {where}; "
        "correct the path, or say folder: in the config"
    )


def _nearest(typed: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(typed, known, 1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
