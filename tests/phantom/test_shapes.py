from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom.shapes import EVERYTHING, Grid, Lumps, column, ellipsoid, spline, tube


def grid(step: float = 2.0) -> Grid:
    line = np.arange(-60.0, 60.0 + step / 2, step).astype(np.float32)
    return Grid(line, line, line)


@pytest.mark.parametrize(("turn", "tilt"), [(0.0, 0.0), (30.0, 0.0), (0.0, 15.0), (-40.0, 10.0)])
def test_ellipsoids_have_their_volume_and_place_however_they_lie(turn: float, tilt: float) -> None:
    region, field = ellipsoid(grid(), (4.0, -6.0, 2.0), (12, 20, 30), turn_deg=turn, tilt_deg=tilt)
    inside = np.zeros(grid().shape, bool)
    inside[region] = field > 0
    assert inside.sum() * 8 == pytest.approx(4 / 3 * np.pi * 12 * 20 * 30, rel=0.03)
    z, y, x = (np.argwhere(inside).mean(axis=0) * 2 - 60).tolist()
    assert (x, y, z) == pytest.approx((4, -6, 2), abs=0.3)


def test_the_same_noise_is_seen_on_any_grid() -> None:
    lumps = Lumps(np.random.default_rng(0), 20.0)
    coarse, fine = lumps(grid(4.0), EVERYTHING), lumps(grid(2.0), EVERYTHING)
    np.testing.assert_allclose(coarse, fine[::2, ::2, ::2], atol=1e-5)
    assert Lumps(np.random.default_rng(0), 5.0)(grid(), EVERYTHING).std() == pytest.approx(
        1, abs=0.1
    )


def test_columns_are_absent_where_their_radius_is_zero() -> None:
    slices = len(grid().z)
    radii = np.tile([10.0, 6.0], (slices, 1))
    radii[::3] = 0.0
    region, field = column(grid(), np.zeros((slices, 2)), radii)
    inside = np.zeros(grid().shape, bool)
    inside[region] = field > 0
    areas = inside.sum(axis=(1, 2)) * 4.0
    assert not areas[::3].any()
    assert areas[1] == pytest.approx(np.pi * 60, rel=0.15)
    assert not (column(grid(), np.zeros((slices, 2)), np.zeros((slices, 2)))[1] > 0).any()


def test_tubes_follow_their_curve() -> None:
    points = spline([(-30, 0, 0), (0, 10, 5), (30, 0, 0)], 3.0)
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() < 4.0
    region, field = tube(grid(), points, np.full(len(points), 8.0))
    inside = np.zeros(grid().shape, bool)
    inside[region] = field > 0
    for x, y, z in ((0, 10, 4), (-30, 0, 0)):
        assert inside[(z + 60) // 2, (y + 60) // 2, (x + 60) // 2]
    assert not inside[30, 30 - 4, 30]
