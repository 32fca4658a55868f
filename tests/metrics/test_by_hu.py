from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from medcyclegan.metrics.by_hu import NULL_BY_SOURCE_HU, tissues_by_hu
from medcyclegan.metrics.reference import Hu, LabelMap, Reference, Scan

FAT, LIVER = 1, 2
Make = Callable[..., Reference]


def test_fat_is_found_by_its_hu_and_neither_organs_nor_their_rims_are(
    scan: Callable[[Hu], Scan], clean: Hu, noise: Callable[[int], Hu], labels: LabelMap
) -> None:
    found = tissues_by_hu(scan(clean + noise(0)))
    assert list(found) == ["fat"]  # the air lies outside the body
    assert set(labels.ravel()[found["fat"]]) == {FAT}
    assert len(found["fat"]) > 0.3 * np.count_nonzero(labels == FAT)


def test_the_rim_of_air_in_an_organ_is_no_fat(
    scan: Callable[[Hu], Scan], clean: Hu, labels: LabelMap
) -> None:
    pocket = clean.copy()
    pocket[:, 14:22, 14:22] = -1000.0
    blurred = ndimage.gaussian_filter(pocket, (0, 1, 1))
    found = tissues_by_hu(scan(blurred))
    assert not np.isin(labels.ravel()[found["fat"]], [LIVER]).any()
    assert np.isin(labels.ravel()[found["air"]], [LIVER]).all()


@pytest.mark.parametrize(
    ("hu", "name"), [(-950.0, "air"), (-800.0, "lung"), (-100.0, "fat"), (900.0, "bone")]
)
def test_each_tissue_by_its_hu(
    scan: Callable[[Hu], Scan], clean: Hu, labels: LabelMap, hu: float, name: str
) -> None:
    found = tissues_by_hu(scan(np.where(labels == LIVER, hu, clean)))[name]
    liver = np.count_nonzero(labels.ravel()[found] == LIVER)
    assert liver > 0.7 * np.count_nonzero(labels == LIVER)


def test_metal_is_no_bone(scan: Callable[[Hu], Scan], clean: Hu, labels: LabelMap) -> None:
    found = tissues_by_hu(scan(np.where(labels == LIVER, 2500.0, clean)))["bone"]  # its rim
    assert len(found) < 0.3 * np.count_nonzero(labels == LIVER)


def test_the_shift_by_hand(reference: Make, labels: LabelMap) -> None:
    known = reference()
    output = known.source.hu.copy()
    output[labels == LIVER] -= 55.0  # an organ changes: no matter
    output[labels == FAT] -= 4.0
    shifted = NULL_BY_SOURCE_HU.measure(known, output)
    assert list(shifted) == ["fat"]
    assert shifted["fat"] == pytest.approx((4.0,), abs=1e-3)
    assert NULL_BY_SOURCE_HU.measure(known, known.source.hu) == {"fat": (0.0,)}


def test_noise_of_another_acquisition_is_no_shift(
    reference: Make, clean: Hu, noise: Callable[[int], Hu]
) -> None:
    shift = NULL_BY_SOURCE_HU.measure(reference(), clean + noise(1))
    assert shift["fat"][0] < 0.3
