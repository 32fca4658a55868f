"""One row about every volume in a folder: what it is, and whether it can be used."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from medcyclegan.errors import VolumeError
from medcyclegan.io import Source, find_volumes, own_name, read_source


@dataclass(frozen=True)
class ScanRow:
    """What a scan says about one volume.

    Args:
        path: below the scanned folder.
        format: "nifti", "dicom", "mha" or "nrrd"; empty where it could not be told.
        shape: voxels along I, J and K; empty if refused.
        spacing_mm: along I, J and K; empty if refused.
        orientation: where I, J and K point, for example "LPS".
        hu_min: lowest voxel, HU.
        hu_max: highest voxel, HU.
        phase_tags: header fields that speak of contrast; tags are evidence, not truth.
        problems: why it is refused, or what is odd about it; one line each.
        accepted: whether it can be used.
    """

    path: str
    format: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    orientation: str
    hu_min: float | None
    hu_max: float | None
    phase_tags: str
    problems: tuple[str, ...]
    accepted: bool


class Scan(NamedTuple):
    """What a scan came upon.

    Args:
        rows: one for each volume, in order of path.
        skipped: what does not claim to be a CT volume, one line each, with its path as typed.
    """

    rows: list[ScanRow]
    skipped: list[str]


def scan(folder: Path) -> Scan:
    """Return a row for each volume in a file or folder tree, and what was passed over.

    Every volume is read, since its HU range is in its voxels.

    Raises:
        InputError: there is no such folder, or nothing in it claims to be a CT volume.
    """
    found = find_volumes(folder)
    rows = [_row(source, folder) for source in found.sources]
    rows += [_refused(path, "", reason, folder) for path, reason in found.refused]
    skipped = [f"{path}: skipped, {reason}" for path, reason in found.skipped]
    return Scan(sorted(rows, key=lambda row: row.path), skipped)


def rows_to_json(rows: Sequence[ScanRow]) -> str:
    """Return rows as a JSON array, one object for each volume."""
    objects = [asdict(row) for row in rows]
    return json.dumps(objects, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def rows_to_csv(rows: Sequence[ScanRow]) -> str:
    """Return rows as CSV with a header; shape and spacing as 512x512x20, problems by semicolon."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(field.name for field in fields(ScanRow))
    for row in rows:
        cells = asdict(row)
        cells["shape"] = "x".join(str(size) for size in row.shape)
        cells["spacing_mm"] = "x".join(f"{length:g}" for length in row.spacing_mm)
        cells["problems"] = "; ".join(row.problems)
        writer.writerow(cells.values())
    return table.getvalue()


def _row(source: Source, folder: Path) -> ScanRow:
    try:
        volume = read_source(source)
    except VolumeError as error:
        reason = str(error).removeprefix(f"{source.path}: ")
        return _refused(source.path, source.format, reason, folder)
    tags = volume.provenance.tags
    return ScanRow(
        path=_below(source.path, folder),
        format=source.format,
        shape=volume.array.shape,
        spacing_mm=tuple(round(length, 4) for length in volume.spacing_mm),
        orientation=volume.orientation,
        hu_min=volume.array.min().item(),
        hu_max=volume.array.max().item(),
        phase_tags="; ".join(f"{name}: {value}" for name, value in tags.items()),
        problems=volume.provenance.warnings,
        accepted=True,
    )


def _refused(path: Path, format_: str, reason: str, folder: Path) -> ScanRow:
    return ScanRow(_below(path, folder), format_, (), (), "", None, None, "", (reason,), False)


def _below(path: Path, folder: Path) -> str:
    return own_name(path) if path == folder else path.relative_to(folder).as_posix()
