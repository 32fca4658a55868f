"""Gantry tilt: slices that are shifted against each other, moved back over one another.

With a tilted gantry the table moves at an angle to the slices' normal: each slice lies shifted
along its own plane against the one before, and the stack is no right-angled grid.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError
from medcyclegan.io.dicom.series import TILT_DEGREES, lean_degrees
from medcyclegan.volume import Affine

AIR_HU = -1024
MOST_GROWTH = 4  # times as large: beyond it the slices hardly lie over one another


def straighten(array: npt.NDArray[Any], affine: Affine) -> tuple[npt.NDArray[Any], Affine, float]:
    """Return a tilted stack on a right-angled grid, and the angle it was tilted by.

    The planes of the slices stay where they are; each slice is moved within its plane by linear
    interpolation along its rows and columns. The grid grows so that nothing is cut off.

    Args:
        array: HU, (I, J, K), slices along K.
        affine: 4x4, voxel index -> RAS+ mm; K may lean against I and J, which are at right angles.

    Returns:
        HU of the same type, (I', J', K) with I' >= I and J' >= J, air (-1024) where no slice has
        a pixel; its affine; the angle in degrees, 0 where there was no tilt and nothing was done.

    Raises:
        GeometryError: so much tilt that the grid would be over four times as large.
    """
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    axes = affine[:3, :2] / spacing
    step = affine[:3, 2]
    normal = np.cross(axes[:, 0], axes[:, 1])
    normal *= np.sign(step @ normal) or 1.0
    degrees = lean_degrees(step, normal)
    if array.shape[2] < 2 or degrees <= TILT_DEGREES:
        return array, affine, 0.0
    shifts = (axes.T @ step) / spacing  # pixels from slice to slice
    if np.prod(1 + np.abs(shifts) * array.shape[2] / array.shape[:2]) > MOST_GROWTH:
        raise GeometryError(
            f"has a gantry tilt of {degrees:.1f} degrees: too much to resample; leave it out"
        )
    straight, new = array, affine.copy()
    for axis in (0, 1):
        straight, start = _shifted(straight, axis, float(shifts[axis]))
        new[:3, 3] += start * affine[:3, axis]
    new[:3, 2] = (step @ normal) * normal
    return straight, new, degrees


def described(degrees: float) -> str:
    """Return the warning that says a volume was resampled."""
    return f"gantry tilt of {degrees:.1f} degrees: resampled to a right-angled grid"


def _shifted(array: npt.NDArray[Any], axis: int, shift: float) -> tuple[npt.NDArray[Any], int]:
    """Return slice k moved by `k * shift` pixels along an axis, and the index the first sits at."""
    size, slices = array.shape[axis], array.shape[2]
    ends = (0.0, shift * (slices - 1))
    start = math.floor(min(ends))
    shape = list(array.shape)
    shape[axis] = size + math.ceil(max(ends)) - start
    moved = np.full(shape, AIR_HU, array.dtype)
    for k in range(slices):
        offset = k * shift - start  # in the new grid, of the slice's first pixel
        first = math.ceil(offset - 1e-6)
        share = min(1.0, max(0.0, first - offset))  # of the way to the slice's next pixel
        plane = np.moveaxis(array[:, :, k], axis, 0)
        target = np.moveaxis(moved[:, :, k], axis, 0)
        if share < 1e-6:
            target[first : first + size] = plane
            continue
        between = plane[:-1] * np.float32(1 - share) + plane[1:] * np.float32(share)
        whole = array.dtype.kind in "iu"
        target[first : first + size - 1] = np.rint(between) if whole else between
    return moved, start
