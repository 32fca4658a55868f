"""Window and the way a change reaches the voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.errors import ConfigError
from medcyclegan.intensity import Window, apply_change

WINDOW = Window(-200.0, 600.0)
limits = st.tuples(st.integers(-1100, 1000), st.integers(1, 4000))


@given(limits, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_hu_inside_the_window_come_back(limit: tuple[int, int], shares: list[float]) -> None:
    window = Window(limit[0], limit[0] + limit[1])
    hu = (window.low_hu + np.array(shares) * window.width_hu).astype(np.float32)
    hu = hu.clip(window.low_hu, window.high_hu)
    back = window.to_hu(window.to_unit(hu))
    assert np.abs(back - hu).max() <= 1e-6 * 4 * (window.width_hu + abs(window.low_hu))


@given(limits)
def test_every_whole_hu_comes_back_exactly(limit: tuple[int, int]) -> None:
    window = Window(limit[0], limit[0] + limit[1])
    hu = np.arange(window.low_hu, window.high_hu + 1, dtype=np.float32)
    assert np.array_equal(np.rint(window.to_hu(window.to_unit(hu))), hu)


def test_window_ends_clip_and_tensors_do_as_arrays_do() -> None:
    hu = np.array([-3000.0, -200.0, 200.0, 600.0, 3000.0], np.float32)
    assert WINDOW.to_unit(hu).tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0]
    assert torch.equal(WINDOW.to_unit(torch.from_numpy(hu)), torch.tensor([-1.0, -1.0, 0, 1, 1]))
    assert WINDOW.change_to_hu(np.float32(0.25)) == 100.0


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ConfigError, match="low_hu 40 must be below high_hu 40"):
        Window(40, 40)


@given(st.lists(st.floats(-3000, 4000, width=32), min_size=1, max_size=50))
def test_no_change_gives_the_voxels_back_bit_for_bit(values: list[float]) -> None:
    hu = np.array(values, np.float32)
    same = apply_change(hu, np.zeros_like(hu), WINDOW)
    assert same.tobytes() == (hu + np.float32(0.0)).tobytes()


@given(st.floats(-3000, -200, width=32), st.floats(-800, 800, width=32))
def test_voxels_below_the_window_keep_their_value(hu: float, change: float) -> None:
    result = apply_change(np.full(1, hu, np.float32), np.full(1, change, np.float32), WINDOW)
    assert result[0] == np.float32(hu)


@given(st.floats(-150, 600, width=32), st.floats(-800, 800, width=32))
def test_inside_the_window_the_change_is_added(hu: float, change: float) -> None:
    result = apply_change(np.full(1, hu, np.float32), np.full(1, change, np.float32), WINDOW)
    assert result[0] == pytest.approx(hu + change, abs=1e-3)


@given(st.floats(600, 3000, width=32), st.floats(-800, -330, width=32))
def test_an_opacified_vessel_above_the_window_comes_down_whole(hu: float, change: float) -> None:
    result = apply_change(np.full(1, hu, np.float32), np.full(1, change, np.float32), WINDOW)
    assert result[0] == pytest.approx(600 + change, abs=1e-3)


@given(st.floats(600, 3000, width=32), st.floats(-80, 200, width=32))
def test_bone_that_is_nearly_left_alone_keeps_its_excess(hu: float, change: float) -> None:
    result = apply_change(np.full(1, hu, np.float32), np.full(1, change, np.float32), WINDOW)
    assert result[0] == pytest.approx(hu + change, abs=1e-3)


@pytest.mark.parametrize("change", [-400.0, -250.0, -100.0, 50.0])
def test_there_is_no_cliff_anywhere(change: float) -> None:
    hu = np.arange(-400, 1500, 0.25, dtype=np.float32)
    steps = np.diff(apply_change(hu, np.full_like(hu, change), WINDOW))
    assert np.abs(steps).max() < 0.25 * (2 + abs(change) / 20)
    hu = np.full(3201, 900, np.float32)
    asked = np.linspace(-800, 0, 3201, dtype=np.float32)
    assert np.diff(apply_change(hu, asked, WINDOW)).max() < 0.25 * (1 + 300 * 1.5 / 240) + 1e-3
