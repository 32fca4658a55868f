"""Intervals of figures by drawing the patients anew: percentile bootstrap (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medcyclegan.metrics.metric import Values, mean_of

RESAMPLES = 1000
SHARE = 0.95  # of the draws lie inside an interval
LEAST_SAID = 0.5  # of the draws must say something: a slope, say, needs patients that differ


class Estimate(NamedTuple):
    """A figure with its 95 % interval; None where it cannot be said.

    Args:
        value: of the patients at hand.
        low: lower end.
        high: upper end.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A figure of P patients, and of P drawn from among them with replacement, many times.

    One less another of the same patients is their paired difference: each draw takes the same
    patients for both, so that what is hard in a patient for both of two methods does not widen
    the interval between them.

    Args:
        value: of the patients at hand.
        draws: of each draw, NaN where it cannot be said, (resamples,).
        patients: P.
    """

    value: float
    draws: Values
    patients: int

    def __sub__(self, other: Bootstrap) -> Bootstrap:
        """Return how far this figure lies above another of the same patients.

        Raises:
            ValueError: they are not of equally many patients.
        """
        if self.patients != other.patients:
            raise ValueError(
                f"a paired difference of {self.patients} and {other.patients} patients"
            )
        return Bootstrap(self.value - other.value, self.draws - other.draws, self.patients)

    @property
    def estimate(self) -> Estimate:
        """The figure with the span of the middle 95 % of its draws.

        From few patients such intervals come out too narrow: with under ten, read them as the
        least that is uncertain. Of one patient, or where most draws say nothing, there is none.
        """
        said = self.draws[np.isfinite(self.draws)]
        if not np.isfinite(self.value):
            return Estimate(None, None, None)
        if self.patients < 2 or len(said) < LEAST_SAID * len(self.draws):
            return Estimate(self.value, None, None)
        tail = 100.0 * (1.0 - SHARE) / 2.0
        low, high = np.percentile(said, [tail, 100.0 - tail])
        return Estimate(self.value, float(low), float(high))


def bootstrap(
    values: Values,
    combine: Callable[[Values], float] = mean_of,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Bootstrap:
    """Return a figure with what it would be of patients drawn anew.

    Args:
        values: parts of P patients, (P, parts).
        combine: parts of patients -> the figure; see `Metric`.
        resamples: number of draws, at least 1.
        seed: of the draws: equal seeds draw the same of equally many patients, whatever the
            figure.
    """
    patients = len(values)
    chosen = np.random.default_rng(seed).integers(0, patients, (resamples, patients))
    if combine is mean_of:  # most figures are, and all draws at once are faster
        draws = values[:, 0][chosen].mean(axis=1)
    else:
        draws = np.array([combine(drawn) for drawn in values[chosen]])
    return Bootstrap(combine(values), draws, patients)
