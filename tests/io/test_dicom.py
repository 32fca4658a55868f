from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medcyclegan.errors import IntensityError, VolumeError
from medcyclegan.io import find_volumes, read_volume, write_volume

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 30], [0, 0, 2.5, -12], [0, 0, 0, 1.0]])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.permutations(range(6)),
    turn=st.tuples(*[st.floats(-1, 1)] * 4),
    slope=st.sampled_from([1.0, 0.5, 2.0]),
    seed=st.integers(0, 5),
)
def test_a_shuffled_series_is_the_same_volume_as_its_nifti(
    make_ct: Callable[..., Array],
    write_series: Callable[..., list[Path]],
    order: list[int],
    turn: tuple[float, float, float, float],
    slope: float,
    seed: int,
) -> None:
    from nibabel.quaternions import quat2mat

    quaternion = np.array(turn) if np.linalg.norm(turn) > 0.1 else np.array([1.0, 0, 0, 0])
    affine = AFFINE.copy()
    affine[:3, :3] = quat2mat(quaternion / np.linalg.norm(quaternion)) @ AFFINE[:3, :3]
    array = make_ct(seed=seed) // 2 * 2
    with tempfile.TemporaryDirectory() as folder:
        write_series(Path(folder) / "series", array, affine, order=list(order), slope=slope)
        volume = read_volume(Path(folder) / "series")
        write_volume(volume, Path(folder) / "ct.nii.gz")
        again = read_volume(Path(folder) / "ct.nii.gz")
    for one in (volume, again):
        np.testing.assert_array_equal(one.array, array)
        np.testing.assert_allclose(one.affine, affine, atol=1e-4)
    assert volume.array.dtype == (np.float32 if slope == 0.5 else np.int16)


def test_patient_is_a_hash_and_tags_speak_of_contrast(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path / "s", make_ct(), AFFINE)
    provenance = read_volume(tmp_path / "s").provenance
    assert provenance.tags == {"SeriesDescription": "ABD PORTAL"}
    assert len(provenance.patient) == 16
    assert "PLANTED" not in repr(provenance)


def test_slices_may_differ_in_slope_and_intercept(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    def change(dataset: Any, k: int) -> None:
        if k == 3:
            raw = np.frombuffer(dataset.PixelData, "<u2").astype(int)
            dataset.PixelData = (raw + 500).astype("<u2").tobytes()
            dataset.RescaleIntercept = -1524

    write_series(tmp_path / "s", make_ct(), AFFINE, change=change)
    np.testing.assert_array_equal(read_volume(tmp_path / "s").array, make_ct())


def test_monochrome1_changes_nothing(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path / "s", make_ct(), AFFINE, change=change)
    np.testing.assert_array_equal(read_volume(tmp_path / "s").array, make_ct())


def test_padding_that_looks_like_tissue_becomes_air_but_only_at_the_edge(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    array = make_ct()
    array[:2, :, :] = 3000
    array[7, 6, 0] = 3000  # metal of the same value inside the body

    def change(dataset: Any, k: int) -> None:
        dataset.add_new("PixelPaddingValue", "US", 4024)

    write_series(tmp_path / "s", array, AFFINE, change=change)
    volume = read_volume(tmp_path / "s")
    assert (volume.array[:2] == -1024).all()
    np.testing.assert_array_equal(volume.array[2:], array[2:])


def test_padding_written_unsigned_for_signed_pixels_is_understood(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    array = make_ct()

    def change(dataset: Any, k: int) -> None:
        raw = array[:, :, k].T.astype("<i2").copy()
        raw[0] = -600
        dataset.PixelData = raw.tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.add_new("PixelPaddingValue", "US", 65536 - 600)

    write_series(tmp_path / "s", array, AFFINE, change=change)
    volume = read_volume(tmp_path / "s")
    assert (volume.array[:, 0] == -1024).all()
    np.testing.assert_array_equal(volume.array[:, 1:], array[:, 1:])


def test_a_bare_data_set_without_preamble_or_suffix_is_read(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    for path in write_series(tmp_path / "s", make_ct(), AFFINE):
        dataset = pydicom.dcmread(path)
        bare = path.with_suffix("")
        path.unlink()
        dataset.save_as(
            bare, implicit_vr=True, little_endian=True, enforce_file_format=False
        ) if False else pydicom.filewriter.write_dataset  # noqa: B018
