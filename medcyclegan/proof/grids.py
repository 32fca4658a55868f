"""From a volume's own grid to the one a segmentation network works on, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.slices import (
    SliceFrame,
    from_slices,
    resampled_size,
    resampling_matrix,
    slice_frame,
    to_slices,
)
from medcyclegan.volume import Volume

Array = npt.NDArray[Any]
Hu = npt.NDArray[np.float32]
Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]  # of slices, rows and columns, mm


class NetworkGrid:
    """The slices (S, H, W) of one volume at a network's spacing, with the way there and back.

    Args:
        volume: whose grid it is made for.
        across_mm: distance of slices on the network's grid, mm; None keeps the volume's own.
        in_plane_mm: of rows and columns, mm.
    """

    def __init__(self, volume: Volume, across_mm: float | None, in_plane_mm: float) -> None:
        self.frame: SliceFrame = slice_frame(volume.array.shape, volume.affine)
        self.native: Shape = _shape(to_slices(volume.array, self.frame))
        own = self.frame.spacing_mm
        self.spacing_mm: Spacing = (across_mm or own[0], in_plane_mm, in_plane_mm)
        sizes = [
            resampled_size(size, old, new)
            for size, old, new in zip(self.native, own, self.spacing_mm, strict=True)
        ]
        self.shape: Shape = (sizes[0], sizes[1], sizes[2])

    def image(self, volume: Volume, low_hu: float, high_hu: float) -> Hu:
        """Return a volume on this grid, HU clipped to a range, (S, H, W).

        HU are clipped before they are resampled, so that metal and air do not bleed.
        """
        hu = to_slices(volume.array, self.frame).astype(np.float32).clip(low_hu, high_hu)
        return _resample(hu, self.native, self.frame.spacing_mm, self.shape, self.spacing_mm)

    def labels(self, array: Array) -> Array:
        """Return a label map (I, J, K) on this grid by the nearest voxel, (S, H, W)."""
        labels = to_slices(array, self.frame)
        for axis in range(3):
            matrix = resampling_matrix(
                self.native[axis],
                self.frame.spacing_mm[axis],
                self.shape[axis],
                self.spacing_mm[axis],
            )
            labels = labels.take(matrix.argmax(axis=1), axis=axis)
        return np.ascontiguousarray(labels)

    def back(self, scores: Hu) -> Array:
        """Return which of C scores (C, S, H, W) is greatest, on the volume's grid, (I, J, K).

        Scores are resampled, not labels: edges lie where the scores cross, between voxels.
        """
        best = np.full(self.native, -np.inf, np.float32)
        labels = np.zeros(self.native, np.uint8)
        for value, score in enumerate(scores):
            own = _resample(score, self.shape, self.spacing_mm, self.native, self.frame.spacing_mm)
            higher = own > best
            labels[higher] = value
            best[higher] = own[higher]
        return from_slices(labels, self.frame)


def _resample(hu: Hu, old: Shape, old_mm: Spacing, new: Shape, new_mm: Spacing) -> Hu:
    for axis in range(3):
        if old[axis] == new[axis] and np.isclose(old_mm[axis], new_mm[axis], rtol=1e-6):
            continue
        matrix = resampling_matrix(old[axis], old_mm[axis], new[axis], new_mm[axis])
        hu = np.moveaxis(np.moveaxis(hu, axis, -1) @ matrix.T, -1, axis)
    return np.ascontiguousarray(hu, dtype=np.float32)


def _shape(array: Array) -> Shape:
    slices, rows, columns = array.shape
    return slices, rows, columns
