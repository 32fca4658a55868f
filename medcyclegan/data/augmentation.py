"""Small random changes of training slices: turned, made larger or smaller, mirrored."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from monai.transforms.spatial.array import Resample


class Change(NamedTuple):
    """What happens to one stack.

    Args:
        radians: by how much it is turned, rows toward columns.
        zoom: how many times larger it becomes.
        mirrored: whether left and right change sides.
    """

    radians: float
    zoom: float
    mirrored: bool


class SliceAugmentation:
    """Random changes of stacks of slices, within limits; all slices of a stack change alike.

    Each stack is turned and zoomed about its centre in one bilinear interpolation by MONAI's
    `Resample`, evenly within the limits, and half of them are mirrored where that is allowed.
    What is changed is cut larger by `margin`, so that nothing has to be made up at its edges.

    Args:
        rotation_degrees: turned by up to this, either way, 0 to 45.
        scaling: made larger or smaller by up to this share, from 0 to below 1.
        flip_left_right: whether half are mirrored.
    """

    def __init__(
        self, rotation_degrees: float = 0.0, scaling: float = 0.0, flip_left_right: bool = False
    ) -> None:
        self.rotation_degrees = rotation_degrees
        self.scaling = scaling
        self.flip_left_right = flip_left_right
        self._resamples = rotation_degrees > 0 or scaling > 0
        self._resample = Resample(
            mode="bilinear",
            padding_mode="border",
            norm_coords=True,
            align_corners=False,
            dtype=np.float32,
        )

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to be drawn."""
        return self._resamples or self.flip_left_right

    def margin(self, size: int) -> int:
        """Return how many pixels more than `size` a change needs on each side."""
        if not self._resamples:
            return 0
        angle = math.radians(self.rotation_degrees)
        reach = (size - 1) / 2 * (math.cos(angle) + math.sin(angle)) / (1 - self.scaling)
        return math.ceil(reach - (size - 1) / 2) + 1

    def change(self, draw: npt.NDArray[np.float64]) -> Change:
        """Return the change that three draws from [0, 1) stand for."""
        angle, zoom, mirror = (2 * draw - 1).tolist()
        return Change(
            math.radians(self.rotation_degrees * angle),
            1 + self.scaling * zoom,
            self.flip_left_right and mirror > 0,
        )

    def apply(
        self, stack: npt.NDArray[np.float32], change: Change, size: int
    ) -> npt.NDArray[np.float32]:
        """Return the middle of `stack`, changed.

        Args:
            stack: (C, size + 2 margin, size + 2 margin), in [-1, 1].
            change: what happens to it.
            size: rows and columns wanted.

        Returns:
            (C, size, size), in [-1, 1].
        """
        if self._resamples:
            stack = self._turned(stack, change, size)
        return stack[..., ::-1] if change.mirrored else stack

    def _turned(
        self, stack: npt.NDArray[np.float32], change: Change, size: int
    ) -> npt.NDArray[np.float32]:
        along = math.cos(change.radians) / change.zoom
        across = math.sin(change.radians) / change.zoom
        line = np.arange(size) - (size - 1) / 2
        # Term by term: a matrix product may round otherwise with another number of threads.
        grid = np.empty((2, size, size), np.float32)
        grid[0] = (along * line)[:, None] + (across * line)[None, :]
        grid[1] = (along * line)[None, :] - (across * line)[:, None]
        return self._resample(torch.from_numpy(stack), torch.from_numpy(grid)).numpy()
