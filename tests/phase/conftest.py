"""What tests of the contrast phase share: a body with vessels of any HU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medcyclegan.volume import Volume

MakeBody = Callable[..., Volume]


@pytest.fixture
def make_body() -> MakeBody:
    """Makes an ellipse of muscle in fat and skin, with two round vessels and a vertebra."""

    def make(blood_hu: float, *, pixel_mm: float = 2.0, half_width_mm: float = 150.0) -> Volume:
        size = int(2.4 * half_width_mm / pixel_mm)
        x, y = (np.mgrid[:size, :size] - (size - 1) / 2) * pixel_mm

        def round_(at_x: float, at_y: float, radius: float) -> np.ndarray:
            return np.hypot(x - at_x, y - at_y) < radius

        oval = np.hypot(x / half_width_mm, y / (0.7 * half_width_mm))
        plane = np.where(oval < 1, -100.0, -1000.0)
        plane[oval < 0.85] = 55
        plane[round_(0, 60, 22)] = 500
        plane[round_(0, 60, 18)] = 180
        plane[round_(10, 25, 13)] = blood_hu
        plane[round_(-25, 25, 15)] = blood_hu
        noise = np.random.default_rng(5).normal(0, 12, (*plane.shape, 8))
        array = np.rint(plane[..., None] + noise).astype(np.int16)
        return Volume(array, np.diag([-pixel_mm, -pixel_mm, 5.0, 1.0]))

    return make
