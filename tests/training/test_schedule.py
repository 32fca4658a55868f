from __future__ import annotations

import pytest

from medcyclegan.training.schedule import constant_then_linear


@pytest.mark.parametrize(
    ("steps", "fraction", "factors"),
    [
        (4, 0.5, [1, 1, 1, 0.5]),
        (8, 0.5, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
        (4, 0.0, [1, 0.75, 0.5, 0.25]),
        (4, 1.0, [1, 1, 1, 1]),
        (1, 0.5, [1]),
    ],
)
def test_the_rate_is_constant_and_then_falls_linearly(
    steps: int, fraction: float, factors: list[float]
) -> None:
    assert [constant_then_linear(step, steps, fraction) for step in range(steps)] == factors


def test_it_would_reach_zero_one_step_after_the_last() -> None:
    assert constant_then_linear(100, 100, 0.5) == 0
