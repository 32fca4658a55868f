"""The strongest rival that sees nothing but HU: fitted on the truth, for the very figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

from medcyclegan.metrics.curves import Curve, Values
from medcyclegan.metrics.trial import Tissues, TwinnedCase, make_regions

KNOT_HU = 10.0


class _Region(NamedTuple):
    """One tissue of one patient: the HU of its voxels and the means before and wanted."""

    tissue: str
    hu: Values
    before: float
    wanted: float


def fit_best_curve(
    cases: Sequence[TwinnedCase], *, organs: Tissues, null_tissues: Tissues, most_shift_hu: float
) -> Curve:
    """Return the growing curve that closes most of the organs' gaps within a limit on null shift.

    With o and n mean HU after the curve, s and t those of source and noiseless twin, in one organ
    or one null tissue of one patient, the curve makes::

        mean over organs of (mean over patients |o - t| / mean over patients |s - t|)

    as small as can be while::

        mean over null tissues of (mean over patients |n - s|) <= most_shift_hu

    That is a linear program in the curve's rises from knot to knot, 10 HU apart, and its optimum
    is exact. Growing, as histogram matching is: a curve that may also fall zig-zags with the
    noise until the means come out right and the voxels do not. Nothing changes beyond the HU of
    the tissues. It is fitted on the twins themselves, so no method has its knowledge in earnest.

    Args:
        cases: test cases with their twins.
        organs: name -> label values of what is to change.
        null_tissues: name -> label values of what must not.
        most_shift_hu: the limit, HU.
    """
    changing = _regions(cases, organs, towards_truth=True)
    still = _regions(cases, null_tissues, towards_truth=False)
    both = [*changing, *still]
    lowest = min(float(region.hu.min()) for region in both)
    highest = max(float(region.hu.max()) for region in both)
    first, last = np.floor(lowest / KNOT_HU) - 1, np.ceil(highest / KNOT_HU) + 1
    knots = KNOT_HU * np.arange(first, last + 1)
    shares = np.array([_shares(region.hu, knots) for region in both])
    above = shares[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # mean HU = knots[0] + above @ rises
    wanted = np.array([region.wanted for region in both]) - knots[0]
    slack, no_rises = np.eye(len(both)), np.zeros(len(knots) - 1)
    organ_weights = np.r_[_gap_weights(changing), np.zeros(len(still))]
    null_weights = np.r_[np.zeros(len(changing)), _even_weights(still)]
    found = optimize.linprog(
        np.r_[no_rises, organ_weights],
        A_ub=np.vstack(
            [
                np.hstack([above, -slack]),
                np.hstack([-above, -slack]),
                np.r_[no_rises, null_weights],
            ]
        ),
        b_ub=np.r_[wanted, -wanted, most_shift_hu],
        A_eq=np.r_[no_rises + 1.0, np.zeros(len(both))][None],
        b_eq=[knots[-1] - knots[0]],
    )
    rises = found.x[: len(knots) - 1].clip(min=0.0)
    return Curve(knots, knots[0] + np.r_[0.0, rises.cumsum()])


def _regions(
    cases: Sequence[TwinnedCase], tissues: Tissues, *, towards_truth: bool
) -> list[_Region]:
    regions = []
    for case in cases:
        for name, mask in make_regions(case.labels, tissues).items():
            hu = case.image.array[mask].astype(np.float64)
            truth = float(case.clean_twin.array[mask].mean(dtype=np.float64))
            before = float(hu.mean())
            regions.append(_Region(name, hu, before, truth if towards_truth else before))
    return regions


def _shares(hu: Values, knots: Values) -> Values:
    """Return the weight of each knot in the mean over `hu` of what is linear between knots."""
    place = (hu - knots[0]) / KNOT_HU
    left = place.astype(np.int64).clip(max=len(knots) - 2)
    part = place - left
    count = len(knots)
    return (np.bincount(left, 1.0 - part, count) + np.bincount(left + 1, part, count)) / len(hu)


def _even_weights(regions: Sequence[_Region]) -> Values:
    """Return weights by which patients count evenly in a tissue, and tissues evenly in the mean."""
    patients = Counter(region.tissue for region in regions)
    return np.array([1.0 / (patients[region.tissue] * len(patients)) for region in regions])


def _gap_weights(regions: Sequence[_Region]) -> Values:
    """Return weights of |o - t| that make a sum the mean over organs of what is left of gaps."""
    patients = Counter(region.tissue for region in regions)
    gaps = dict.fromkeys(patients, 0.0)
    for region in regions:
        gaps[region.tissue] += abs(region.wanted - region.before) / patients[region.tissue]
    scale = [1.0 / gaps[region.tissue] if gaps[region.tissue] else 0.0 for region in regions]
    return _even_weights(regions) * scale
