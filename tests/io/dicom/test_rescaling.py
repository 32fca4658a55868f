from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from medcyclegan.errors import IntensityError
from medcyclegan.io import read_volume
from medcyclegan.io.dicom.rescaling import frame_hu, padding_ends

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 30], [0, 0, 2.5, -12], [0, 0, 0, 1.0]])


def fields(**values: Any) -> list[Dataset]:
    dataset = Dataset()
    for name, value in values.items():
        if name.startswith("PixelPadding"):
            dataset.add_new(name, "SS" if value < 0 else "US", value)
        else:
            setattr(dataset, name, value)
    return [dataset]


@given(
    raw=st.integers(-32768, 32767),
    slope=st.sampled_from([1, 2, -1, 0.5, 0.1]),
    intercept=st.sampled_from([0, -1024, -8192, 0.25]),
)
def test_hu_are_slope_times_pixel_plus_intercept(raw: int, slope: float, intercept: float) -> None:
    pixels = np.full((2, 2), raw, np.int16)
    hu = frame_hu(pixels, fields(RescaleSlope=slope, RescaleIntercept=intercept))
    assert hu[0, 0] == pytest.approx(raw * slope + intercept, abs=0.01, rel=1e-6)
    whole = float(slope).is_integer() and float(intercept).is_integer()
    assert hu.dtype.kind == ("i" if whole else "f")


def test_fields_come_from_the_nearest_data_set_that_has_them() -> None:
    pixels = np.full((2, 2), 100, np.int16)
    near, far = fields(RescaleIntercept=-50), fields(RescaleIntercept=-1024, RescaleSlope=2)
    assert frame_hu(pixels, near + far)[0, 0] == 150


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope 0"),
        ({"RescaleIntercept": float("nan")}, "RescaleIntercept nan"),
        ({"RescaleSlope": float("inf")}, "RescaleSlope inf"),
        ({"RescaleType": "ED"}, "holds ED, not HU"),
        ({"RescaleType": "z_eff"}, "holds Z_EFF, not HU"),
        ({"ModalityLUTSequence": [Dataset()]}, "look-up table"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MTT"]}, "holds MTT, not HU"),
        ({"ImageType": "DERIVED\\SECONDARY\\SUBTRACTION"}, "holds SUBTRACTION, not HU"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom doubts a slope of nan
def test_what_is_no_hu_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(IntensityError, match=says):
        frame_hu(np.zeros((2, 2), np.int16), fields(**values))


@pytest.mark.parametrize("type_", ["", "HU", "US", "hu", "Hounsfield Unit"])
def test_other_words_of_rescale_type_are_let_pass(type_: str) -> None:
    hu = frame_hu(
        np.full((2, 2), 1064, np.int16), fields(RescaleType=type_, RescaleIntercept=-1024)
    )
    assert (hu == 40).all()


@pytest.mark.parametrize(
    ("value", "limit", "dtype", "ends"),
    [
        (-2000, None, "i2", [-2000]),
        (63536, None, "i2", [-2000]),
        (-2000, None, "u2", [63536]),
        (63536, -1990, "i2", [-2000, -1990]),
        (0, None, "u2", [0]),
        (255, None, "u1", [255]),
    ],
)
def test_padding_is_understood_with_and_without_sign(
    value: int, limit: int | None, dtype: str, ends: list[float]
) -> None:
    values: dict[str, Any] = {"PixelPaddingValue": value}
    if limit is not None:
        values["PixelPaddingRangeLimit"] = limit
    assert padding_ends(fields(**values), np.dtype(dtype)) == ends


def test_a_range_limit_alone_is_no_padding() -> None:
    assert padding_ends(fields(PixelPaddingRangeLimit=5), np.dtype("u2")) == []


def test_padding_below_air_keeps_its_hu_and_water_inside_is_no_padding() -> None:
    raw = np.full((6, 6), 40, np.int16)
    raw[0] = -2000
    hu = frame_hu(raw, fields(PixelPaddingValue=-2000))
    np.testing.assert_array_equal(hu, raw)
    raw[0], raw[3, 3] = 0, 0
    hu = frame_hu(raw, fields(PixelPaddingValue=0))
    assert (hu[0] == -1024).all()
    assert hu[3, 3] == 0


def test_padding_that_takes_in_tissue_is_refused() -> None:
    raw = np.arange(36, dtype=np.int16).reshape(6, 6)
    with pytest.raises(IntensityError, match=r"pixels from -2000 to 100 padding, and tissue"):
        frame_hu(raw, fields(PixelPaddingValue=-2000, PixelPaddingRangeLimit=100))


def test_padding_may_lie_beyond_the_bits_stored(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    array = make_ct()

    def change(dataset: Any, k: int) -> None:
        raw = array[:, :, k].T.astype("<i2").copy()
        raw[0] = -3024
        dataset.PixelData = raw.tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.add_new("PixelPaddingValue", "SS", -3024)

    path = write_series(tmp_path / "s", array, AFFINE, change=change)[3]
    volume = read_volume(path)
    assert (volume.array[:, 0] == -3024).all()
    np.testing.assert_array_equal(volume.array[:, 1:], array[:, 1:, 3:4])
