"""What no HU-to-HU curve can do on the plain cohort, and what its true twins can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medcyclegan.cohort import phantom_reference
from medcyclegan.intensity import Window
from medcyclegan.metrics.best_curve import fit_best_curve
from medcyclegan.metrics.compare import compare
from medcyclegan.metrics.curves import Curve, fit_least_squares_curve
from medcyclegan.metrics.reference import Reference
from medcyclegan.phantom import PhantomCase, make_cohort


@pytest.fixture(scope="module")
def test_cases() -> tuple[PhantomCase, ...]:
    return make_cohort(train_contrast=0, train_noncontrast=0).test


@pytest.fixture(scope="module")
def references(test_cases: tuple[PhantomCase, ...]) -> list[Reference]:
    return [phantom_reference(case, Window(-200.0, 600.0)) for case in test_cases]


@pytest.fixture(scope="module")
def judged_curves(references: list[Reference]) -> dict[str, dict[str, Any]]:
    """Tables of curves fitted on the truth of the demo's test patients."""
    curves: dict[str, Curve] = {
        "least squares": fit_least_squares_curve(references),
        "best": fit_best_curve(references, most_shift_hu=8.0),
        "for organs alone": fit_best_curve(references, most_shift_hu=1000.0),
    }
    return {
        name: compare(references, [curve.at(each.source.hu) for each in references], {})
        for name, curve in curves.items()
    }


@pytest.mark.parametrize("name", ["least squares", "best"])
def test_no_curve_within_the_limit_translates_kidneys_or_aorta(
    judged_curves: dict[str, dict[str, Any]], name: str
) -> None:
    organs = judged_curves[name]["organs"]
    assert organs["kidneys"]["gap_closed"] < 0.75
    assert organs["aorta"]["gap_closed"] < 0.75


def test_curves_pay_with_bone(judged_curves: dict[str, dict[str, Any]]) -> None:
    best, least_squares, organs_alone = (
        judged_curves[name]["summary"] for name in ("best", "least squares", "for organs alone")
    )
    assert 7.9 < best["mean_shift_hu"] <= 8.001
    assert best["largest_shift_in"] == "spongy_bone"
    assert best["largest_shift_hu"] > 30
    assert least_squares["mean_shift_hu"] > 16
    assert organs_alone["worst"] > 0.75
    assert organs_alone["mean_shift_hu"] > 32
    assert judged_curves["for organs alone"]["null_tissues"]["spongy_bone"]["shift_hu"] > 100


def test_the_twin_closes_the_gap_and_noise_does_not_hide_it(
    references: list[Reference],
) -> None:
    outputs = [np.asarray(each.second, np.float32) for each in references]
    organs = compare(references, outputs, {})["organs"]
    assert min(row["gap_closed"] for row in organs.values()) > 0.95
