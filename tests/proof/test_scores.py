from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.surface_distance import compute_average_surface_distance

from medcyclegan.proof.scores import mean_dice, score_organs

SPACING = (2.0, 3.0, 5.0)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), -1)
    made = [
        (np.linalg.norm(place - (10 + rng.normal(0, 1.5, 3)), axis=-1) < 5 + 2 * rng.random())
        for _ in range(2)
    ]
    return made[0].astype(np.uint8), made[1].astype(np.uint8)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy")
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_monai(seed: int) -> None:
    predicted, true = blobs(seed)
    (found,) = score_organs(predicted, true, 1, SPACING)
    pair = torch.from_numpy(predicted)[None, None], torch.from_numpy(true)[None, None]
    spacing = list(SPACING)
    mean = compute_average_surface_distance(
        pair[0], pair[1], include_background=True, symmetric=True, spacing=spacing
    )
    most = compute_hausdorff_distance(
        pair[0], pair[1], include_background=True, percentile=95, spacing=spacing
    )
    assert found is not None
    assert found.dice == pytest.approx(float(compute_dice(*pair)))
    assert found.surface_mm == pytest.approx(float(mean))
    assert found.surface95_mm == pytest.approx(float(most))


def test_a_shift_by_hand() -> None:
    true = np.zeros((12, 12, 12), np.uint8)
    true[2:6, 2:6, 2:6] = 2
    moved = np.roll(true, 1, axis=2)
    absent, found = score_organs(moved, true, 2, (1.0, 1.0, 5.0))
    assert absent is None
    assert found is not None
    assert found.dice == pytest.approx(0.75)
    assert found.surface95_mm == 5.0
    assert mean_dice(moved, true, 2) == pytest.approx(0.75)


def test_a_missed_organ_has_dice_0_and_no_surface() -> None:
    true = np.ones((4, 4, 4), np.uint8)
    assert score_organs(np.zeros_like(true), true, 1, SPACING) == [(0.0, None, None)]
    assert mean_dice(np.zeros_like(true), true, 1) == 0.0
    assert math.isnan(mean_dice(true, np.zeros_like(true), 1))
