from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import zoom

from medcyclegan.errors import IntensityError
from medcyclegan.hounsfield import check_hu, odd_hu

Array = npt.NDArray[Any]


def tissue(air: float, fat: float, soft: float, bone: float, seed: int = 0) -> Array:
    """A flat CT with these shares of air, fat, soft tissue and bone."""
    rng = np.random.default_rng(seed)
    parts = [(air, -1000, 12), (fat, -100, 15), (soft, 45, 20), (bone, 500, 200)]
    values = [rng.normal(mean, spread, int(20_000 * share)) for share, mean, spread in parts]
    return np.rint(np.concatenate(values)).astype(np.int16)


ABDOMEN = tissue(0.3, 0.25, 0.4, 0.05)


def crop_of_lung() -> Array:
    rng = np.random.default_rng(2)
    return np.rint(np.r_[rng.normal(-870, 40, 19_000), rng.normal(20, 60, 1000)]).astype(np.int16)


def water_bath() -> Array:
    rng = np.random.default_rng(3)
    return np.rint(np.r_[rng.normal(0, 4, 12_000), rng.normal(-1000, 4, 8000)]).astype(np.int16)


def cone_beam() -> Array:
    return (ABDOMEN - 150 + np.random.default_rng(4).normal(0, 80, ABDOMEN.size)).astype(np.int16)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(ABDOMEN, id="abdomen"),
        pytest.param(ABDOMEN.astype(np.float32) + 0.25, id="float"),
        pytest.param(tissue(0.97, 0.0, 0.02, 0.01), id="mostly air"),
        pytest.param(np.full(100, -1000), id="air alone"),
        pytest.param(np.full(100, -1024.0), id="air alone, float"),
        pytest.param(tissue(0, 0.2, 0.7, 0.1), id="crop of soft tissue with fat"),
        pytest.param(tissue(0, 0, 1, 0), id="crop of brain"),
        pytest.param(tissue(0, 0, 1, 0) + 70, id="crop of enhanced liver"),
        pytest.param(np.r_[ABDOMEN, np.full(9000, -3024)], id="padded"),
        pytest.param(np.r_[ABDOMEN, np.linspace(-3000, -1500, 400)], id="padded, then resampled"),
        pytest.param(np.r_[ABDOMEN, np.full(50, 30000)], id="metal"),
        pytest.param(np.array([-1000.0, -100.0, 50.0, 900.0] * 50), id="phantom without noise"),
        pytest.param(ABDOMEN.clip(-1024, 3071), id="12 bit"),
        pytest.param(tissue(0.6, 0.0, 0.1, 0.3), id="head with much bone"),
        pytest.param(tissue(0, 0.3, 0.6, 0.1).clip(-200, 600), id="cut off at a window's ends"),
        pytest.param(crop_of_lung(), id="crop of lung"),
        pytest.param(water_bath(), id="water in a phantom for quality checks"),
        pytest.param(np.r_[ABDOMEN, np.full(300, 3071)], id="clipped metal"),
        pytest.param(cone_beam(), id="cone beam, 150 HU off and noisy"),
    ],
)
def test_ct_is_accepted(array: Array) -> None:
    check_hu(array)
    check_hu(array.reshape(1, -1, 1))


def magnetic_resonance() -> Array:
    rng = np.random.default_rng(1)
    background, tissues = rng.rayleigh(8, 8000), rng.gamma(4, 110, 12_000)
    return np.rint(np.r_[background, tissues]).astype(np.int16)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        pytest.param(ABDOMEN.astype(np.int32) + 1024, "subtract 1024", id="offset"),
        pytest.param(
            np.r_[ABDOMEN.astype(np.int32) + 1024, np.full(5000, -2000)],
            "subtract 1024",
            id="offset, padded",
        ),
        pytest.param((ABDOMEN.astype(np.int32) + 1024).astype(np.uint16), "1024", id="unsigned"),
        pytest.param(np.rint((ABDOMEN.clip(-200, 300) + 200) * 0.51), "8-bit", id="8 bit"),
        pytest.param((ABDOMEN.clip(-1000, 1000) + 1000) / 2000, "normalised", id="0 to 1"),
        pytest.param(ABDOMEN.clip(-1000, 1000) / 1000, "normalised", id="-1 to 1"),
        pytest.param((ABDOMEN - ABDOMEN.mean()) / ABDOMEN.std(), "normalised", id="z-score"),
        pytest.param(np.repeat([0, 1, 5, 117], 500).astype(np.uint8), "label map", id="labels"),
        pytest.param(np.repeat([0, 1], 500), "label map", id="mask"),
        pytest.param(magnetic_resonance(), "MR", id="MR"),
        pytest.param(magnetic_resonance() * 10, "not HU", id="bright MR"),
        pytest.param(
            np.r_[tissue(0, 0, 1, 0), np.zeros(30_000)], "exactly 0", id="masked with zero"
        ),
        pytest.param(
            np.r_[tissue(0.2, 0.2, 0.55, 0.05), np.zeros(12_000)],
            "38% of them exactly 0",
            id="chest masked with zero",
        ),
        pytest.param(ABDOMEN / 10, "not CT in HU", id="tenth of HU"),
        pytest.param(magnetic_resonance() - 30, "not HU|not CT", id="MR with negative values"),
        pytest.param(-ABDOMEN, "not HU", id="inverted"),
        pytest.param(np.full(100, 7), "nothing but 7", id="constant"),
        pytest.param(np.full(100, -3024), "only padding", id="padding alone"),
        pytest.param(ABDOMEN.astype(np.int32) * 10, "HU times ten", id="ten times HU"),
        pytest.param(ABDOMEN - 1024, "intercept applied twice", id="intercept twice"),
        pytest.param(
            np.r_[ABDOMEN.astype(float), 1e30],
            "not HU; rescale it, or replace",
            id="beyond any number",
        ),
        pytest.param(
            np.r_[ABDOMEN.astype(float), -3.4e38],
            "not HU; rescale it, or replace",
            id="lowest float",
        ),
        pytest.param(np.r_[ABDOMEN.astype(float), np.nan], "1 voxels", id="NaN"),
        pytest.param(np.r_[ABDOMEN.astype(float), np.inf], "1 voxels", id="infinity"),
    ],
)
def test_what_is_no_hu_is_refused_with_its_reason(array: Array, says: str) -> None:
    with pytest.raises(IntensityError, match=says):
        check_hu(array)


@pytest.mark.parametrize("size", [128, 256])
def test_padding_that_a_spline_made_ring_is_padding(size: int) -> None:
    rows, columns = np.mgrid[:size, :size] - size / 2
    hu = np.where(np.hypot(rows, columns) < size / 4, 40.0, -1000.0)
    hu += np.random.default_rng(5).normal(0, 15, hu.shape)
    hu[np.hypot(rows, columns) > size / 2] = -3024
    smaller = zoom(hu, 0.97)
    check_hu(smaller.astype(np.float32))
    check_hu(np.rint(smaller).astype(np.int16))


def test_wrapped_values_are_odd() -> None:
    assert odd_hu(ABDOMEN) == ()
    assert odd_hu(np.r_[ABDOMEN.astype(np.int32), 64511])[0].startswith("1 voxels above 32767")


def test_air_alone_is_odd() -> None:
    assert odd_hu(np.full(100, -1000)) == ("nothing but air: no patient is in it",)


def test_every_planning_ct_is_accepted_and_every_label_map_refused(real_data: Path) -> None:
    import nibabel

    scans = sorted((real_data / "open_kbp").glob("*_ct.nii.gz"))
    assert len(scans) == 14
    for path in scans:
        check_hu(np.asanyarray(nibabel.load(path).dataobj))  # type: ignore[attr-defined]  # an image
    for path in sorted((real_data / "open_kbp").glob("*_seg.nii.gz")):
        with pytest.raises(IntensityError, match="label map"):
            check_hu(np.asanyarray(nibabel.load(path).dataobj))  # type: ignore[attr-defined]  # an image
