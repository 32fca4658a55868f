from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medcyclegan.errors import GeometryError, InputError
from medcyclegan.io import read_labels, read_volume
from medcyclegan.phantom.parameters import LABELS, TISSUES, Phase
from medcyclegan.phantom.semireal import SemiReal, enhance
from medcyclegan.phantom.totalsegmentator import TOTALSEGMENTATOR, TOTALSEGMENTATOR_V1
from medcyclegan.volume import Labels, Volume

NAMES = {"liver": (5,), "kidneys": (2,), "aorta": (52,), "vena_cava": (63,), "gallbladder": (4,)}
BASE = {5: 55, 2: 30, 52: 40, 63: 40, 4: 8, 0: -100}


def make_scan(
    spacing: tuple[float, float, float] = (2.0, 2.0, 4.0), flips: tuple[int, ...] = ()
) -> tuple[Volume, Labels]:
    """A noisy block of fat with organs in it; axes run left, back and head unless flipped."""
    labels = np.zeros((70, 50, 24), np.uint8)
    labels[4:28, 6:40, 4:20] = 5
    i, j, k = np.ogrid[:70, :50, :24]
    ball = ((i - 46) / 11) ** 2 + ((j - 34) / 11) ** 2 + ((k - 12) / 8) ** 2
    labels[ball < 1] = 2
    labels[36:44, 6:14, :] = 52
    labels[50:58, 6:14, :] = 63
    labels[29:35, 15:21, 6:16] = 4
    hu = np.vectorize(BASE.get)(labels).astype(np.float64)
    hu += np.random.default_rng(3).normal(0.0, 8.0, hu.shape)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (labels.shape[axis] - 1)
        affine[:3, axis] *= -1
    labels, hu = np.flip(labels, flips), np.flip(hu, flips)
    return Volume(np.rint(hu).astype(np.int16), affine), Labels(labels, affine)


def change(case: SemiReal) -> npt.NDArray[np.float64]:
    return case.image.array.astype(np.float64) - case.twin.array


def core(labels: Labels, value: int) -> npt.NDArray[np.bool_]:
    return ndimage.binary_erosion(labels.array == value, iterations=2)


@pytest.mark.parametrize("phase", ["venous", "arterial", "delayed"])
def test_organs_rise_by_the_table_and_the_twin_is_the_scan(phase: Phase) -> None:
    scan, labels = make_scan()
    case = enhance(scan, labels, NAMES, phase=phase, dose=1.0)
    assert case.twin is scan
    assert case.labels is labels
    assert (case.phase, case.dose) == (phase, 1.0)
    assert case.image.array.dtype == scan.array.dtype
    np.testing.assert_array_equal(case.image.affine, scan.affine)
    for name, value in (("liver", 5), ("aorta", 52)):
        usual = getattr(TISSUES[name], phase)
        assert change(case)[core(labels, value)].mean() == pytest.approx(usual, rel=0.25), name
    assert not change(case)[core(labels, 4)].any()  # bile takes up nothing


def test_enhancement_is_uneven_inside_an_organ_and_its_surface_is_blurred() -> None:
    scan, labels = make_scan()
    risen = change(enhance(scan, labels, NAMES, dose=1.0))
    inner = risen[core(labels, 5)]
    assert 0.02 < inner.std() / inner.mean() < 0.12
    edge = risen[(labels.array == 5) & ~ndimage.binary_erosion(labels.array == 5)].mean()
    beyond = ndimage.binary_dilation(labels.array == 5) & (labels.array == 0)
    assert 0.4 * inner.mean() < edge < 0.95 * inner.mean()
    assert 0.02 * inner.mean() < risen[beyond].mean() < 0.4 * inner.mean()


def test_a_thick_slice_shows_some_of_its_neighbour() -> None:
    scan, labels = make_scan((1.0, 1.0, 6.0))
    risen = change(enhance(scan, labels, NAMES, dose=1.0))[10:22, 12:34]
    share = risen[..., 20].mean() / risen[..., 17].mean()  # the liver ends with slice 19
    assert 0.03 < share < 0.09


@settings(max_examples=15)
@given(
    st.tuples(st.floats(0.7, 3.0), st.floats(0.7, 3.0), st.floats(3.0, 6.0)),
    st.sampled_from([(), (0,), (1, 2), (0, 1, 2)]),
    st.integers(0, 2**31),
)
def test_beyond_the_blur_every_voxel_keeps_its_bits(
    spacing: tuple[float, float, float], flips: tuple[int, ...], seed: int
) -> None:
    scan, labels = make_scan(spacing, flips)
    scan = replace(scan, array=scan.array.astype(np.float32))
    case = enhance(scan, labels, NAMES, seed=seed)
    tissue = np.isin(labels.array, (5, 2, 52, 63))
    sigmas = (1.4 / spacing[0], 1.4 / spacing[1], 1 / 2.355)  # slices lie along the third axis
    far = ~ndimage.maximum_filter(tissue, [2 * int(3 * sigma + 0.5) + 1 for sigma in sigmas])
    np.testing.assert_array_equal(case.image.array[far], scan.array[far])
    assert (change(case)[tissue] > 0).mean() > 0.8


def test_equal_seeds_give_equal_images_and_others_other_doses() -> None:
    scan, labels = make_scan()
    first, again, other = (enhance(scan, labels, NAMES, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image.array, again.image.array)
    assert first.dose == again.dose != other.dose
    assert 0.7 <= other.dose <= 1.4
    one, two = (enhance(scan, labels, NAMES, dose=dose) for dose in (0.6, 1.2))
    liver = core(labels, 5)
    assert change(two)[liver].mean() / change(one)[liver].mean() == pytest.approx(2.0, rel=0.02)


def test_floats_stay_floats_and_whole_numbers_saturate() -> None:
    scan, labels = make_scan()
    fractional = replace(scan, array=scan.array.astype(np.float32) + np.float32(0.25))
    case = enhance(fractional, labels, NAMES)
    assert case.image.array.dtype == np.float32
    assert (case.image.array % 1 != 0).any()
    small = replace(scan, array=scan.array.clip(-128, 127).astype(np.int8))
    bright = enhance(small, labels, NAMES, phase="arterial", dose=1.4).image.array
    assert bright.max() == 127
    assert bright[core(labels, 52)].min() == 127


def test_the_cortex_of_a_kidney_lies_under_its_capsule_and_fills_first() -> None:
    scan, labels = make_scan()
    risen = change(enhance(scan, labels, NAMES, phase="arterial", dose=1.0))
    kidney = labels.array == 2
    depth = ndimage.distance_transform_edt(kidney, sampling=scan.spacing_mm)
    assert risen[kidney & (depth > 4) & (depth < 5)].mean() > 100
    assert 20 < risen[kidney & (depth > 14)].mean() < 60


def test_a_renal_sinus_is_no_capsule_and_its_fat_takes_up_nothing() -> None:
    scan, labels = make_scan()
    i, j, k = np.ogrid[:70, :50, :24]
    sinus = ((i - 36) / 6) ** 2 + ((j - 34) / 3) ** 2 + ((k - 12) / 4) ** 2 < 1
    labels.array[sinus & (labels.array == 2)] = 0
    risen = change(enhance(scan, labels, NAMES, phase="arterial", dose=1.0))
    beside = ndimage.binary_dilation(sinus, iterations=2) & ~ndimage.binary_dilation(sinus)
    depth = ndimage.distance_transform_edt((labels.array == 2) | sinus, sampling=scan.spacing_mm)
    assert risen[beside & (depth > 13)].mean() < 70  # medulla, though next to the sinus
    fatty, labels = make_scan()  # a label that takes the sinus in
    fatty.array[sinus] = -100
    inside = ndimage.binary_erosion(sinus)
    case = enhance(fatty, labels, NAMES, dose=1.0)
    assert change(case)[inside].mean() < 20
    assert change(case)[labels.array == 2].mean() > 80


def test_a_kidney_goes_on_beyond_the_scan_that_cuts_it() -> None:
    scan, labels = make_scan()
    cut = Volume(scan.array[:, :, 12:], scan.affine)
    part = Labels(labels.array[:, :, 12:], labels.affine)
    risen = change(enhance(cut, part, NAMES, phase="arterial", dose=1.0))
    assert 20 < risen[44:49, 32:37, 0].mean() < 60  # medulla, though in the lowest slice


def test_calcium_takes_up_nothing() -> None:
    scan, labels = make_scan()
    scan.array[38:42, 8:12, 8:12] = 500
    risen = change(enhance(scan, labels, NAMES, phase="arterial", dose=1.0))
    assert risen[39:41, 9:11, 9:11].max() < 60
    assert risen[38:42, 8:12, 16:20].mean() > 200


@pytest.mark.parametrize("flips", [(), (2,), (0, 1, 2)])
def test_arterial_blood_from_the_legs_holds_little(flips: tuple[int, ...]) -> None:
    scan, labels = make_scan(flips=flips)
    risen = np.flip(change(enhance(scan, labels, NAMES, phase="arterial", dose=1.0)), flips)
    low, high = (risen[52:56, 8:12, part].mean() for part in (slice(1, 6), slice(18, 23)))
    assert low == pytest.approx(0.25 * high, rel=0.25)
    without = {name: values for name, values in NAMES.items() if name != "kidneys"}
    risen = np.flip(change(enhance(scan, labels, without, phase="arterial")), flips)
    low, high = (risen[52:56, 8:12, part].mean() for part in (slice(1, 6), slice(18, 23)))
    assert low == pytest.approx(high, rel=0.2)  # nothing says where the kidneys are


def test_only_tissues_that_the_labels_hold_are_named() -> None:
    scan, labels = make_scan()
    case = enhance(scan, labels)
    assert case.tissues == {
        "liver": (5,), "kidneys": (2,), "aorta": (52,), "vena_cava": (63,), "gallbladder": (4,)
    }  # fmt: skip


@pytest.mark.parametrize("names", [TOTALSEGMENTATOR, TOTALSEGMENTATOR_V1])
def test_the_shipped_numberings_name_each_label_once(names: dict[str, tuple[int, ...]]) -> None:
    values = [value for some in names.values() for value in some]
    assert len(values) == len(set(values))
    assert set(names) - {"kidneys"} <= set(LABELS)


def test_what_cannot_be_done_is_refused_in_one_line() -> None:
    scan, labels = make_scan()

    def refused(match: str, **changed: object) -> None:
        given: dict[str, object] = {"volume": scan, "labels": labels, "names": NAMES} | changed
        with pytest.raises(InputError, match=match) as error:
            enhance(**given)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)

    refused("unknown tissue 'livr'; known are .*kidneys.*liver", names={"livr": (5,)})
    refused("label 5 stands for two tissues", names={"liver": (5,), "aorta": (5,)})
    refused("labels of no organ that enhances", names={"liver": (77,), "gallbladder": (4,)})
    refused("choose another", phase="noncontrast")
    refused("dose -1: give", dose=-1.0)
    refused("dose 6: give", dose=6.0)
    refused("dose nan: give", dose=float("nan"))
    bright = replace(scan, array=scan.array + (labels.array == 52).astype(np.int16) * 110)
    refused("measures 1[45]. HU where its labels say aorta: contrast medium already", volume=bright)
    refused("measures -(99|100) HU where its labels say aorta: labels of", names={"aorta": (0,)})
    refused("where label 4 says lung: labels of another", names={"liver": (5,), "lung": (4,)})
    with pytest.raises(GeometryError, match="on the grid of the scan"):
        enhance(scan, Labels(labels.array[1:], labels.affine), NAMES)


def test_a_real_scan_takes_contrast_medium(real_data: Path) -> None:
    folder = real_data / "totalsegmentator"
    scan = read_volume(folder / "example_ct_sm.nii.gz")
    labels = read_labels(folder / "example_seg.nii.gz")
    case = enhance(scan, labels, dose=1.0)
    limits = {
        "liver": (40, 68), "spleen": (52, 92), "kidneys": (105, 165), "aorta": (75, 130),
        "vena_cava": (70, 120), "portal_vein": (85, 140), "pancreas": (30, 66), "muscle": (7, 16),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        there = np.isin(labels.array, TOTALSEGMENTATOR[name])
        assert low < np.median(change(case)[there]) < high, name
    untouched = np.isin(labels.array, (*TOTALSEGMENTATOR["spongy_bone"], *range(92, 117)))
    assert (change(case)[untouched] == 0).mean() > 0.9
    assert (change(case) == 0).mean() > 0.6
    with pytest.raises(InputError, match="labels of another numbering"):
        enhance(scan, labels, TOTALSEGMENTATOR_V1)
