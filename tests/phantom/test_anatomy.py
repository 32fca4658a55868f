from __future__ import annotations

import itertools

import numpy as np

from medcyclegan.phantom.anatomy import paint_patient
from medcyclegan.phantom.parameters import LABELS
from medcyclegan.phantom.shapes import Grid


def grid(size: int) -> Grid:
    across = ((np.arange(size) - (size - 1) / 2) * (384.0 / size)).astype(np.float32)
    return Grid((np.arange(8) * 10.0 - 30.0).astype(np.float32), across, across)


def test_a_finer_grid_shows_the_same_patient() -> None:
    coarse = paint_patient(grid(96), np.random.default_rng(4))
    fine = paint_patient(grid(288), np.random.default_rng(4))
    np.testing.assert_array_equal(coarse, fine[:, 1::3, 1::3])


def test_anatomy_goes_on_from_slice_to_slice() -> None:
    stack = Grid((np.arange(16) * 5.0 - 40.0).astype(np.float32), grid(96).y, grid(96).x)
    labels = paint_patient(stack, np.random.default_rng(7))
    for name in ("liver", "aorta", "vena_cava", "muscle"):
        mask = labels == LABELS[name]
        for below, above in itertools.pairwise(mask):
            assert (below & above).sum() > 0.5 * min(below.sum(), above.sum()), name
