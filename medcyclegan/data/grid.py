"""From a volume's grid to that of its resampled slices, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medcyclegan.slices import SliceFrame, resample_slices, resampling_matrix
from medcyclegan.volume import Affine

Mode = Literal["linear", "nearest"]
Plane = tuple[int, int]
PlaneSpacing = tuple[float, float]


def plane_shape(shape: tuple[int, ...], frame: SliceFrame) -> Plane:
    """Return rows and columns of the slices of an array of this shape."""
    return shape[frame.axes[1]], shape[frame.axes[2]]


def slices_to_array(
    shape: tuple[int, ...], frame: SliceFrame, plane: Plane, spacing: PlaneSpacing
) -> Affine:
    """Return the 4x4 map from indices (s, h, w) of resampled slices to indices (i, j, k).

    Args:
        shape: of the array.
        frame: how it was cut.
        plane: rows and columns after resampling about the slices' centre.
        spacing: of those rows and columns, mm.
    """
    new_sizes = (shape[frame.axes[0]], *plane)
    new_spacings = (frame.spacing_mm[0], *spacing)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for column, axis in enumerate(frame.axes):
        step = new_spacings[column] / frame.spacing_mm[column] * (-1 if frame.flips[column] else 1)
        matrix[axis, column] = step
        matrix[axis, 3] = (shape[axis] - 1) / 2 - step * (new_sizes[column] - 1) / 2
    return matrix


def _resample_nearest(
    slices: npt.NDArray[Any], spacing: PlaneSpacing, new_shape: Plane, new_spacing: PlaneSpacing
) -> npt.NDArray[Any]:
    rows, columns = (
        resampling_matrix(slices.shape[n + 1], spacing[n], new_shape[n], new_spacing[n]).argmax(1)
        for n in range(2)
    )
    return slices[:, rows][:, :, columns]


RESAMPLE: dict[Mode, Callable[..., npt.NDArray[Any]]] = {
    "linear": resample_slices,
    "nearest": _resample_nearest,
}
