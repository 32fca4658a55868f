"""How well organs are segmented: Dice (1945, Ecology 26:297-302) and distances of surfaces."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from monai.metrics.utils import get_mask_edges, get_surface_distance

Array = npt.NDArray[Any]


class Score(NamedTuple):
    """How well one organ of one patient is segmented.

    Args:
        dice: twice the common voxels as a share of both; 0 where the organ is missed.
        surface_mm: mean distance of the two surfaces, both ways; None where one of them is empty.
        surface95_mm: the distance that 95 % of each surface keep within; likewise.
    """

    dice: float
    surface_mm: float | None
    surface95_mm: float | None


def score_organs(
    predicted: Array, true: Array, organs: int, spacing_mm: tuple[float, float, float]
) -> list[Score | None]:
    """Return the score of each organ, None for those the patient has not.

    Args:
        predicted: numbers of organs from 1 up, three axes.
        true: likewise.
        organs: how many there are.
        spacing_mm: of the three axes.
    """
    return [
        _score(predicted == number, true == number, spacing_mm) if (true == number).any() else None
        for number in range(1, organs + 1)
    ]


def mean_dice(predicted: Array, true: Array, organs: int) -> float:
    """Return the mean Dice over the organs that are there; NaN where none is."""
    dice = [
        _dice(predicted == number, true == number)
        for number in range(1, organs + 1)
        if (true == number).any()
    ]
    return float(np.mean(dice)) if dice else math.nan


def _score(predicted: Array, true: Array, spacing_mm: tuple[float, float, float]) -> Score:
    dice = _dice(predicted, true)
    if not predicted.any():
        return Score(dice, None, None)
    outer, inner = get_mask_edges(predicted, true)
    there = get_surface_distance(outer, inner, spacing=spacing_mm)
    back = get_surface_distance(inner, outer, spacing=spacing_mm)
    mean = float(np.concatenate([there, back]).mean())
    return Score(dice, mean, float(max(np.percentile(there, 95), np.percentile(back, 95))))


def _dice(predicted: Array, true: Array) -> float:
    both = np.count_nonzero(predicted & true)
    return 2.0 * both / (np.count_nonzero(predicted) + np.count_nonzero(true))
