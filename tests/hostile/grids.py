"""Whether a volume holds the same voxels at the same places as another, in whatever order."""

from __future__ import annotations

import numpy as np

from medcyclegan.volume import Volume
from tests.hostile.made import Array

AFFINE_MM = 1e-4
HU = 0.5


def check_same_voxels(volume: Volume, array: Array, affine: Array) -> None:
    """Check that a volume is `array` on `affine`, its axes maybe permuted and flipped.

    Args:
        volume: what was read.
        array: HU, (I, J, K).
        affine: 4x4, voxel index -> RAS+ mm.

    Raises:
        AssertionError: a voxel lies more than 1e-4 mm elsewhere or differs by 0.5 HU.
    """
    to_truth = np.linalg.inv(affine) @ volume.affine
    axes = [int(np.argmax(np.abs(to_truth[:3, axis]))) for axis in range(3)]
    assert sorted(axes) == [0, 1, 2], to_truth
    flips = [to_truth[truth, axis] < 0 for axis, truth in enumerate(axes)]
    expected = array.transpose(axes)[
        tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    ]
    order = np.zeros((4, 4))
    order[3, 3] = 1
    for axis, (truth, flip) in enumerate(zip(axes, flips, strict=True)):
        order[truth, axis] = -1 if flip else 1
        order[truth, 3] = array.shape[truth] - 1 if flip else 0
    difference_mm = np.abs(volume.affine - affine @ order).max()
    assert difference_mm < AFFINE_MM, f"the affine is off by {difference_mm}"
    assert volume.array.shape == expected.shape
    difference_hu = np.abs(volume.array.astype(np.float64) - expected).max()
    assert difference_hu < HU, f"voxels are off by {difference_hu} HU"
