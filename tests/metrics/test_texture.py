from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from medcyclegan.metrics.reference import Hu, LabelMap, Reference
from medcyclegan.metrics.texture import TEXTURE, grain, spread

LIVER = 2
Make = Callable[..., Reference]


@given(count=st.integers(1, 300), most=st.integers(2, 60))
def test_numbers_are_spread_evenly_from_end_to_end(count: int, most: int) -> None:
    numbers = spread(count, most)
    assert len(numbers) == min(count, most)
    assert numbers[0] == 0
    assert numbers[-1] == count - 1
    if len(numbers) > 1:
        assert np.ptp(np.diff(numbers)) <= 1


def test_grain_sees_no_level_no_slope_and_no_edge(labels: LabelMap) -> None:
    places = np.flatnonzero(labels == LIVER)
    spacing = (5.0, 2.0, 2.0)
    hu = np.where(labels == LIVER, 70.0, -1000.0).astype(np.float32)
    assert np.abs(grain(hu, places, spacing)).max() < 1e-3
    slope = hu + 0.1 * np.arange(64, dtype=np.float32)
    assert grain(slope, places, spacing).std() < 0.1


def test_grain_of_a_chessboard_by_hand(labels: LabelMap) -> None:
    rows, columns = np.indices(labels.shape[1:])
    chess = np.broadcast_to(np.where((rows + columns) % 2, 5.0, -5.0), labels.shape)
    found = grain(chess.astype(np.float32), np.flatnonzero(labels == LIVER), (5.0, 2.0, 2.0))
    assert np.abs(found).mean() == pytest.approx(5.0, rel=0.02)  # the Gaussian makes it even


def test_texture_ratios_by_hand(reference: Make, truth: Hu, noise: Callable[[int], Hu]) -> None:
    known = reference()  # noise of 10 HU
    half, double = (TEXTURE.measure(known, truth + factor * noise(3)) for factor in (0.5, 2.0))
    assert set(half) == {"fat", "muscle", "liver"}
    for tissue in half:
        assert half[tissue] == pytest.approx((0.5,), rel=0.05)
        assert double[tissue] == pytest.approx((2.0,), rel=0.05)


def test_a_blurred_truth_has_lost_its_texture_and_another_acquisition_has_not(
    reference: Make, truth: Hu, noise: Callable[[int], Hu]
) -> None:
    known = reference()
    again = truth + noise(4)
    blurred = ndimage.gaussian_filter(again, (0, 2, 2))
    assert TEXTURE.measure(known, again)["liver"][0] == pytest.approx(1.0, rel=0.05)
    assert TEXTURE.measure(known, blurred)["liver"][0] < 0.3
    assert TEXTURE.measure(known, known.source.hu)["liver"][0] == 1.0


def test_a_source_without_grain_has_no_ratio(reference: Make, labels: LabelMap) -> None:
    even = np.where(labels == LIVER, 0.0, -1000.0).astype(np.float32)
    assert "liver" not in TEXTURE.measure(reference(source=even), even)


def test_without_labels_fat_is_told_by_its_hu(
    reference: Make, truth: Hu, noise: Callable[[int], Hu]
) -> None:
    known = reference()
    object.__setattr__(known.source, "labels", None)
    assert set(TEXTURE.measure(known, truth + noise(3))) == {"fat"}
