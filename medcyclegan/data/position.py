"""Slices of like position: which slices of one domain belong with which of the other.

Two sets of scans seldom cover the same parts of the body, and a network that is shown chests of
one domain and bellies of the other learns to turn chests into bellies. So slices are put into
groups that look alike by their tissues, whatever domain they are of, and a draw takes one group
for both domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import Pair

MOST_GROUPS = 16
LEAST_IN_GROUP = 4  # slices of the smaller domain to a group, on average
ROUNDS = 50  # of k-means, which is done long before
LEAST_COMMON = 0.05  # share of draws that must find their like for matching to make sense
ALIKE = 0.35  # slices that lie no further from their mean than this many spreads are alike
LEAST_SPREAD = 0.1  # of a feature; what varies less is noise and is not blown up
HEIGHTS = 5  # parts of the scan range by which one asks whether scan ranges agree
LENGTHS_AGREE = 1.25  # longest scan over shortest

Features = npt.NDArray[np.float64]


class PositionGroups(NamedTuple):
    """Which slices are drawn together, and how often.

    Args:
        shares: how often each group is drawn, in both domains; they sum to 1.
        drawn: of each domain, for each volume, for each group: its slices, ascending.
        message: for people.
    """

    shares: npt.NDArray[np.float64]
    drawn: Pair[list[list[tuple[int, ...]]]]
    message: str


def one_group(volumes: Pair[list[StoredVolume]], message: str = "") -> PositionGroups:
    """Return all slices of both domains as one group, so that each domain draws for itself."""
    drawn = Pair(*([[volume.facts.drawn] for volume in domain] for domain in volumes))
    return PositionGroups(np.ones(1), drawn, message)


def match_positions(volumes: Pair[list[StoredVolume]], names: Pair[str]) -> PositionGroups:
    """Return groups of slices of like position, by k-means over what the slices show.

    A slice is described by the logarithm of its body's area and the square roots of the shares of
    lung, soft tissue and bone, each scaled to unit spread unless it hardly varies; none of them
    changes with contrast medium. Where the scans of both domains cover one and the same range,
    which is where they are equally long and slices at equal relative height look alike, the
    relative height counts too.
    Each domain counts half, in it each patient, volume and slice evenly, as they are drawn. A
    group is drawn as often as the domain that has less of it would, so what one domain lacks is
    never drawn. Nothing is random: equal volumes, equal groups.

    Args:
        volumes: the volumes of each domain, each with slices to be drawn.
        names: of the domains, for the message.

    Returns:
        The groups; all slices as one where there are too few to be grouped, or where the two
        domains have nothing in common; the message says so.
    """
    domains = Pair(*(_describe(domain) for domain in volumes))
    fewest = min(len(domain.weights) for domain in domains)
    most = min(MOST_GROUPS, fewest // LEAST_IN_GROUP)
    if most < 2:
        return one_group(
            volumes, f"{fewest} slices are too few to be matched by position: drawn at random"
        )
    features = _scaled(domains)
    weights = np.concatenate([domain.weights / 2 for domain in domains])
    group = _k_means(features, weights, most)
    count = int(group.max()) + 1
    of_domain = Pair(group[: len(domains.a.weights)], group[len(domains.a.weights) :])
    shares = np.stack(
        [
            np.bincount(groups, domain.weights, count)
            for groups, domain in zip(of_domain, domains, strict=True)
        ]
    )
    common = shares.min(axis=0)
    if common.sum() < LEAST_COMMON:
        return one_group(
            volumes,
            f"warning: {names.a} and {names.b} show different parts of the body: slices are drawn "
            "at random, and networks may learn to turn one part into the other",
        )
    drawn = Pair(
        *(
            _slices_of_groups(domain, groups, count)
            for domain, groups in zip(volumes, of_domain, strict=True)
        )
    )
    lacking = [float(share[common == 0].sum()) for share in shares]
    return PositionGroups(
        common / common.sum(),
        drawn,
        f"slices are matched by position in {np.count_nonzero(common)} groups; left out, as the "
        f"other domain lacks it: {lacking[0]:.0%} of {names.a}, {lacking[1]:.0%} of {names.b}",
    )


class _Described(NamedTuple):
    """The slices to be drawn of a domain's volumes, one volume after the other.

    Args:
        features: (N, 4).
        weights: how often each is drawn, (N,); they sum to 1.
        heights: relative height in its volume, 0 at the feet to 1, (N,).
        lengths: distance of the first from the last slice of each volume, mm.
    """

    features: Features
    weights: npt.NDArray[np.float64]
    heights: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]


def _describe(volumes: Sequence[StoredVolume]) -> _Described:
    of_patient: dict[str, int] = {}
    for facts in (volume.facts for volume in volumes):
        of_patient[facts.patient] = of_patient.get(facts.patient, 0) + 1
    features, weights, heights, lengths = [], [], [], []
    for facts in (volume.facts for volume in volumes):
        drawn = np.array(facts.drawn)
        area, lung, _, soft, bone = np.array(facts.tissues)[drawn].T
        features.append(np.stack([np.log(area), *np.sqrt([lung, soft, bone])], axis=1))
        share = 1 / (len(of_patient) * of_patient[facts.patient] * len(drawn))
        weights.append(np.full(len(drawn), share))
        heights.append(drawn / max(1, len(facts.boxes) - 1))
        along = facts.plane == "axial" and len(facts.boxes) > 1
        lengths.append((len(facts.boxes) - 1) * facts.spacing_mm[0] if along else np.nan)
    return _Described(
        np.concatenate(features),
        np.concatenate(weights),
        np.concatenate(heights),
        np.array(lengths),
    )


def _scaled(domains: Pair[_Described]) -> Features:
    """Return the features of both domains' slices, each of unit spread, with height or without."""
    features = np.concatenate([domain.features for domain in domains])
    weights = np.concatenate([domain.weights / 2 for domain in domains])
    heights = np.concatenate([domain.heights for domain in domains])
    scaled = _unit_spread(features, weights)
    lengths = np.concatenate([domain.lengths for domain in domains])
    if not lengths.max() <= LENGTHS_AGREE * lengths.min():  # nor where one is not known
        return scaled
    part = np.minimum((heights * HEIGHTS).astype(int), HEIGHTS - 1)
    if _explained(scaled, weights, part) < 0.5:
        return scaled
    return np.concatenate([scaled, _unit_spread(heights[:, None], weights)], axis=1)


def _unit_spread(features: Features, weights: npt.NDArray[np.float64]) -> Features:
    centred = features - weights @ features
    spread = np.sqrt(weights @ centred**2)
    return centred / np.maximum(spread, LEAST_SPREAD)


def _explained(
    features: Features, weights: npt.NDArray[np.float64], part: npt.NDArray[np.int64]
) -> float:
    """Return which share of the variance lies between the parts that slices belong to."""
    totals = np.bincount(part, weights, HEIGHTS)
    means = (
        np.stack([np.bincount(part, weights * feature, HEIGHTS) for feature in features.T], axis=1)
        / np.maximum(totals, 1e-12)[:, None]
    )
    return float((totals @ means**2).sum() / max(1e-12, (weights @ features**2).sum()))


def _k_means(
    features: Features, weights: npt.NDArray[np.float64], most: int
) -> npt.NDArray[np.int64]:
    """Return the group of each slice, (N,), from 0: nearest to its mean of all groups' means."""
    group = _halved(features, weights, most)
    count = int(group.max()) + 1
    centres = np.zeros((count, features.shape[1]))
    for _ in range(ROUNDS):
        totals = np.bincount(group, weights, count)
        sums = [np.bincount(group, weights * feature, count) for feature in features.T]
        means = np.stack(sums, axis=1) / np.maximum(totals, 1e-12)[:, None]
        centres = np.where(totals[:, None] > 0, means, centres)
        distances = (centres**2).sum(axis=1) - 2 * features @ centres.T  # and a constant of each
        before, group = group, distances.argmin(axis=1)
        if (before == group).all():
            break
    return group


def _halved(
    features: Features, weights: npt.NDArray[np.float64], most: int
) -> npt.NDArray[np.int64]:
    """Return groups to begin with: that of the largest spread is cut in two, again and again.

    Cut at its mean, across the direction in which it is longest (Boley 1998, "Principal direction
    divisive partitioning"): no chance in it, and one odd slice makes no group of its own. Slices
    that are alike stay together.
    """
    group = np.zeros(len(features), np.int64)
    spreads = np.zeros(most)
    new = 0
    for number in range(1, most):
        for changed in {new, number - 1}:
            own = group == changed
            squares = weights[own] @ _centred(features[own], weights[own]) ** 2
            alike = squares.sum() < ALIKE**2 * weights[own].sum()
            spreads[changed] = 0.0 if alike else squares.sum()
        new = int(np.argmax(spreads))
        if spreads[new] == 0:
            break
        own = np.flatnonzero(group == new)
        centred = _centred(features[own], weights[own])
        direction = np.linalg.eigh((centred * weights[own, None]).T @ centred)[1][:, -1]
        group[own[centred @ direction > 0]] = number
    return group


def _centred(features: Features, weights: npt.NDArray[np.float64]) -> Features:
    return features - weights @ features / max(1e-12, weights.sum())


def _slices_of_groups(
    volumes: Sequence[StoredVolume], group: npt.NDArray[np.int64], count: int
) -> list[list[tuple[int, ...]]]:
    result, first = [], 0
    for facts in (volume.facts for volume in volumes):
        own = group[first : first + len(facts.drawn)]
        drawn = np.array(facts.drawn)
        result.append([tuple(drawn[own == number].tolist()) for number in range(count)])
        first += len(facts.drawn)
    return result
