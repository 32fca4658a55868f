from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import import_module
from itertools import permutations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medcyclegan.errors import IntensityError
from medcyclegan.io import file_name, nifti, write_labels, write_volume
from medcyclegan.io.formats import READERS, WRITERS, format_of, split_suffix
from medcyclegan.io.stored import ReadOptions, Stored
from medcyclegan.volume import Labels, Provenance, Volume

Array = npt.NDArray[Any]
SUFFIXES = [suffix for writer in WRITERS.values() for suffix in writer.suffixes]
LABEL_TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
EXACT = (".mha", ".nrrd")  # NIfTI holds its grid in single precision
RAS_LPS = np.diag([-1.0, -1.0, 1.0])


def read(path: Path, options: ReadOptions = ReadOptions()) -> Stored:
    stored: Stored = import_module(READERS[format_of(path.name)].module).read((path,), options)
    return stored


@st.composite
def grids(draw: st.DrawFn) -> Array:
    """Right-angled affines of any orientation, obliquity, handedness and spacing."""
    quaternion = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    if np.linalg.norm(quaternion) < 0.1:
        quaternion = np.array([1.0, 0, 0, 0])
    rotation = nibabel.quaternions.quat2mat(quaternion / np.linalg.norm(quaternion))
    spacing = draw(st.tuples(*[st.floats(0.2, 9)] * 3))
    flip = np.diag([draw(st.sampled_from([-1.0, 1.0])), 1, 1])
    order = list(draw(st.sampled_from(list(permutations(range(3))))))
    affine = np.eye(4)
    affine[:3, :3] = (rotation @ flip)[:, order] @ np.diag(spacing)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-900, 900)] * 3))
    return affine


@settings(max_examples=120)
@given(
    affine=grids(),
    codes=st.sampled_from([(0, 1), (0, 2), (1, 0), (1, 1), (2, 4), (1, 2)]),
    suffix=st.sampled_from(SUFFIXES),
    dtype=st.sampled_from([np.int16, np.int32, np.float32]),
    order=st.sampled_from(["C", "F"]),
    seed=st.integers(0, 9),
)
@example(
    affine=np.array([[1, 0, 0, 0], [0, -1, 1.2207e-4, 0], [0, 1.2207e-4, 1, 0], [0, 0, 0, 1.0]]),
    codes=(1, 0),
    suffix=".nii.gz",
    dtype=np.int16,
    order="C",
    seed=0,
)
def test_what_is_written_is_read_back_by_us_and_by_itk(
    affine: Array, codes: tuple[int, int], suffix: str, dtype: type, order: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    array: Array = rng.integers(-1024, 3000, (5, 4, 3)).astype(dtype, order=order)
    if dtype is np.int32:
        array[0, 0, 0] = 70_000
    if dtype is np.float32:
        array += rng.random(array.shape, np.float32)
    volume = Volume(array, affine, Provenance(qform_code=codes[0], sform_code=codes[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"ct{suffix}"
        write_volume(volume, path)
        stored = read(path)
        theirs = SimpleITK.ReadImage(str(path))
        image: Any = None if suffix in EXACT else nibabel.load(path)
    assert stored.array.dtype == dtype
    np.testing.assert_array_equal(stored.array, array)
    tolerance = 1e-12 if suffix in EXACT else 1e-4
    np.testing.assert_allclose(stored.affine, affine, atol=tolerance, rtol=1e-12)
    if suffix not in EXACT:
        coarse = np.abs(image.header.get_qform() - affine).max() > 1e-4
        assert (stored.qform_code, stored.sform_code) == (codes[0], codes[1] or int(coarse))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0), array)
    np.testing.assert_allclose(theirs.GetOrigin(), RAS_LPS @ affine[:3, 3], atol=1e-4)
    columns = np.reshape(theirs.GetDirection(), (3, 3)) * theirs.GetSpacing()
    np.testing.assert_allclose(columns, RAS_LPS @ affine[:3, :3], atol=1e-3)


@settings(max_examples=60)
@given(
    dtype=st.sampled_from(["u1", "i1", "<i2", ">i2", "<u2", ">u4", "<i4", "<f4", ">f8"]),
    slope=st.sampled_from([1.0, 0.5, 2.0, 1.7]) | st.floats(2**-10, 30, width=32),
    intercept=st.sampled_from([0.0, -1024.0, -8192.0]) | st.floats(-3000, 3000, width=32),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    seed=st.integers(0, 9),
)
def test_hu_is_the_stored_value_times_slope_plus_intercept(
    dtype: str, slope: float, intercept: float, suffix: str, seed: int
) -> None:
    ends = (-100, 100) if np.dtype(dtype).kind in "if" else (0, 200)
    raw = np.random.default_rng(seed).integers(*ends, (5, 4, 3)).astype(dtype)
    header: Any = nibabel.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(raw.dtype)
    header.set_data_shape(raw.shape)
    header.set_sform(np.eye(4), 1)
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = slope, intercept, 352
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"ct{suffix}"
        path.write_bytes(header.binaryblock + bytes(4) + raw.tobytes(order="F"))
        hu = read(path).array
    expected = raw.astype(np.float64) * slope + intercept
    np.testing.assert_allclose(hu, expected, rtol=1e-6, atol=1e-3)
    if slope.is_integer() and intercept.is_integer() and raw.dtype.kind in "iu":
        assert hu.dtype.kind in "iu"


@pytest.mark.parametrize("dtype", LABEL_TYPES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_keep_values_and_type(tmp_path: Path, suffix: str, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    array[0, 0, 0] = 100
    like = Volume(np.zeros((2, 3, 4), np.int16), np.diag([1.0, 2, 3, 1]))
    path = tmp_path / f"labels{suffix}"
    write_labels(Labels(array, like.affine), path, like=like)
    stored = read(path)
    np.testing.assert_array_equal(stored.array, array)
    assert stored.array.dtype == dtype
    np.testing.assert_allclose(stored.affine, like.affine, atol=1e-6)
    assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).dtype == dtype
    write_labels(Labels(array > 3, like.affine), path, like=like)
    assert read(path).array.dtype == np.uint8
    write_labels(Labels(array.astype(np.float16), like.affine), path, like=like)
    assert read(path).array.dtype == np.float32


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_volumes_give_equal_bytes(
    tmp_path: Path, make_ct: Callable[..., Array], suffix: str
) -> None:
    array = make_ct((160, 150, 140))  # of several slabs
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write_volume(Volume(np.ascontiguousarray(array), np.eye(4)), one)
    write_volume(Volume(np.asfortranarray(array.astype(">i2")), np.eye(4)), two)
    assert one.read_bytes() == two.read_bytes()
    np.testing.assert_array_equal(read(one).array, array)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_no_number_is_never_written(tmp_path: Path, suffix: str, odd: float) -> None:
    volume = Volume(np.array([[[odd, 1.0]]], np.float32), np.eye(4))
    with pytest.raises(IntensityError, match="finite"):
        write_volume(volume, tmp_path / f"ct{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_nifti_of_several_volumes_is_counted_and_read(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    stack = np.stack([make_ct(seed=seed) for seed in (1, 2, 3)], axis=3)
    for name in ("ct.nii", "ct.nii.gz", "ct.hdr"):
        kind: Any = nibabel.Nifti1Pair if name == "ct.hdr" else nibabel.Nifti1Image
        kind(stack, np.eye(4)).to_filename(tmp_path / name)
        assert nifti.volume_count(tmp_path / name) == 3
        stored = read(tmp_path / name, ReadOptions(split_4d=True))
        np.testing.assert_array_equal(stored.array, stack)
    data = bytearray((tmp_path / "ct.nii").read_bytes())
    data[48:50] = np.int16(32000).tobytes()
    (tmp_path / "ct.nii").write_bytes(data)
    assert nifti.volume_count(tmp_path / "ct.nii") == 1, "more than there are bytes for"
    data[40:56] = np.array([5, 14, 12, 6, 1, 1, 1, 1], "<i2").tobytes()
    data[48:52] = np.array([2, 3], "<i2").tobytes()
    data[42:44] = np.array([4], "<i2").tobytes()
    (tmp_path / "ct.nii").write_bytes(data)
    assert nifti.volume_count(tmp_path / "ct.nii") == 1, "vectors"
    (tmp_path / "ct.nii").write_bytes(b"no NIfTI")
    assert nifti.volume_count(tmp_path / "ct.nii") == 1
    assert nifti.volume_count(tmp_path / "absent.nii") == 1


def test_names_and_formats() -> None:
    names = [file_name("case", key) for key in ("nifti", "mha", "nrrd", "dicom")]
    assert names == ["case.nii.gz", "case.mha", "case.nrrd", "case"]
    assert [format_of(name) for name in names] == ["nifti", "mha", "nrrd", ""]
    assert format_of("CT.NII.GZ") == "nifti"
    assert split_suffix("Case.1.NII.gz") == ("Case.1", ".NII.gz")
    assert split_suffix("CT.1.2.3") == ("CT.1.2.3", "")
    assert split_suffix(".nii") == (".nii", "")
    for reader in READERS.values():
        module = import_module(reader.module)
        wanted = ["read", "voxel_file", "volume_count"] if reader.suffixes else ["read"]
        assert all(hasattr(module, name) for name in wanted)
