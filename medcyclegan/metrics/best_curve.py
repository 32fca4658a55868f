"""The strongest rival that sees nothing but HU: fitted on the truth, for the very figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

from medcyclegan.metrics.curves import Curve, Values
from medcyclegan.metrics.reference import Reference, Region

KNOT_HU = 10.0


class _Part(NamedTuple):
    """One tissue of one patient.

    Args:
        tissue: its name.
        first: number of the first knot, in steps of `KNOT_HU` from 0 HU.
        shares: weights of the knots from there on in the mean over the voxels, summing to 1.
        before: mean HU of the source.
        wanted: mean HU that is aimed at.
    """

    tissue: str
    first: int
    shares: Values
    before: float
    wanted: float


def fit_best_curve(references: Iterable[Reference], *, most_shift_hu: float) -> Curve:
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
        references: patients with labels and truth, walked through once; what their tissues set
            aside takes no part.
        most_shift_hu: the limit, HU.

    Raises:
        ValueError: no patient has any of the tissues.
    """
    changing: list[_Part] = []
    still: list[_Part] = []
    for reference in references:
        aside = reference.tissues.aside
        changing += _parts(reference, reference.organs, aside, towards_truth=True)
        still += _parts(reference, reference.null_tissues, aside, towards_truth=False)
    both = [*changing, *still]
    if not both:
        raise ValueError("a curve cannot be fitted: no patient has any of the tissues")
    first = min(part.first for part in both) - 1
    count = max(part.first + len(part.shares) for part in both) + 1 - first
    knots = KNOT_HU * np.arange(first, first + count, dtype=np.float64)
    shares = np.zeros((len(both), count))
    for row, part in zip(shares, both, strict=True):
        row[part.first - first :][: len(part.shares)] = part.shares
    rises = _rises(knots, shares, changing, still, most_shift_hu)
    return Curve(knots, knots[0] + np.r_[0.0, rises.cumsum()])


def _rises(
    knots: Values,
    shares: Values,
    changing: Sequence[_Part],
    still: Sequence[_Part],
    most_shift_hu: float,
) -> Values:
    """Return the solution of the linear program: how far the curve grows from knot to knot."""
    both = [*changing, *still]
    above = shares[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # mean HU = knots[0] + above @ rises
    wanted = np.array([part.wanted for part in both]) - knots[0]
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
    rises: Values = found.x[: len(knots) - 1].clip(min=0.0)
    return rises


def _parts(
    reference: Reference,
    regions: Mapping[str, Region],
    aside: Collection[str],
    *,
    towards_truth: bool,
) -> list[_Part]:
    assert reference.truth is not None
    parts = []
    for name, region in regions.items():
        if name in aside:
            continue
        hu = reference.source.hu.ravel()[region.core].astype(np.float64)
        truth = float(reference.truth.ravel()[region.core].mean(dtype=np.float64))
        before = float(hu.mean())
        parts.append(_Part(name, *_shares(hu), before, truth if towards_truth else before))
    return parts


def _shares(hu: Values) -> tuple[int, Values]:
    """Return the first knot and the weight of each in the mean over `hu`, linear between knots."""
    first = int(np.floor(hu.min() / KNOT_HU))
    place = hu / KNOT_HU - first
    count = max(int(np.ceil(place.max())), 1) + 1
    left = place.astype(np.int64).clip(max=count - 2)
    part = place - left
    return first, (np.bincount(left, 1.0 - part, count) + np.bincount(left + 1, part, count)) / len(
        hu
    )


def _even_weights(parts: Sequence[_Part]) -> Values:
    """Return weights by which patients count evenly in a tissue, and tissues evenly in the mean."""
    patients = Counter(part.tissue for part in parts)
    return np.array([1.0 / (patients[part.tissue] * len(patients)) for part in parts])


def _gap_weights(parts: Sequence[_Part]) -> Values:
    """Return weights of |o - t| that make a sum the mean over organs of what is left of gaps."""
    patients = Counter(part.tissue for part in parts)
    gaps = dict.fromkeys(patients, 0.0)
    for part in parts:
        gaps[part.tissue] += abs(part.wanted - part.before) / patients[part.tissue]
    scale = [1.0 / gaps[part.tissue] if gaps[part.tissue] else 0.0 for part in parts]
    return _even_weights(parts) * scale
