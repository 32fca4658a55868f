from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.report.series import MOST_POINTS, Series


def filled(values: list[float]) -> Series:
    series = Series()
    for step, value in enumerate(values):
        series.add(step, value)
    return series


def test_few_values_stay_as_they_are() -> None:
    points = filled([3.0, 1.0, 2.0]).points
    assert [(p.step, p.mean, p.low, p.high, p.count) for p in points] == [
        (0, 3.0, 3.0, 3.0, 1),
        (1, 1.0, 1.0, 1.0, 1),
        (2, 2.0, 2.0, 2.0, 1),
    ]


@given(st.integers(1, 20_000))
def test_many_become_few_and_none_is_lost(count: int) -> None:
    series = filled([float(number % 7) for number in range(count)])
    points = series.points
    assert len(points) < 2 * MOST_POINTS
    assert sum(p.count for p in points) == count
    mean = sum(p.mean * p.count for p in points) / count
    assert mean == pytest.approx(sum(number % 7 for number in range(count)) / count)
    assert sum(p.step * p.count for p in points) / count == pytest.approx((count - 1) / 2)
    assert [p.step for p in points] == sorted(p.step for p in points)


def test_a_single_peak_is_never_lost() -> None:
    values = [0.0] * 100_000
    values[54_321] = 1.0
    peaks = [p for p in filled(values).points if p.high == 1.0]
    assert len(peaks) == 1
    assert peaks[0].low == 0.0
    assert peaks[0].step == pytest.approx(54_321, abs=200)


def test_smoothing_keeps_a_straight_line_and_takes_noise_away() -> None:
    line = filled([float(step) for step in range(500)])
    assert line.smoothed()[10:-10] == pytest.approx([p.mean for p in line.points][10:-10])
    noise = filled([float(step % 2) for step in range(500)])
    assert max(abs(value - 0.5) for value in noise.smoothed()) < 0.06
    short = filled([1.0, 5.0, 2.0])
    assert short.smoothed() == [1.0, 5.0, 2.0]
