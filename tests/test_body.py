"""Where the patient is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.body import Box, body_box, body_mask, slice_tissues


def test_the_table_is_not_the_patient_and_lungs_are() -> None:
    slices = np.full((2, 60, 80), -1000.0)
    rows, columns = np.ogrid[:60, :80]
    patient = ((rows - 28) / 18) ** 2 + ((columns - 40) / 30) ** 2 < 1
    slices[0][patient] = 40
    slices[0][((rows - 28) / 8) ** 2 + ((columns - 30) / 8) ** 2 < 1] = -850  # lung
    slices[0, 52:54, 5:75] = 100  # table
    mask = body_mask(slices)
    assert mask[0, 28, 30]
    assert not mask[0, 52:].any()
    assert abs(int(mask[0].sum()) - int(patient.sum())) < 0.05 * patient.sum()
    assert not mask[1].any()
    assert body_box(mask[0]) == Box(11, 46, 11, 70)
    assert body_box(mask[1]) == Box(0, 60, 0, 80)


def tissue_slices() -> npt.NDArray[np.float64]:
    """A body of 40 rows: 10 of lung, fat, soft tissue and bone each; then one of air."""
    slices = np.full((2, 60, 50), -1000.0)
    for band, hu in enumerate((-800, -100, 50, 900)):
        slices[0, 10 + 10 * band : 20 + 10 * band, 10:40] = hu
    return slices


def test_tissues_are_shares_of_the_body_and_its_area_is_in_cm2() -> None:
    slices = tissue_slices()
    masks = np.zeros(slices.shape, bool)
    masks[0, 10:50, 10:40] = True
    tissues = slice_tissues(slices, masks, (2.0, 0.5))
    assert tissues.body_cm2.tolist() == [40 * 2.0 * 30 * 0.5 / 100, 0]
    for share in tissues[1:]:
        assert share.tolist() == [0.25, 0]


def test_what_lies_outside_the_body_is_no_tissue() -> None:
    slices = tissue_slices()
    masks = np.zeros(slices.shape, bool)
    masks[0, 30:50, 10:40] = True
    tissues = slice_tissues(slices, masks, (1.0, 1.0))
    assert (tissues.lung[0], tissues.fat[0], tissues.soft[0], tissues.bone[0]) == (0, 0, 0.5, 0.5)


@pytest.mark.parametrize("enhanced", [120, 300, 499])
def test_contrast_medium_changes_no_tissue(enhanced: int) -> None:
    slices = tissue_slices()
    masks = np.zeros(slices.shape, bool)
    masks[0, 10:50, 10:40] = True
    plain = slice_tissues(slices, masks, (1.0, 1.0))
    slices[0, 32:38, 15:30] = enhanced  # a vessel
    for before, after in zip(plain, slice_tissues(slices, masks, (1.0, 1.0)), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("hu", "tissue"),
    [
        (-1000, "lung"),
        (-501, "lung"),
        (-500, ""),
        (-201, ""),
        (-200, "fat"),
        (-31, "fat"),
        (-30, "soft"),
        (499, "soft"),
        (500, "bone"),
        (3071, "bone"),
    ],
)
def test_each_hu_is_of_one_tissue_or_of_none(hu: int, tissue: str) -> None:
    slices = np.full((1, 2, 2), hu, np.int16)
    tissues = slice_tissues(slices, np.ones(slices.shape, bool), (1.0, 1.0))._asdict()
    shares = {name: float(share[0]) for name, share in tissues.items() if name != "body_cm2"}
    assert [name for name, share in shares.items() if share] == ([tissue] if tissue else [])
