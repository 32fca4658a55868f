"""Volumes as slices: which array axes they lie across, and how they reach the training grid.

Networks always see slices across the axis nearest foot-head, rows toward posterior and columns
toward the patient's left, whatever the order of the file. Coronal, sagittal and oblique stacks
are cut across their own stacking axis: rows toward the feet (or posterior), columns toward the
left (or, sagittal, posterior).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.volume import Affine, closest_axes, spacing_mm

STACK_RATIO = 1.5  # an axis this much coarser than both others is the one slices are stacked along
PLANES = {2: "axial", 1: "coronal", 0: "sagittal"}  # by the world axis slices are stacked along
ROWS_AND_COLUMNS = {2: (1, 0), 1: (2, 0), 0: (2, 1)}  # world axes of rows and columns, by the same


@dataclass(frozen=True)
class SliceFrame:
    """How an array (I, J, K) is cut into slices (S, H, W).

    Args:
        axes: the array axes that become slice, row and column.
        flips: whether each is reversed on the way.
        spacing_mm: distance between slices, rows and columns, mm.
        plane: "axial", "coronal" or "sagittal", the nearest.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    spacing_mm: tuple[float, float, float]
    plane: str


def slice_frame(shape: tuple[int, ...], affine: Affine) -> SliceFrame:
    """Return how a volume of this shape and affine is cut into slices."""
    world_of, signs = closest_axes(affine)
    spacing = spacing_mm(affine)
    across = world_of[_stacking_axis(shape, spacing, world_of)]
    worlds = (across, *ROWS_AND_COLUMNS[across])
    wanted = (1 if across == 2 else -1, -1, -1)
    axes = [world_of.index(world) for world in worlds]
    return SliceFrame(
        axes=(axes[0], axes[1], axes[2]),
        flips=(
            signs[axes[0]] != wanted[0],
            signs[axes[1]] != wanted[1],
            signs[axes[2]] != wanted[2],
        ),
        spacing_mm=(spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]),
        plane=PLANES[across],
    )


def _stacking_axis(
    shape: tuple[int, ...], spacing: tuple[float, float, float], world_of: tuple[int, int, int]
) -> int:
    foot_head = world_of.index(2)
    single = [axis for axis in range(3) if shape[axis] == 1]
    if len(single) == 1:
        return single[0]
    coarsest = int(np.argmax(spacing))
    others = [spacing[axis] for axis in range(3) if axis != coarsest]
    return coarsest if spacing[coarsest] > STACK_RATIO * max(others) else foot_head


def to_slices(array: npt.NDArray[Any], frame: SliceFrame) -> npt.NDArray[Any]:
    """Return `array` (I, J, K) as a view of slices (S, H, W)."""
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in frame.flips)
    return array.transpose(frame.axes)[steps]


def from_slices(slices: npt.NDArray[Any], frame: SliceFrame) -> npt.NDArray[Any]:
    """Return slices (S, H, W) as an array (I, J, K): the inverse of `to_slices`."""
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in frame.flips)
    return slices[steps].transpose(np.argsort(frame.axes))


def resampled_size(size: int, spacing: float, new_spacing: float) -> int:
    """Return how many samples `new_spacing` mm apart cover `size` samples `spacing` mm apart."""
    return max(1, int(np.ceil(size * spacing / new_spacing - 1e-6)))


def resampling_matrix(
    size: int, spacing: float, new_size: int, new_spacing: float
) -> npt.NDArray[np.float32]:
    """Return the linear map from one grid on a line to another with the same centre.

    Triangle kernel, as wide as the coarser of the two spacings: linear interpolation toward the
    finer grid, an antialiasing average toward the coarser. Nothing is stretched, a constant stays
    constant, and outside the old grid its last sample goes on.

    Args:
        size: number of samples.
        spacing: their distance, mm.
        new_size: number of samples wanted.
        new_spacing: their distance, mm.

    Returns:
        (new_size, size); each row sums to 1.
    """
    old = (np.arange(size) - (size - 1) / 2) * spacing
    new = (np.arange(new_size) - (new_size - 1) / 2) * new_spacing
    new = new.clip(old[0], old[-1])
    reach = max(spacing, new_spacing)
    weights = np.maximum(0.0, 1.0 - np.abs(new[:, None] - old[None, :]) / reach)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def resample_slices(
    slices: npt.NDArray[np.float32],
    spacing: tuple[float, float],
    new_shape: tuple[int, int],
    new_spacing: tuple[float, float],
) -> npt.NDArray[np.float32]:
    """Return slices resampled in plane about their centre; see `resampling_matrix`.

    Args:
        slices: (S, H, W).
        spacing: of rows and columns, mm.
        new_shape: rows and columns wanted.
        new_spacing: of rows and columns wanted, mm.

    Returns:
        (S, *new_shape); the input itself where the grids are the same.
    """
    if slices.shape[1:] == new_shape and np.allclose(spacing, new_spacing, rtol=1e-6, atol=0):
        return slices
    rows = resampling_matrix(slices.shape[1], spacing[0], new_shape[0], new_spacing[0])
    columns = resampling_matrix(slices.shape[2], spacing[1], new_shape[1], new_spacing[1])
    return np.matmul(np.matmul(rows, slices), columns.T)


def neighbor_indices(slices: int, neighbors: int) -> npt.NDArray[np.int64]:
    """Return for each slice the indices of its stack; at the ends the last slice is repeated.

    Returns:
        (S, neighbors), each row centred on its slice.

    >>> neighbor_indices(3, 3).tolist()
    [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    """
    reach = neighbors // 2
    offsets = np.arange(-reach, reach + 1)
    return (np.arange(slices)[:, None] + offsets).clip(0, slices - 1)
