"""Soft tissue on one common grid, so that scans of any field of view can be held together."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.body import body_box, body_mask
from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Hu, Mask, Places, Scan
from medcyclegan.metrics.remembered import Remembered
from medcyclegan.metrics.texture import spread
from medcyclegan.slices import resample_slices, resampled_size

GRID_MM = 3.0
MOST_SLICES = 24
LEVELS = 3
SOFT_HU = (-30.0, 450.0)  # fluid and soft organs, opacified ones and spongy bone among them


class SoftTissue(NamedTuple):
    """Where the soft tissue of a scan's coarse slices lies.

    Args:
        mask: (S, H, W).
        places: its voxels as indices into the flattened coarse slices, (N,).
        positions: theirs, (N, 3): height in the scan from 0, its lowest slice, to 1, row and
            column in the box around the slice's body, likewise from 0 to 1.
    """

    mask: Mask
    places: Places
    positions: npt.NDArray[np.float32]


def coarse_hu(hu: Hu, spacing_mm: tuple[float, float, float], window: Window) -> Hu:
    """Return at most 24 slices, evenly spread, on a grid of 3 mm, clipped to the window, HU."""
    return _coarse(hu, spacing_mm).clip(window.low_hu, window.high_hu)


def _coarse(hu: Hu, spacing_mm: tuple[float, float, float]) -> Hu:
    chosen = hu[spread(len(hu), MOST_SLICES)]
    rows, columns = spacing_mm[1:]
    shape = (
        resampled_size(hu.shape[1], rows, GRID_MM),
        resampled_size(hu.shape[2], columns, GRID_MM),
    )
    return resample_slices(chosen, (rows, columns), shape, (GRID_MM, GRID_MM))


@Remembered
def soft_tissue(scan: Scan) -> SoftTissue:
    """Return where a scan's body holds -30 to 450 HU, smoothed by a voxel, on the coarse grid."""
    hu = _coarse(scan.hu, scan.spacing_mm)
    body = body_mask(hu)
    smooth = ndimage.gaussian_filter(hu, (0.0, 1.0, 1.0), mode="nearest", truncate=3.0)
    mask = body & (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])
    numbers, rows, columns = np.nonzero(mask)
    boxes = np.array([body_box(each) for each in body])[numbers]
    top, bottom, left, right = boxes.T
    positions = np.stack(
        [
            numbers / max(1, len(hu) - 1),
            (rows - top) / (bottom - top),
            (columns - left) / (right - left),
        ],
        axis=1,
    )
    return SoftTissue(mask, np.flatnonzero(mask), positions.astype(np.float32))


def bands(hu: Hu) -> tuple[Hu, ...]:
    """Return coarse slices taken apart by scale: details of about 3 and 6 mm, and the rest.

    An undecimated Laplacian pyramid (Burt and Adelson 1983) in the slice: with G_n a Gaussian of
    sigma 2^n voxels, x - G_0 x, G_0 x - G_1 x, and G_1 x; their sum is x.
    """
    levels = [hu]
    for level in range(LEVELS - 1):
        sigma = float(2**level)
        levels.append(
            ndimage.gaussian_filter(hu, (0.0, sigma, sigma), mode="nearest", truncate=3.0)
        )
    details = (fine - rough for fine, rough in pairwise(levels))
    return (*details, levels[-1])


def coarse_scan(scan: Scan) -> Scan:
    """Return a scan on the common grid: in a fraction of the memory, soft tissue is the same."""
    return Scan(_coarse(scan.hu, scan.spacing_mm), (scan.spacing_mm[0], GRID_MM, GRID_MM))
