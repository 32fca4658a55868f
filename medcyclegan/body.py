"""Where the patient is in a slice: body mask and box."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

AIR_HU = -1000.0
SKIN_HU = -350.0


class Box(NamedTuple):
    """A rectangle in a slice: rows top to bottom, columns left to right, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


def body_mask(slices: npt.NDArray[np.floating | np.integer]) -> npt.NDArray[np.bool_]:
    """Return which pixels belong to the patient, air inside included, table and clothes not.

    Args:
        slices: HU, (S, H, W).

    Returns:
        (S, H, W): in each slice the largest connected region above -350 HU after an opening of
        one pixel, its holes filled; nothing in a slice of air.
    """
    mask = np.zeros(slices.shape, bool)
    for index, hu in enumerate(slices):
        regions, count = ndimage.label(ndimage.binary_opening(hu > SKIN_HU))
        if count:
            sizes = np.bincount(regions.ravel())[1:]
            mask[index] = ndimage.binary_fill_holes(regions == 1 + int(np.argmax(sizes)))
    return mask


def body_box(mask: npt.NDArray[np.bool_]) -> Box:
    """Return the box around a slice's mask (H, W); the whole slice where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Box(0, mask.shape[0], 0, mask.shape[1])
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
