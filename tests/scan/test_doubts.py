from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset

from medcyclegan.scan.doubts import doubts
from medcyclegan.volume import Provenance, Volume

Change = Callable[[np.ndarray], np.ndarray]


def a_volume(change: Change = np.asarray, spacing: tuple[float, ...] = (1, 1, 5)) -> Volume:
    rng = np.random.default_rng(0)
    array = np.concatenate([rng.normal(-1000, 9, (20, 20, 8)), rng.normal(50, 20, (20, 20, 8))])
    array[-1, -1] = 1200
    return Volume(change(array).astype(np.int16), np.diag([*spacing, 1.0]))


def padded(array: np.ndarray) -> np.ndarray:
    array[0] = -3024
    return array


def with_metal(array: np.ndarray) -> np.ndarray:
    array[-1, -1] = 3071
    return array


def test_an_ordinary_volume_raises_none() -> None:
    assert doubts(a_volume()) == ()


@pytest.mark.parametrize(
    ("volume", "says"),
    [
        (a_volume(padded), "padding: 2.5% of the voxels below -1500 HU"),
        (a_volume(with_metal), "metal: 0.12% of the voxels above 3000 HU"),
        (a_volume(lambda array: array.clip(-200, 1500)), "cut off below -200 HU"),
        (a_volume(lambda array: array.clip(-1024, 60)), "cut off above 60 HU"),
        (a_volume(spacing=(1, 1, 12)), "slices 12 mm apart"),
        (a_volume(spacing=(4, 4, 5)), "pixels of 4 mm"),
    ],
)
def test_odd_voxels_and_grids_are_said(volume: Volume, says: str) -> None:
    (line,) = doubts(volume)
    assert line.startswith(says)


def test_pixels_that_are_coarse_by_rounding_alone_are_not() -> None:
    assert doubts(a_volume(spacing=(3.0000002, 3, 3))) == ()


def test_headers_are_judged_by_field_never_by_value() -> None:
    header = Dataset()
    header.PatientName = "Doe^Jane"
    header.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    header.SyntheticData = "YES"
    volume = a_volume()
    provenance = Provenance(headers=(header,), warnings=("odd",))
    lines = doubts(Volume(volume.array, volume.affine, provenance))
    assert lines[0] == "odd"
    assert lines[1] == "identifies the patient: PatientName"
    assert lines[2].startswith("derived from another series")
    assert lines[3].startswith("synthetic")
    assert "Doe" not in str(lines)
