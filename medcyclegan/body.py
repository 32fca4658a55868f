"""Where the patient is in a slice: body mask and box."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

AIR_HU = -1000.0
SKIN_HU = -350.0
LUNG_HU = -500.0  # lung and gas are below this
FAT_HU = (-200.0, -30.0)
BONE_HU = 500.0  # contrast medium in vessels stays below this


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


class SliceTissues(NamedTuple):
    """What each slice shows, told by HU alone and the same before and after contrast medium.

    Args:
        body_cm2: area of the body, cm2, (S,).
        lung: share of the body that is lung or gas, 0 to 1, (S,); 0 where there is no body.
        fat: share that is fat, likewise.
        soft: share that is soft tissue, opacified or not, likewise.
        bone: share that is cortical bone, likewise.
    """

    body_cm2: npt.NDArray[np.float64]
    lung: npt.NDArray[np.float64]
    fat: npt.NDArray[np.float64]
    soft: npt.NDArray[np.float64]
    bone: npt.NDArray[np.float64]


def slice_tissues(
    slices: npt.NDArray[np.floating | np.integer],
    masks: npt.NDArray[np.bool_],
    plane_spacing_mm: tuple[float, float],
) -> SliceTissues:
    """Return a cheap descriptor of each slice, by which slices of like position are told.

    Args:
        slices: HU, (S, H, W).
        masks: the body in each, as of `body_mask`.
        plane_spacing_mm: distance of rows and of columns, mm.
    """
    areas = masks.sum(axis=(1, 2)).astype(np.float64)

    def share(low_hu: float, high_hu: float) -> npt.NDArray[np.float64]:
        inside = masks & (slices >= low_hu) & (slices < high_hu)
        return inside.sum(axis=(1, 2)) / np.maximum(areas, 1.0)

    return SliceTissues(
        body_cm2=areas * plane_spacing_mm[0] * plane_spacing_mm[1] / 100.0,
        lung=share(-np.inf, LUNG_HU),
        fat=share(*FAT_HU),
        soft=share(FAT_HU[1], BONE_HU),
        bone=share(BONE_HU, np.inf),
    )
