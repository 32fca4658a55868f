from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from medcyclegan.proof.statistics import (
    Draws,
    difference,
    estimate,
    holm,
    recovery,
    sign_flip_test,
)


def scores_of(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Scores with an effect of each patient, each translation and each segmentation seed."""
    translations, seeds, patients = shape
    return np.asarray(
        0.8
        + rng.normal(0, 0.03, (translations, 1, 1))
        + rng.normal(0, 0.01, (1, seeds, 1))
        + rng.normal(0, 0.05, (1, 1, patients))
    )


def test_an_interval_is_as_wide_as_patients_and_seeds_together_ask_for() -> None:
    scores = scores_of(np.random.default_rng(0), (20, 20, 40))
    found = estimate(scores, Draws(40, 20, 20, 4000, 0))
    spread = np.sqrt(
        scores.mean((1, 2)).var() / 20
        + scores.mean((0, 2)).var() / 20
        + scores.mean((0, 1)).var() / 40
    )
    assert found.value == pytest.approx(scores.mean())
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.06)


def test_seeds_widen_the_interval_that_patients_alone_leave() -> None:
    scores = scores_of(np.random.default_rng(1), (6, 2, 12))
    both = estimate(scores, Draws(12, 6, 2, 2000, 0))
    alone = estimate(scores.mean((0, 1), keepdims=True), Draws(12, 1, 1, 2000, 0))
    assert both.value == pytest.approx(alone.value)
    assert both.high - both.low > 1.05 * (alone.high - alone.low)  # type: ignore[operator]


def test_a_difference_is_paired_by_patient_and_by_seed() -> None:
    rng = np.random.default_rng(2)
    scores = scores_of(rng, (1, 3, 10))
    draws = Draws(10, 2, 3, 500, 0)
    found = difference(scores + 0.02, scores, draws)
    assert found == pytest.approx((0.02, 0.02, 0.02))


def test_arms_without_translations_ignore_the_draws_of_them() -> None:
    scores = scores_of(np.random.default_rng(3), (1, 2, 5))
    repeated = np.repeat(scores, 3, axis=0)
    draws = Draws(5, 3, 2, 300, 0)
    np.testing.assert_allclose(draws.means(scores), draws.means(repeated))


def test_patients_without_a_score_are_left_out() -> None:
    scores = np.array([[[0.5, np.nan, 0.7]]])
    assert estimate(scores, Draws(3, 1, 1, 200, 0)).value == pytest.approx(0.6)
    assert estimate(np.full((1, 1, 3), np.nan), Draws(3, 1, 1, 200, 0)) == (None, None, None)


def test_recovery_is_the_share_of_the_gap() -> None:
    reference = np.full((1, 1, 4), 0.5)
    found = recovery(reference + 0.15, reference, reference + 0.2, Draws(4, 1, 1, 100, 0))
    assert found == pytest.approx((0.75, 0.75, 0.75))


def test_the_test_of_signs_is_that_of_scipy() -> None:
    differences = np.random.default_rng(4).normal(0.3, 1.0, 9)
    scores = np.stack([differences - 0.1, differences + 0.1])[None]  # two seeds
    judged = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    found = sign_flip_test(scores, np.zeros((1, 1, 9)), 100, 0)
    assert found is not None
    assert found[0] == pytest.approx(judged.pvalue)
    assert found[1] == 9


def test_many_patients_are_tested_by_draws_and_equal_arms_are_alike() -> None:
    differences = np.random.default_rng(5).normal(0.4, 1.0, 40)[None, None]
    found = sign_flip_test(differences, np.zeros((1, 1, 40)), 20_000, 0)
    assert found is not None
    expected = stats.ttest_1samp(differences.ravel(), 0.0).pvalue
    assert found[0] == pytest.approx(expected, rel=0.2)
    assert sign_flip_test(differences, differences, 1000, 0) == (1.0, 40)
    assert sign_flip_test(np.full((1, 1, 2), np.nan), np.zeros((1, 1, 2)), 10, 0) is None


def test_the_smallest_p_of_a_few_patients_is_two_of_all_signs() -> None:
    found = sign_flip_test(np.full((1, 1, 5), 0.1), np.zeros((1, 1, 5)), 100, 0)
    assert found == (2 / 2**5, 5)


@pytest.mark.parametrize("order", list(itertools.permutations(["a", "b", "c"])))
def test_holm_adjusts_in_any_order(order: tuple[str, ...]) -> None:
    raw = {"a": 0.01, "b": 0.04, "c": 0.03}
    assert holm({name: raw[name] for name in order}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )
