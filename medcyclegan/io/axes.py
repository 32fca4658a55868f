"""How a file's axes make one volume, or several, and which way they point."""

from __future__ import annotations

import numpy as np

from medcyclegan.errors import VolumeError
from medcyclegan.io.stored import ReadOptions, check_voxel_count

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS+ to DICOM's and ITK's LPS+, and back


def volume_shape(shape: tuple[int, ...], options: ReadOptions) -> tuple[int, ...]:
    """Return the shape in which voxels are handed over: (I, J, K), or (I, J, K, N).

    Args:
        shape: as declared, from one axis up: three of space, one of time, others. Axes of
            length one at the end are dropped, absent ones of space are added.
        options: whether several volumes are read.

    Raises:
        VolumeError: an impossible size, several volumes that nobody asked for, or several numbers
            for each voxel.
    """
    check_voxel_count(shape)
    padded = (*shape, 1, 1, 1)[: max(3, len(shape))]
    if max((1, *padded[4:])) > 1:
        raise VolumeError(f"has {shape} voxels, vectors and not one HU each; extract one component")
    count = count_in(shape)
    if count == 1:
        return padded[:3]
    if not options.split_4d:
        raise VolumeError(
            f"has {shape} voxels, several volumes in one file; split it into one file for each, "
            "or read each with --split-4d"
        )
    return padded[:4]


def count_in(shape: tuple[int, ...]) -> int:
    """Return how many volumes a shape holds.

    >>> count_in((512, 512, 90)), count_in((512, 512, 90, 3))
    (1, 3)
    """
    return shape[3] if len(shape) > 3 else 1
