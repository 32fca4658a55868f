from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from medcyclegan.metrics.bootstrap import Estimate, bootstrap
from medcyclegan.metrics.metric import Values, mean_of


def column(*values: float) -> Values:
    return np.array(values, np.float64)[:, None]


def estimate(
    values: Values,
    combine: Callable[[Values], float] = mean_of,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    return bootstrap(values, combine, resamples=resamples, seed=seed).estimate


def spread(values: Values) -> float:
    return float(values[:, 0].max() - values[:, 0].min())


def test_of_two_patients_either_is_drawn_alone_at_times() -> None:
    found = estimate(column(0.0, 10.0))
    assert found == Estimate(5.0, 0.0, 10.0)


def test_it_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(3, 2, 40)
    found = estimate(values[:, None], resamples=9999)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=9999, rng=np.random.default_rng(5)
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(theirs.low, abs=0.03)
    assert found.high == pytest.approx(theirs.high, abs=0.03)


def test_any_figure_draws_the_same_patients_as_the_mean_does() -> None:
    values = column(1.0, 5.0, 2.0, 8.0, 3.0)
    as_mean = estimate(values, mean_of, resamples=50, seed=3)
    one_by_one = estimate(values, lambda drawn: float(drawn[:, 0].mean()), resamples=50, seed=3)
    assert as_mean == pytest.approx(one_by_one)
    assert as_mean != estimate(values, mean_of, resamples=50, seed=4)


def test_parts_of_a_patient_stay_together() -> None:
    values = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    found = estimate(values, lambda drawn: float(drawn[:, 1].mean() / drawn[:, 0].mean()))
    assert found == pytest.approx((2.0, 2.0, 2.0))


def test_of_one_patient_there_is_a_figure_and_no_interval() -> None:
    assert estimate(column(4.0)) == (4.0, None, None)
    assert (bootstrap(column(4.0)) - bootstrap(column(1.0))).estimate == (3.0, None, None)


def test_what_cannot_be_said_is_none() -> None:
    assert estimate(column(float("nan"), 1.0)) == (None, None, None)


def test_draws_that_say_nothing_are_left_out_unless_they_are_most() -> None:
    def unless_all_alike(values: Values) -> float:
        return spread(values) or float("nan")

    assert estimate(column(0.0, 6.0, 0.0, 6.0), unless_all_alike) == (6.0, 6.0, 6.0)
    assert estimate(column(0.0, *[6.0] * 30), unless_all_alike).low == 6.0  # two thirds of draws

    def seldom(values: Values) -> float:
        return 1.0 if len(np.unique(values)) == len(values) else float("nan")

    assert estimate(column(1.0, 2.0, 3.0, 4.0), seldom) == (1.0, None, None)  # 24 of 256 draws


def test_a_paired_difference_does_not_see_what_is_hard_for_both() -> None:
    theirs = np.random.default_rng(0).normal(0, 100, (12, 1))
    found = (bootstrap(theirs + 2.0) - bootstrap(theirs)).estimate
    assert found == pytest.approx((2.0, 2.0, 2.0))
    with pytest.raises(ValueError, match="12 and 11"):
        _ = bootstrap(theirs) - bootstrap(theirs[1:])
