from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcyclegan.intensity import Window
from medcyclegan.metrics.curves import Curve, fit_histogram_matching, fit_least_squares_curve
from medcyclegan.metrics.reference import Reference, Scan, make_scan
from medcyclegan.volume import Volume

AFFINE = np.diag([-3.0, -3.0, 5.0, 1.0])


def body(hu: np.ndarray) -> Volume:
    """Return a square patient of these HU, (n, n, slices), in a frame of air."""
    framed = np.full((hu.shape[0] + 8, hu.shape[1] + 8, hu.shape[2]), -1000, np.int16)
    framed[4:-4, 4:-4] = hu
    return Volume(framed, AFFINE)


def draw(seed: int, mean: float, sd: float) -> Volume:
    values = np.random.default_rng(seed).normal(mean, sd, (40, 40, 3))
    return body(np.rint(values).clip(-300, 1000).astype(np.int16))


def match(sources: list[Volume], targets: list[Volume]) -> Curve:
    return fit_histogram_matching(map(make_scan, sources), map(make_scan, targets))


def test_matching_gives_the_sources_the_distribution_of_the_targets() -> None:
    sources = [draw(seed, 150, 40) for seed in range(4)]
    targets = [draw(seed, 50, 20) for seed in range(10, 14)]
    curve = match(sources, targets)
    inside = np.concatenate([curve(volume).array[4:-4, 4:-4].ravel() for volume in sources])
    wanted = np.concatenate([volume.array[4:-4, 4:-4].ravel() for volume in targets])
    np.testing.assert_allclose(
        np.percentile(inside, [5, 25, 50, 75, 95]),
        np.percentile(wanted, [5, 25, 50, 75, 95]),
        atol=1,
    )


def test_matching_a_domain_with_itself_changes_nothing() -> None:
    volumes = [draw(seed, 60, 30) for seed in range(3)]
    curve = match(volumes, volumes)
    np.testing.assert_allclose(curve(volumes[0]).array, volumes[0].array, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    means=st.tuples(st.integers(-50, 300), st.integers(-50, 300)),
    spreads=st.tuples(st.integers(2, 80), st.integers(2, 80)),
)
def test_matching_never_turns_the_order_of_hu(
    means: tuple[int, int], spreads: tuple[int, int]
) -> None:
    curve = match([draw(0, means[0], spreads[0])], [draw(1, means[1], spreads[1])])
    assert (np.diff(curve.hu) > 0).all()
    assert (np.diff(curve.values) >= 0).all()


def test_the_air_around_the_patient_has_no_say_in_matching() -> None:
    small = Volume(draw(0, 100, 20).array[2:-2, 2:-2], AFFINE)
    target = draw(1, 40, 20)
    whole = match([draw(0, 100, 20)], [target])
    np.testing.assert_allclose(match([small], [target]).values, whole.values)


def patient(source: list[int], truth: list[float]) -> Reference:
    """Return a patient of one row of voxels."""
    hu, wanted = (np.array(values, np.float32)[None, None] for values in (source, truth))
    return Reference("one", Scan(hu, (5.0, 3.0, 3.0)), Window(-200, 600), truth=wanted)


def test_the_least_squares_curve_is_the_mean_truth_of_each_hu() -> None:
    known = patient([200] * 40 + [0] * 40, [180.0] * 30 + [40.0] * 10 + [0.0] * 40)
    output = fit_least_squares_curve([known]).at(known.source.hu).ravel()
    assert output[0] == pytest.approx((30 * 180 + 10 * 40) / 40)
    assert output[-1] == pytest.approx(0.0)


def test_no_other_curve_has_a_smaller_squared_error() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(0, 60, 20000) * 2
    truth = np.sin(source / 15.0) * 50 + rng.normal(0, 20, source.shape)
    known = patient(source.tolist(), truth.tolist())
    curve = fit_least_squares_curve([known])

    def error(tried: Curve) -> float:
        return float(np.mean((tried.at(known.source.hu).ravel() - truth) ** 2))

    for _ in range(5):
        other = Curve(curve.hu, curve.values + rng.normal(0, 1, curve.values.shape))
        assert error(curve) < error(other)
    assert error(curve) == pytest.approx(400, rel=0.03)


def test_bins_with_few_voxels_are_filled_in_from_their_neighbours() -> None:
    known = patient([0] * 50 + [100] * 50 + [50], [10.0] * 50 + [90.0] * 50 + [999.0])
    assert fit_least_squares_curve([known]).at(np.array([50])).item() == pytest.approx(50.0)


def test_beyond_its_ends_a_curve_shifts_like_its_ends() -> None:
    curve = Curve(np.array([0.0, 100.0]), np.array([10.0, 50.0]))
    assert curve.at(np.array([-500, 50, 900])).tolist() == [-490, 30, 850]
    volume = Volume(np.array([[[-500, 50, 900]]], np.int16), AFFINE)
    assert curve(volume).array.ravel().tolist() == [-490, 30, 850]
