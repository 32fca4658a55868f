from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcyclegan.errors import GeometryError, InputError, IntensityError, VolumeError
from medcyclegan.io import nifti, read_labels, read_volume, write_labels, write_volume
from medcyclegan.volume import Labels, Provenance, Volume

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, 0, 2.5, -30], [0, 0.7, 0, 12], [0, 0, 0, 1.0]])


def save(path: Path, array: Array, affine: Array = AFFINE, **fields: Any) -> Path:
    """Write with nibabel alone; `fields` overwrite the header."""
    kind: Any = nibabel.Nifti1Pair if path.suffix == ".hdr" else nibabel.Nifti1Image
    image: Any = kind(array, affine, dtype=array.dtype)
    image.header.set_qform(affine, 1)
    image.header.set_sform(affine, 2)
    for name, value in fields.items():
        image.header[name] = value
    if "scl_slope" in fields:  # nibabel would rescale: put the numbers into the bytes
        data = bytearray(image.to_bytes())
        data[112:120] = np.array([fields["scl_slope"], fields["scl_inter"]], "<f4").tobytes()
        path.write_bytes(data)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
    elif path.suffix == ".hdr":
        image.to_filename(path)
    else:
        path.write_bytes(image.to_bytes())
    return path


@st.composite
def grids(draw: st.DrawFn) -> Array:
    """Right-angled affines of any orientation, obliquity, handedness and spacing."""
    quaternion = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    if np.linalg.norm(quaternion) < 0.1:
        quaternion = np.array([1.0, 0, 0, 0])
    rotation = nibabel.quaternions.quat2mat(quaternion / np.linalg.norm(quaternion))
    spacing = draw(st.tuples(*[st.floats(0.2, 9)] * 3))
    flip = np.diag([draw(st.sampled_from([-1.0, 1.0])), 1, 1])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ flip @ np.diag(spacing)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-900, 900)] * 3))
    return affine


@settings(max_examples=60, deadline=None)
@given(
    affine=grids(),
    codes=st.sampled_from([(0, 1), (0, 2), (1, 0), (1, 1), (2, 4), (1, 2)]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    dtype=st.sampled_from([np.int16, np.int32, np.float32]),
    seed=st.integers(0, 9),
)
def test_what_is_written_is_read_back(
    affine: Array, codes: tuple[int, int], suffix: str, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    array: Array = rng.integers(-1024, 3000, (5, 4, 3)).astype(dtype)
    if dtype is np.int32:
        array[0, 0, 0] = 70_000
    volume = Volume(array, affine, Provenance(qform_code=codes[0], sform_code=codes[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"ct{suffix}"
        write_volume(volume, path)
        stored = nifti.read((path,))
        theirs: Any = nibabel.load(path)
    assert stored.array.dtype == dtype
    np.testing.assert_array_equal(stored.array, array)
    np.testing.assert_allclose(stored.affine, affine, atol=1e-4)
    np.testing.assert_allclose(theirs.affine, affine, atol=1e-4)
    assert (stored.qform_code, stored.sform_code) == codes


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i2", "<u2", "<i4", ">u4", "<i8", "<f4", ">f8"])
def test_any_type_and_byte_order_gives_the_same_values(tmp_path: Path, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    image: Any = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype)
    if dtype[0] == ">":
        image = nibabel.Nifti1Image(array, AFFINE, image.header.as_byteswapped(">"))
    image.to_filename(tmp_path / "ct.nii")
    stored = nifti.read((tmp_path / "ct.nii",))
    np.testing.assert_array_equal(stored.array, array)
    assert stored.array.dtype.isnative
    assert stored.array.flags.writeable


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [(1, -1024, np.int16), (2, 0, np.int16), (100, 0, np.int32), (0.5, 0, np.float32)],
)
def test_slope_and_intercept_are_applied(
    tmp_path: Path, slope: float, intercept: float, expected: type
) -> None:
    array = np.array([[[0, 1024, 4095]]], np.uint16)
    path = save(tmp_path / "ct.nii", array, scl_slope=slope, scl_inter=intercept)
    stored = nifti.read((path,))
    np.testing.assert_array_equal(stored.array, array.astype(float) * slope + intercept)
    assert stored.array.dtype == expected


def test_slope_zero_means_none(tmp_path: Path) -> None:
    path = save(tmp_path / "ct.nii", np.full((2, 2, 2), 7, np.int16), scl_slope=0, scl_inter=5)
    assert (nifti.read((path,)).array == 7).all()


def test_pairs_second_version_and_singleton_axes_are_read(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    array = make_ct()
    pair = save(tmp_path / "pair.hdr", array)
    np.testing.assert_array_equal(read_volume(pair).array, array)
    nibabel.Nifti2Image(array, AFFINE).to_filename(tmp_path / "two.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "two.nii.gz").array, array)
    four = save(tmp_path / "four.nii.gz", array[..., None])
    np.testing.assert_array_equal(read_volume(four).array, array)
    flat = save(tmp_path / "flat.nii.gz", array[:, :, 2])
    np.testing.assert_array_equal(read_volume(flat).array, array[:, :, 2:3])


def test_float_stays_float_and_codes_are_kept(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    volume = read_volume(save(tmp_path / "ct.nii.gz", make_ct().astype(np.float64)))
    assert volume.array.dtype == np.float32
    provenance = volume.provenance
    assert (provenance.qform_code, provenance.sform_code, provenance.format) == (1, 2, "nifti")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_cut_anywhere_is_refused(
    tmp_path: Path, make_ct: Callable[..., Array], suffix: str
) -> None:
    path = save(tmp_path / f"ct{suffix}", make_ct())
    whole = path.read_bytes()
    for size in (1, 100, 347, 352, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(VolumeError, match=r"truncated|no NIfTI") as caught:
            read_volume(path)
        assert str(caught.value).startswith(f"{path}: ")
    path.write_bytes(b"")
    with pytest.raises(VolumeError, match="empty"):
        read_volume(path)


def test_a_wrong_checksum_is_refused(tmp_path: Path, make_ct: Callable[..., Array]) -> None:
    path = save(tmp_path / "ct.nii.gz", make_ct())
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(VolumeError, match="CRC"):
        read_volume(path)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"dim": [3, 14, 12, 32000, 1, 1, 1, 1]}, "truncated"),
        ({"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]}, "more than the"),
        ({"dim": [3, 14, 12, 0, 1, 1, 1, 1]}, "impossible shape"),
        ({"dim": [3, 14, 12, -6, 1, 1, 1, 1]}, "impossible shape"),
        ({"dim": [0, 14, 12, 6, 1, 1, 1, 1]}, "0 axes"),
        ({"dim": [3, 7, 6, 6, 1, 1, 1, 1]}, "holds more than"),
        ({"datatype": 2, "bitpix": 8}, "holds more than"),
        ({"datatype": 1793}, "cannot be read"),
        ({"vox_offset": 1e9}, "truncated"),
        ({"vox_offset": -400}, "byte -400"),
        ({"vox_offset": np.nan}, "byte nan"),
        ({"sform_code": 0, "qform_code": 0}, "neither sform nor qform"),
        ({"srow_x": [0, 0, 0, 0]}, "maps no volume"),
        ({"srow_x": [-0.7, 0, 0, 91]}, "1.43 voxels apart"),
        ({"srow_x": [np.nan, 0, 0, 91], "qform_code": 0}, "no finite 4x4"),
        ({"srow_y": [0.7, 0, 2.5, 0], "qform_code": 0}, "sheared by"),
        ({"xyzt_units": 1}, "metres"),
    ],
)
def test_a_header_that_lies_is_refused_in_one_line(
    tmp_path: Path, make_ct: Callable[..., Array], fields: dict[str, Any], says: str
) -> None:
    path = save(tmp_path / "ct.nii", make_ct())
    data = bytearray(path.read_bytes())
    header: Any = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    path.write_bytes(data)
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_colour_complex_phases_and_lone_headers_are_refused(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    array = make_ct()
    with pytest.raises(VolumeError, match="complex"):
        read_volume(save(tmp_path / "complex.nii.gz", array.astype(np.complex64)))
    with pytest.raises(VolumeError, match="several volumes"):
        read_volume(save(tmp_path / "phases.nii.gz", np.stack([array, array], axis=3)))
    colour = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(VolumeError, match="colour"):
        read_volume(save(tmp_path / "colour.nii.gz", colour))
    lone = save(tmp_path / "lone.hdr", array)
    lone.with_suffix(".img").unlink()
    with pytest.raises(VolumeError, match=r"no \.img"):
        read_volume(lone)


def test_written_files_are_equal_and_say_nothing_about_their_source(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    source = save(tmp_path / "ct.nii.gz", make_ct(), descrip=b"Jane Roe", aux_file=b"secret")
    write_volume(read_volume(source), tmp_path / "one.nii.gz")
    write_volume(read_volume(source), tmp_path / "two.nii.gz")
    data = (tmp_path / "one.nii.gz").read_bytes()
    assert data == (tmp_path / "two.nii.gz").read_bytes()
    assert data[3] == 0, "gzip flags: no name, no comment"
    assert data[4:8] == bytes(4), "gzip time"
    header: Any = nibabel.load(tmp_path / "one.nii.gz").header
    assert not header.extensions
    content = gzip.decompress(data)
    assert b"Jane" not in content
    assert b"secret" not in content
    assert tuple(np.frombuffer(content[112:120], "<f4")) == (1, 0), "slope and intercept"


def test_a_little_shear_is_kept_by_the_sform_alone(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    affine = np.diag([1.0, 1, 5, 1])
    affine[1, 2] = 0.03  # 0.3 degrees
    path = tmp_path / "ct.nii.gz"
    write_volume(Volume(make_ct((40, 40, 30)), affine), path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    assert volume.provenance.qform_code == 0


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    volume = Volume(np.array([[[np.nan, 1.0]]], np.float32), AFFINE)
    with pytest.raises(IntensityError, match="finite"):
        write_volume(volume, tmp_path / "ct.nii.gz")
    assert not list(tmp_path.iterdir())


def test_other_suffixes_are_refused(tmp_path: Path, make_ct: Callable[..., Array]) -> None:
    with pytest.raises(InputError, match="choose"):
        write_volume(Volume(make_ct(), AFFINE), tmp_path / "ct.mha")


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_labels_keep_values_and_type(tmp_path: Path, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    like = Volume(np.zeros((2, 3, 4), np.int16), AFFINE, Provenance(qform_code=0, sform_code=2))
    path = tmp_path / "labels.nii.gz"
    write_labels(Labels(array, AFFINE), path, like=like)
    labels = read_labels(path)
    np.testing.assert_array_equal(labels.array, array)
    assert labels.array.dtype == dtype
    np.testing.assert_allclose(labels.affine, AFFINE, atol=1e-4)
    header: Any = nibabel.load(path).header
    assert (header["qform_code"], header["sform_code"]) == (0, 2)


def test_a_mask_of_booleans_is_written_as_bytes(tmp_path: Path) -> None:
    like = Volume(np.zeros((2, 3, 4), np.int16), AFFINE)
    write_labels(Labels(np.ones((2, 3, 4), bool), AFFINE), tmp_path / "m.nii", like=like)
    assert read_labels(tmp_path / "m.nii").array.dtype == np.uint8


def test_labels_that_are_not_whole_or_missing_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "labels.nii.gz", np.full((2, 2, 2), 0.5, np.float32))
    with pytest.raises(VolumeError, match="not whole"):
        read_labels(path)
    path = save(tmp_path / "nan.nii.gz", np.full((2, 2, 2), np.nan, np.float32))
    with pytest.raises(VolumeError, match="not whole"):
        read_labels(path)
    with pytest.raises(InputError, match="no such label file"):
        read_labels(tmp_path / "none.nii.gz")
    (tmp_path / "labels.txt").write_text("1")
    with pytest.raises(VolumeError, match="no label file"):
        read_labels(tmp_path / "labels.txt")


REFUSED = {
    "empty.nii.gz": "empty",
    "float32_nan.nii.gz": "finite",
    "fourD_3phases.nii.gz": "several volumes",
    "mask_shifted_affine.nii.gz": "label map",
    "no_qform_sform.nii.gz": "neither",
    "not_a_nifti.nii.gz": "no NIfTI",
    "sheared_affine.nii.gz": "sheared by 18.4",
    "truncated.nii.gz": "truncated",
    "truncated_plain.nii": "truncated",
    "uint16_offset1024_no_intercept.nii.gz": "1024",
}
SAME_AS_ORIGINAL = ("big_endian.nii", "float64.nii.gz", "fourD_singleton.nii.gz")


def test_real_odd_files(real_data: Path) -> None:
    folder = real_data / "derived_bad"
    for name, says in REFUSED.items():
        with pytest.raises(VolumeError, match=says):
            read_volume(folder / name)
    original = read_volume(real_data / "totalsegmentator" / "example_ct_sm.nii.gz")
    for name in SAME_AS_ORIGINAL:
        volume = read_volume(folder / name)
        np.testing.assert_array_equal(volume.array, original.array)
        np.testing.assert_allclose(volume.affine, original.affine, atol=1e-4)
    intercept = read_volume(folder / "uint16_scl_inter_minus1024.nii.gz")
    valid = original.array >= -1024
    np.testing.assert_array_equal(intercept.array[valid], original.array[valid])
    assert "negative" in intercept.provenance.warnings[0]
    with pytest.raises(GeometryError, match="sform"):
        read_volume(real_data / "niivue" / "shear.nii.gz")
