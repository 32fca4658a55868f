from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from medcyclegan.metrics import patches
from medcyclegan.metrics.metric import WHOLE
from medcyclegan.metrics.patches import PATCH_DISTANCE, sliced_wasserstein
from medcyclegan.metrics.reference import Hu, Reference, Scan

Make = Callable[..., Reference]
Noise = Callable[[int], Hu]


def drawn(seed: int, mean: float = 0.0) -> patches.Patches:
    values = np.random.default_rng(seed).normal(mean, 10.0, (3, 40, 49))
    return values.astype(np.float32)


def test_the_distance_agrees_with_scipy_direction_by_direction() -> None:
    one, other = drawn(0), drawn(1, mean=5.0)
    directions = patches._directions()
    wanted = [
        stats.wasserstein_distance(one[level] @ direction, other[level] @ direction)
        for level in range(3)
        for direction in directions[level].T
    ]
    assert sliced_wasserstein(one, other) == pytest.approx(np.mean(wanted), rel=1e-5)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-5)


@given(seed=st.integers(0, 1000), by=st.floats(-100, 100))
def test_the_distance_is_one(seed: int, by: float) -> None:
    one, other = drawn(seed), drawn(seed + 1)
    shuffled = one[:, np.random.default_rng(seed).permutation(one.shape[1])]
    assert sliced_wasserstein(one, shuffled) == pytest.approx(0.0, abs=1e-4)
    assert sliced_wasserstein(one, other) == pytest.approx(sliced_wasserstein(other, one))
    shift = abs(by) * np.abs(patches._directions().sum(axis=1)).mean()
    assert sliced_wasserstein(one, one + np.float32(by)) == pytest.approx(shift, rel=1e-3, abs=1e-3)


def test_a_patch_holds_what_lies_around_its_place_at_its_scale() -> None:
    hu = np.arange(64 * 64, dtype=np.float32).reshape(1, 64, 64)  # one band: the slope itself
    places = np.ravel_multi_index(([0], [30], [31]), hu.shape)
    rest = patches._cut(hu, places)[2].reshape(7, 7)
    assert rest[3, 3] == pytest.approx(hu[0, 30, 31], abs=0.1)
    assert rest[3, 4] - rest[3, 3] == pytest.approx(4.0, abs=0.01)  # voxels 4 apart
    assert rest[4, 3] - rest[3, 3] == pytest.approx(4.0 * 64, abs=0.1)


def test_methods_rank_where_they_belong(
    reference: Make, truth: Hu, clean: Hu, noise: Noise, scan: Callable[[Hu], Scan]
) -> None:
    targets = tuple(scan(truth + noise(seed)) for seed in (5, 6))
    known = reference(targets=targets)
    again = truth + noise(7)
    scores = {
        name: PATCH_DISTANCE.measure(known, output)[WHOLE][0]
        for name, output in {
            "truth": again,
            "blurred": ndimage.gaussian_filter(truth, (0, 3, 3)),
            "identity": known.source.hu,
            "inverted": 400.0 - clean,
        }.items()
    }
    assert scores["truth"] < 2.0
    assert scores["truth"] < 0.5 * scores["blurred"]
    assert 4 * scores["truth"] < scores["identity"] < scores["inverted"]
    assert scores["truth"] == PATCH_DISTANCE.measure(known, again)[WHOLE][0]  # nothing by chance


def test_places_are_matched(reference: Make, truth: Hu, scan: Callable[[Hu], Scan]) -> None:
    mirrored = np.ascontiguousarray(truth[:, ::-1])  # the same tissues elsewhere
    same = reference(targets=(scan(truth),))
    other = reference(targets=(scan(mirrored),))
    near, far = (PATCH_DISTANCE.measure(each, truth)[WHOLE][0] for each in (same, other))
    assert far > near + 5.0


def test_a_larger_patient_on_another_grid_is_matched_by_his_box(
    reference: Make, truth: Hu, labels: Hu
) -> None:
    finer = Scan(truth.repeat(2, axis=1).repeat(2, axis=2), (5.0, 1.0, 1.0))
    known = reference(targets=(finer,))
    assert PATCH_DISTANCE.measure(known, truth)[WHOLE][0] < 8.0


def test_targets_of_air_say_nothing(reference: Make, truth: Hu, scan: Callable[[Hu], Scan]) -> None:
    known = reference(targets=(scan(np.full_like(truth, -1000.0)),))
    assert PATCH_DISTANCE.measure(known, truth) == {}
