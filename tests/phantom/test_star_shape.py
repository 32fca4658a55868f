from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from medcyclegan.phantom.shapes import Grid
from medcyclegan.phantom.star_shape import Star, make_star


def holds(star: Star, place: npt.NDArray[np.float64]) -> bool:
    x, y, z = (np.array([value], np.float32) for value in place)
    return bool((star.field(Grid(z, y, x))[1] > 0).any())


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.floats(8.0, 40.0), st.floats(0.0, 0.5))
def test_stars_are_seen_whole_from_their_middle(seed: int, radius: float, swelling: float) -> None:
    star = make_star(
        np.random.default_rng(seed),
        (3.0, -2.0, 1.0),
        (radius, radius, 1.5 * radius),
        swelling=swelling,
    )
    directions = np.random.default_rng(seed).standard_normal((6, 3))
    for direction in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        places = np.linspace(0.01, 2.2, 16)[:, None] * direction * radius + star.centre
        inside = np.array([holds(star, place) for place in places])
        assert inside[0]
        assert not inside[-1]
        assert np.count_nonzero(np.diff(inside)) == 1  # once out, out for good
