from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.metrics import METRICS, Trial, gap_closed, null_change, null_shift, tissue_means

ORGAN = np.array([[[True, True, False, False]]])
FAT = ~ORGAN


def trial(source: list[float], output: list[float], truth: list[float]) -> Trial:
    before, after, wanted = (np.array([[row]], np.float32) for row in (source, output, truth))
    return Trial(before, after, wanted, organs={"liver": ORGAN}, null_tissues={"fat": FAT})


# Liver means: 100 -> 60 of 50 and 90 -> 35 of 40. Fat: up 4 and down 4; down 6 and down 2.
TRIALS = [
    trial([90, 110, -100, -100], [50, 70, -96, -104], [50, 50, -100, -100]),
    trial([90, 90, -100, -100], [30, 40, -106, -102], [40, 40, -100, -100]),
]


def test_gap_closed_by_hand() -> None:
    assert gap_closed(TRIALS) == {"liver": pytest.approx(1 - (10 + 5) / (50 + 50))}


def test_errors_of_two_patients_do_not_cancel() -> None:
    high = trial([100, 100, 0, 0], [70, 70, 0, 0], [50, 50, 0, 0])
    low = trial([100, 100, 0, 0], [30, 30, 0, 0], [50, 50, 0, 0])
    assert gap_closed([high, low]) == {"liver": pytest.approx(0.6)}


def test_gap_closed_knows_perfect_idle_and_harmful() -> None:
    def closed(output: float) -> float:
        return gap_closed([trial([100] * 4, [output] * 4, [50] * 4)])["liver"]

    assert closed(50) == 1.0
    assert closed(100) == 0.0
    assert closed(125) == -0.5
    assert np.isnan(gap_closed([trial([50] * 4, [50] * 4, [50] * 4)])["liver"])


def test_null_shift_and_change_by_hand() -> None:
    assert null_shift(TRIALS) == {"fat": pytest.approx((0 + 4) / 2)}
    assert null_change(TRIALS) == {"fat": pytest.approx((4 + 4) / 2)}


def test_patients_without_an_organ_are_left_out() -> None:
    empty = np.zeros((1, 1, 4), np.float32)
    without = Trial(empty, empty, empty, organs={}, null_tissues={})
    assert gap_closed([*TRIALS, without]) == gap_closed(TRIALS)
    assert tissue_means([*TRIALS, without], "organs", "source") == {"liver": [100.0, 90.0]}


def test_every_metric_takes_trials_and_gives_numbers_of_its_kind_of_tissue() -> None:
    names = {"organs": {"liver"}, "null_tissues": {"fat"}}
    for kind, of_kind in METRICS.items():
        for name, metric in of_kind.items():
            rows = metric(TRIALS)
            assert set(rows) == names[kind], name
            assert all(isinstance(value, float) for value in rows.values()), name
