"""What the slice store knows of a volume besides its voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.body import Box, SliceTissues, body_box, body_mask, slice_tissues

DIGITS = 6  # of a slice's tissues that are kept
LEAST_BODY = 0.05  # a slice with less body than this share of its volume's largest is not drawn


@dataclass(frozen=True)
class SliceFacts:
    """What is known of a stored volume besides its voxels.

    Args:
        patient: key to split by patient.
        plane: "axial", "coronal" or "sagittal".
        spacing_mm: distance of slices, rows and columns, mm.
        boxes: the body's box in each slice.
        drawn: the slices that show enough body to be drawn, ascending.
        warnings: what the reader found odd and could read right all the same.
        tissues: what each slice shows, see `SliceTissues`.
    """

    patient: str
    plane: str
    spacing_mm: tuple[float, float, float]
    boxes: tuple[Box, ...]
    drawn: tuple[int, ...]
    warnings: tuple[str, ...]
    tissues: tuple[tuple[float, ...], ...]


class Bodies(NamedTuple):
    """What the slices of a volume show; see `SliceFacts`."""

    boxes: tuple[Box, ...]
    drawn: tuple[int, ...]
    tissues: tuple[tuple[float, ...], ...]


def find_bodies(hu: npt.NDArray[np.float32], spacing: tuple[float, float, float]) -> Bodies:
    """Return the body's box in each slice, the slices that show enough of it, and its tissues.

    Args:
        hu: slices, (S, H, W).
        spacing: distance of slices, rows and columns, mm.
    """
    masks = body_mask(hu)
    areas = masks.sum(axis=(1, 2))
    enough = (areas > 0) & (areas >= LEAST_BODY * areas.max())
    tissues = np.stack(slice_tissues(hu, masks, spacing[1:]), axis=1).round(DIGITS)
    return Bodies(
        tuple(body_box(mask) for mask in masks),
        tuple(np.flatnonzero(enough).tolist()),
        tuple(map(tuple, tissues.tolist())),
    )


def parse_facts(entry: dict[str, Any], slices: int) -> SliceFacts:
    """Return facts from JSON; ValueError, KeyError or TypeError where they are not whole."""
    boxes = tuple(Box(*(int(edge) for edge in box)) for box in entry["boxes"])
    if len(boxes) != slices:
        raise ValueError(f"{len(boxes)} body boxes for {slices} slices")
    tissues = tuple(tuple(float(value) for value in row) for row in entry["tissues"])
    if [len(row) for row in tissues] != [len(SliceTissues._fields)] * slices:
        raise ValueError("tissues of other slices")
    across, rows, columns = entry["spacing_mm"]
    return SliceFacts(
        patient=entry["patient"],
        plane=entry["plane"],
        spacing_mm=(float(across), float(rows), float(columns)),
        boxes=boxes,
        drawn=tuple(int(index) for index in entry["drawn"]),
        warnings=tuple(entry["warnings"]),
        tissues=tissues,
    )
