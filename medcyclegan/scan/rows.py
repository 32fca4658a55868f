"""What a scan says about one volume, and rows of it as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields


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
        phase: "contrast", "noncontrast" or "unknown".
        confidence: in that verdict, 0.5 to 1; 0 where nothing speaks either way.
        problems: why it is refused, or what is odd about it; one line each.
        accepted: whether it can be used.
        evidence: what was weighed for the phase; one line each, no free text of a header.
        patient: a key that volumes of one patient share; a hash, never a name.
        region: parts of the body seen, head to foot, as "chest, abdomen"; empty
            where it cannot be told.
        series: SeriesInstanceUID; empty for formats without one.
    """

    path: str
    format: str
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    orientation: str = ""
    hu_min: float | None = None
    hu_max: float | None = None
    phase: str = "unknown"
    confidence: float = 0.0
    problems: tuple[str, ...] = ()
    accepted: bool = False
    evidence: tuple[str, ...] = ()
    patient: str = ""
    region: str = ""
    series: str = ""


def rows_to_json(rows: Sequence[ScanRow]) -> str:
    """Return rows as a JSON array, one object for each volume."""
    objects = [asdict(row) for row in rows]
    return json.dumps(objects, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def rows_to_csv(rows: Sequence[ScanRow]) -> str:
    """Return rows as CSV with a header.

    Shape and spacing are as 512x512x20, lists are joined by semicolons, and what is accepted is
    "true" or "false".
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(field.name for field in fields(ScanRow))
    for row in rows:
        cells = asdict(row)
        cells["shape"] = "x".join(str(size) for size in row.shape)
        cells["spacing_mm"] = "x".join(f"{length:g}" for length in row.spacing_mm)
        cells["accepted"] = str(row.accepted).lower()
        for name in ("problems", "evidence"):
            cells[name] = "; ".join(cells[name])
        writer.writerow(cells.values())
    return table.getvalue()
