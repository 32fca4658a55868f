from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom.acquisition import SCANNERS, blur, noise, whole_hu


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_noise_has_the_scanners_level_and_no_mean(name: str) -> None:
    scanner = SCANNERS[name]
    grain = noise((8, 128, 128), scanner, 3.0, np.random.default_rng(0))
    low, high = scanner.noise_hu
    assert low <= grain.std() <= high
    assert abs(grain.mean()) < 1.0


def test_the_smooth_scanners_noise_is_coarser_in_the_slice_and_free_between_slices() -> None:
    along = {}
    for name, scanner in SCANNERS.items():
        grain = noise((8, 128, 128), scanner, 3.0, np.random.default_rng(0))
        along[name] = np.corrcoef(grain[:, :, 1:].ravel(), grain[:, :, :-1].ravel())[0, 1]
        between = np.corrcoef(grain[1:].ravel(), grain[:-1].ravel())[0, 1]
        assert abs(between) < 0.02
    assert along["smooth"] > along["sharp"] + 0.1


def test_blur_keeps_the_mean_and_spreads_within_the_slice_only() -> None:
    point = np.zeros((3, 33, 33), np.float32)
    point[1, 16, 16] = 1000.0
    seen = {name: blur(point, scanner, 3.0) for name, scanner in SCANNERS.items()}
    for image in seen.values():
        assert image.sum() == pytest.approx(1000.0, rel=1e-3)
        assert not image[[0, 2]].any()
    assert seen["smooth"].max() < seen["sharp"].max() < 1000.0


def test_scanners_store_whole_hu_within_twelve_bits() -> None:
    stored = whole_hu(np.array([-1100.0, -0.6, 12.4, 4000.0], np.float32))
    assert stored.dtype == np.int16
    assert stored.tolist() == [-1024, -1, 12, 3071]
