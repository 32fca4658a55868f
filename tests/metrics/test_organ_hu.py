from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.metric import Metric
from medcyclegan.metrics.organ_hu import (
    GAP_CLOSED,
    NULL_CHANGE,
    NULL_SHIFT,
    ORGAN_ERROR,
    RIM_ERROR,
)
from medcyclegan.metrics.reference import Hu, Reference, Scan, TissueTable

LABELS = np.array([[[1, 1, 2, 2]]], np.uint8)
TABLE = TissueTable({"liver": (1,)}, {"fat": (2,)})
WINDOW = Window(-200, 600)


def hu(*row: float) -> Hu:
    return np.array([[row]], np.float32)


def trial(
    source: tuple[float, ...], output: tuple[float, ...], truth: tuple[float, ...]
) -> tuple[Reference, Hu]:
    scan = Scan(hu(*source), (5.0, 1.0, 1.0), LABELS)
    return Reference("p", scan, WINDOW, TABLE, truth=hu(*truth)), hu(*output)


# Liver means: 100 -> 60 of 50 and 90 -> 35 of 40. Fat: up 4 and down 4; down 6 and down 2.
TRIALS = [
    trial((90, 110, -100, -100), (50, 70, -96, -104), (50, 50, -100, -100)),
    trial((90, 90, -100, -100), (30, 40, -106, -102), (40, 40, -100, -100)),
]


def figure(metric: Metric, trials: list[tuple[Reference, Hu]], row: str) -> float:
    parts = [metric.measure(*each) for each in trials]
    assert all(list(each) == [row] for each in parts)
    return metric.combine(np.array([each[row] for each in parts]))


def test_organs_by_hand() -> None:
    assert figure(GAP_CLOSED, TRIALS, "liver") == pytest.approx(1 - (10 + 5) / (50 + 50))
    assert figure(ORGAN_ERROR, TRIALS, "liver") == pytest.approx((10 + 5) / 2)


def test_errors_of_two_patients_do_not_cancel() -> None:
    high = trial((100, 100, 0, 0), (70, 70, 0, 0), (50, 50, 0, 0))
    low = trial((100, 100, 0, 0), (30, 30, 0, 0), (50, 50, 0, 0))
    assert figure(GAP_CLOSED, [high, low], "liver") == pytest.approx(0.6)
    assert figure(ORGAN_ERROR, [high, low], "liver") == pytest.approx(20)


def test_gap_closed_knows_perfect_idle_and_harmful() -> None:
    def closed(output: float, source: float = 100) -> float:
        return figure(GAP_CLOSED, [trial((source,) * 4, (output,) * 4, (50,) * 4)], "liver")

    assert closed(50) == 1.0
    assert closed(100) == 0.0
    assert closed(125) == -0.5
    assert np.isnan(closed(50, source=50))


def test_null_shift_and_change_by_hand() -> None:
    assert figure(NULL_SHIFT, TRIALS, "fat") == pytest.approx((0 + 4) / 2)
    assert figure(NULL_CHANGE, TRIALS, "fat") == pytest.approx((4 + 4) / 2)


def test_rims_apart_from_cores() -> None:
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 4:14, 4:14] = 1
    truth = np.where(labels == 1, 50, 0).astype(np.float32)
    output = truth.copy()
    output[0, 4:14, 4] += 36  # a column of the rim: 10 of its 36 voxels
    scan = Scan(truth + 50, (5.0, 1.0, 1.0), labels)
    reference = Reference("p", scan, WINDOW, TABLE, truth=truth)
    assert RIM_ERROR.measure(reference, output)["liver"] == pytest.approx([10.0])
    assert ORGAN_ERROR.measure(reference, output) == {"liver": (0.0,)}
    assert ORGAN_ERROR.measure(reference, truth + 3)["liver"] == pytest.approx([3.0])


def test_an_organ_without_a_rim_has_no_row_of_it() -> None:
    assert RIM_ERROR.measure(*TRIALS[0]) == {}
