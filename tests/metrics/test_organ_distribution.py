from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medcyclegan.metrics.organ_distribution import ORGAN_DISTRIBUTION, QUANTILES
from medcyclegan.metrics.reference import Hu, Reference, Scan

Make = Callable[..., Reference]
Noise = Callable[[int], Hu]
ToScan = Callable[[Hu], Scan]


def distance(known: Reference, *outputs: Hu, organ: str = "liver") -> float:
    parts = [ORGAN_DISTRIBUTION.measure(known, output)[organ] for output in outputs]
    return ORGAN_DISTRIBUTION.combine(np.array(parts))


def test_a_shift_by_hand(reference: Make, truth: Hu, scan: ToScan) -> None:
    known = reference(targets=(scan(truth), scan(truth + 10.0)))
    assert distance(known, truth) == pytest.approx(5.0)  # half of the targets are 10 HU off
    assert distance(known, truth + 30.0) == pytest.approx(25.0)


def test_patients_are_pooled_on_both_sides(reference: Make, truth: Hu, scan: ToScan) -> None:
    known = reference(targets=(scan(truth - 10.0), scan(truth + 10.0)))
    assert distance(known, truth - 10.0, truth + 10.0) == pytest.approx(0.0, abs=1e-4)
    assert distance(known, truth, truth) == pytest.approx(10.0)  # the mean is right, the spread not


@given(
    ours=st.tuples(st.floats(-50, 200), st.floats(1, 40)),
    theirs=st.tuples(st.floats(-50, 200), st.floats(1, 40)),
)
def test_the_distance_agrees_with_scipy(
    ours: tuple[float, float], theirs: tuple[float, float]
) -> None:
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    rng = np.random.default_rng(0)
    voxels = [np.float32(level + sd * rng.standard_normal(4000)) for level, sd in (ours, theirs)]
    parts = np.concatenate([np.quantile(each, middles) for each in voxels])
    assert ORGAN_DISTRIBUTION.combine(parts[None]) == pytest.approx(
        stats.wasserstein_distance(*voxels), rel=0.05, abs=0.5
    )


def test_targets_without_labels_or_without_the_organ_have_no_say(
    reference: Make, truth: Hu, scan: ToScan
) -> None:
    blank = Scan(truth + 500.0, (5.0, 2.0, 2.0))
    other = Scan(truth + 500.0, (5.0, 2.0, 2.0), np.zeros(truth.shape, np.uint8))
    known = reference(targets=(blank, other, scan(truth)))
    assert distance(known, truth) == pytest.approx(0.0, abs=1e-4)
    assert ORGAN_DISTRIBUTION.measure(reference(targets=(blank, other)), truth) == {}


def test_cheats_rank_where_they_belong(
    reference: Make, truth: Hu, clean: Hu, noise: Noise, scan: ToScan
) -> None:
    known = reference(targets=(scan(truth + noise(5)),))
    scores = [
        distance(known, output)
        for output in (truth + noise(6), truth, known.source.hu, 400.0 - clean)
    ]
    assert scores[0] < 1.0
    assert scores == sorted(scores)  # again, without noise, identity, inverted
