from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.dose import DOSE_SLOPE
from medcyclegan.metrics.reference import Reference, Scan, TissueTable

LABELS = np.ones((1, 2, 2), np.uint8)
DOSES = (0.7, 0.9, 1.0, 1.3)


def slope(remaining: list[float], doses: tuple[float, ...] = DOSES) -> float:
    """Return the slope where each patient's liver is left so many HU above the truth."""
    parts = []
    for dose, left in zip(doses, remaining, strict=True):
        truth = np.full(LABELS.shape, 50.0, np.float32)
        scan = Scan(truth + np.float32(100 * dose), (1, 1, 1), LABELS)
        table = TissueTable({"liver": (1,)})
        reference = Reference("p", scan, Window(-200, 600), table, truth=truth, dose=dose)
        parts.append(DOSE_SLOPE.measure(reference, truth + np.float32(left))["liver"])
    return DOSE_SLOPE.combine(np.array(parts))


def test_what_is_left_of_a_share_of_the_dose_is_the_slope() -> None:
    assert slope([30 * dose for dose in DOSES]) == pytest.approx(30, abs=1e-3)
    assert slope([7 - 30 * dose for dose in DOSES]) == pytest.approx(-30, abs=1e-3)


def test_an_error_that_all_share_has_no_slope() -> None:
    assert slope([12.0] * 4) == pytest.approx(0, abs=1e-3)


def test_it_is_the_least_squares_line() -> None:
    left = [3.0, -8.0, 11.0, 6.0]
    assert slope(left) == pytest.approx(float(np.polyfit(DOSES, left, 1)[0]), abs=1e-3)


def test_two_patients_or_equal_doses_say_nothing() -> None:
    assert np.isnan(slope([1.0, 2.0], (0.8, 1.2)))
    assert np.isnan(slope([1.0, 2.0, 3.0], (1.0, 1.0, 1.0)))
