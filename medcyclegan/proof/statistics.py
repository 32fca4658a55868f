"""How sure one can be of an arm's figures: patients and seeds drawn anew together, paired tests.

Scores are arrays (T, S, P): translation seeds, segmentation seeds, patients; arms without a
translating network have T = 1. Every draw takes the same patients and segmentation seeds in all
arms, for they were tested on the same patients and begun from the same weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
LEVEL = 0.05  # of two-sided tests; intervals leave out as much
MOST_EXACT = 14  # patients up to whom every choice of signs is tried: 16384 of them


class Estimate(NamedTuple):
    """A figure with its 95 % interval.

    Args:
        value: over all patients and seeds; None where no patient has one.
        low: lower end.
        high: upper end.
    """

    value: float | None
    low: float | None
    high: float | None


class Draws:
    """Patients and seeds drawn with replacement, the same for all arms.

    With few seeds the draws of them say little, and intervals come out too narrow rather than too
    wide: two seeds show half of their variance.

    Args:
        patients: how many there are.
        translations: likewise.
        segmentations: likewise.
        resamples: number of draws.
        seed: of the random numbers.
    """

    def __init__(
        self, patients: int, translations: int, segmentations: int, resamples: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self._patients = _counts(rng, resamples, patients)
        self._translations = _counts(rng, resamples, translations)
        self._segmentations = _counts(rng, resamples, segmentations)
        self._resamples = resamples

    def means(self, scores: Values) -> Values:
        """Return the mean score of each draw, (R,); NaN where no drawn patient has one.

        Args:
            scores: (T, S, P), NaN where a patient has none.
        """
        translations = self._translations
        if len(scores) == 1:
            translations = np.ones((self._resamples, 1))
        weights = translations, self._segmentations, self._patients
        known = np.isfinite(scores)
        total = np.einsum("tsp,rt,rs,rp->r", np.where(known, scores, 0.0), *weights, optimize=True)
        count = np.einsum("tsp,rt,rs,rp->r", known.astype(np.float64), *weights, optimize=True)
        return np.divide(total, count, out=np.full(self._resamples, np.nan), where=count > 0)


def estimate(scores: Values, draws: Draws) -> Estimate:
    """Return the mean score (T, S, P) with its interval."""
    return interval(_mean(scores), draws.means(scores))


def difference(scores: Values, others: Values, draws: Draws) -> Estimate:
    """Return how far scores (T, S, P) lie above those of another arm, patient by patient."""
    return interval(_mean(scores) - _mean(others), draws.means(scores) - draws.means(others))


def recovery(scores: Values, reference: Values, oracle: Values, draws: Draws) -> Estimate:
    """Return which share of the gap from a reference arm to the oracle an arm closes."""
    gaps = draws.means(oracle) - draws.means(reference)
    shares = np.full(len(gaps), np.nan)
    np.divide(draws.means(scores) - draws.means(reference), gaps, out=shares, where=gaps > 0)
    value = (_mean(scores) - _mean(reference)) / (_mean(oracle) - _mean(reference))
    return interval(value, shares)


def interval(value: float, drawn: Values) -> Estimate:
    """Return a figure with the range that holds the middle 95 % of its draws."""
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Estimate(None, None, None)
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return Estimate(float(value), float(low), float(high))


def sign_flip_test(
    scores: Values, others: Values, resamples: int, seed: int
) -> tuple[float, int] | None:
    """Return the two-sided p of two arms being alike, and the number of patients compared.

    Patients are the units: each one's mean over seeds in one arm less that in the other. If arms
    are alike, a difference is as likely as its negative (Fisher 1935). Up to 14 patients all signs
    are tried, beyond them as many as `resamples`.

    Args:
        scores: (T, S, P).
        others: of the other arm, the same patients.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        None where no patient has both.
    """
    differences = _by_patient(scores) - _by_patient(others)
    differences = differences[np.isfinite(differences)]
    count = len(differences)
    if not count:
        return None
    if count <= MOST_EXACT:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
        drawn, seen = np.abs(signs @ differences), 0
    else:
        drawn = np.abs(
            np.random.default_rng(seed).choice([-1.0, 1.0], (resamples, count)) @ differences
        )
        seen = 1  # the signs as they are count as one draw
    as_large = np.count_nonzero(drawn >= abs(differences.sum()) * (1 - 1e-12) - 1e-15)
    return float((as_large + seen) / (len(drawn) + seen)), count


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for there being several (Holm 1979, Scand J Stat 6:65-70).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    ordered: Sequence[str] = sorted(p_values, key=lambda name: p_values[name])
    for place, name in enumerate(ordered):
        largest = max(largest, min(1.0, p_values[name] * (len(ordered) - place)))
        adjusted[name] = largest
    return adjusted


def _counts(rng: np.random.Generator, resamples: int, size: int) -> Values:
    """Return how often each of `size` things is in each draw of as many, (R, size)."""
    return rng.multinomial(size, np.full(size, 1.0 / size), resamples).astype(np.float64)


def _mean(scores: Values) -> float:
    known = scores[np.isfinite(scores)]
    return float(known.mean()) if len(known) else float("nan")


def _by_patient(scores: Values) -> Values:
    """Return each patient's mean over seeds, (P,); NaN where he has none."""
    known = np.isfinite(scores)
    total, count = np.where(known, scores, 0.0).sum((0, 1)), known.sum((0, 1))
    return np.divide(total, count, out=np.full(scores.shape[2], np.nan), where=count > 0)
