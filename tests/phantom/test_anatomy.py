from __future__ import annotations

import itertools

import numpy as np
import pytest

from medcyclegan.phantom.anatomy import paint_patient
from medcyclegan.phantom.parameters import LABELS
from medcyclegan.phantom.shapes import Grid


def grid(size: int) -> Grid:
    across = ((np.arange(size) - (size - 1) / 2) * (384.0 / size)).astype(np.float32)
    return Grid((np.arange(8) * 10.0 - 30.0).astype(np.float32), across, across)


def test_a_finer_grid_shows_the_same_patient() -> None:
    coarse = paint_patient(grid(96), np.random.default_rng(4)).labels
    fine = paint_patient(grid(288), np.random.default_rng(4)).labels
    np.testing.assert_array_equal(coarse, fine[:, 1::3, 1::3])


def test_anatomy_goes_on_from_slice_to_slice() -> None:
    stack = Grid((np.arange(16) * 5.0 - 40.0).astype(np.float32), grid(96).y, grid(96).x)
    labels = paint_patient(stack, np.random.default_rng(7)).labels
    for name in ("liver", "aorta", "vena_cava", "muscle"):
        mask = labels == LABELS[name]
        for below, above in itertools.pairwise(mask):
            assert (below & above).sum() > 0.5 * min(below.sum(), above.sum()), name


def test_a_habitus_shift_makes_a_wider_patient_of_the_same_man() -> None:
    lean, stout = (
        paint_patient(grid(96), np.random.default_rng(4), habitus_shift=shift).labels
        for shift in (-0.5, 1.0)
    )
    widths = [int((labels > 0).any(axis=(0, 1)).sum()) * 4.0 for labels in (lean, stout)]
    assert widths[1] - widths[0] == pytest.approx(1.5 * 2 * (8 + 8), abs=9)
    fat = [(labels == LABELS["fat"]).sum() for labels in (lean, stout)]
    assert fat[1] > 1.3 * fat[0]
