from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, ndimage

from medcyclegan.intensity import Window
from medcyclegan.metrics.frechet import (
    FEATURES,
    FRECHET_DISTANCE,
    frechet_distance,
    slice_features,
)
from medcyclegan.metrics.metric import WHOLE
from medcyclegan.metrics.reference import Hu, LabelMap, Reference, Scan

Make = Callable[..., Reference]
Noise = Callable[[int], Hu]
WINDOW = Window(-200.0, 600.0)


def test_the_distance_of_independent_features_by_hand() -> None:
    found = frechet_distance(
        np.array([1.0, 2.0]), np.diag([4.0, 9.0]), np.array([1.0, 5.0]), np.diag([1.0, 16.0])
    )
    assert found == pytest.approx(9.0 + (2 - 1) ** 2 + (3 - 4) ** 2)


@given(seed=st.integers(0, 1000), features=st.integers(1, 8))
def test_the_distance_agrees_with_the_matrix_root_of_scipy(seed: int, features: int) -> None:
    rng = np.random.default_rng(seed)
    roots = rng.normal(0, 1, (2, features, 2 * features + 2))
    covariances = roots @ roots.transpose(0, 2, 1)
    one, other = rng.normal(0, 1, (2, features))
    root = np.real(linalg.sqrtm(covariances[0] @ covariances[1]))
    wanted = ((one - other) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    found = frechet_distance(one, covariances[0], other, covariances[1])
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    assert frechet_distance(one, covariances[0], one, covariances[0]) == pytest.approx(0, abs=1e-6)


def test_features_by_hand(scan: Callable[[Hu], Scan], truth: Hu, noise: Noise) -> None:
    features = slice_features(scan(truth), WINDOW)
    assert features.shape == (8, FEATURES)
    assert features[0, 1:4] == pytest.approx([50.0, 55.0, 55.0], abs=1.0)  # muscle, liver
    brighter = slice_features(scan(truth + 20.0), WINDOW)
    assert brighter[0, 1:4] == pytest.approx([70.0, 75.0, 75.0], abs=1.0)
    spread_and_texture = features[0, 5:]
    assert brighter[0, 5:] == pytest.approx(spread_and_texture, rel=0.1, abs=0.01)
    noisy = slice_features(scan(truth + 2 * noise(0)), WINDOW)
    assert (noisy[:, [7, 9]] > features[:, [7, 9]] + 4.0).all()
    assert (noisy[:, 10] > features[:, 10]).all()


def test_methods_rank_where_they_belong(
    reference: Make, truth: Hu, clean: Hu, noise: Noise, scan: Callable[[Hu], Scan]
) -> None:
    known = reference(targets=tuple(scan(truth + noise(seed) + seed) for seed in range(5, 9)))

    def score(output: Hu) -> float:
        parts = FRECHET_DISTANCE.measure(known, output)[WHOLE]
        return FRECHET_DISTANCE.combine(np.array([parts, parts]))

    again = score(truth + noise(9) + 7.0)
    assert again < 0.2 * score(ndimage.gaussian_filter(truth + 7.0, (0, 2, 2)))
    assert again < 0.2 * score(known.source.hu)
    assert score(known.source.hu) < score(400.0 - clean)


def test_populations_are_pooled_over_patients(
    reference: Make, truth: Hu, noise: Noise, scan: Callable[[Hu], Scan]
) -> None:
    known = reference(targets=tuple(scan(truth + noise(9) + by) for by in (-20, 0, 20)))
    parts = [
        FRECHET_DISTANCE.measure(known, truth + noise(9) + by)[WHOLE] for by in (-20.0, 0.0, 20.0)
    ]
    assert FRECHET_DISTANCE.combine(np.array(parts)) < 0.01
    assert FRECHET_DISTANCE.combine(np.array([parts[1]] * 3)) > 1.0  # no spread between them


def test_patients_parts_make_the_distance_of_all_their_slices(
    reference: Make, truth: Hu, noise: Noise, scan: Callable[[Hu], Scan]
) -> None:
    rng = np.random.default_rng(0)

    def patient(seed: int) -> Hu:
        levels = rng.normal(0, 5, (8, 1, 1)).astype(np.float32)
        return truth + noise(seed) * (1 + 0.05 * levels) + 10.0 + levels

    targets = (scan(patient(1)), scan(patient(2)))
    outputs = [patient(3) + 20.0, patient(4) + 20.0]
    known = reference(targets=targets)
    parts = [FRECHET_DISTANCE.measure(known, output)[WHOLE] for output in outputs]
    ours, theirs = (
        np.concatenate([slice_features(each, WINDOW) for each in scans])
        for scans in ([scan(output) for output in outputs], targets)
    )
    ours, theirs = ours / theirs.std(axis=0), theirs / theirs.std(axis=0)
    shrink = 0.9 + 0.1 * np.eye(FEATURES)
    wanted = frechet_distance(
        ours.mean(axis=0),
        np.cov(ours.T, bias=True) * shrink,
        theirs.mean(axis=0),
        np.cov(theirs.T, bias=True) * shrink,
    )
    assert FRECHET_DISTANCE.combine(np.array(parts)) == pytest.approx(wanted, rel=1e-6)


def test_outputs_and_targets_without_soft_tissue(
    reference: Make, truth: Hu, scan: Callable[[Hu], Scan], labels: LabelMap
) -> None:
    air = np.full_like(truth, -1000.0)
    parts = FRECHET_DISTANCE.measure(reference(targets=(scan(truth),)), air)[WHOLE]
    assert np.isnan(FRECHET_DISTANCE.combine(np.array([parts])))
    assert FRECHET_DISTANCE.measure(reference(targets=(scan(air),)), truth) == {}
