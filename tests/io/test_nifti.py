from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

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


def with_fields(path: Path, **fields: Any) -> Path:
    """Put fields into the header of a file as they are."""
    data = bytearray(path.read_bytes())
    header: Any = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    path.write_bytes(data)
    return path


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


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), (np.nan, np.nan), (0, np.nan), (1, 0)])
def test_no_slope_means_values_as_stored(tmp_path: Path, slope: float, intercept: float) -> None:
    array = np.full((2, 2, 2), 7, np.int16)
    path = save(tmp_path / "ct.nii", array, scl_slope=slope, scl_inter=intercept)
    stored = nifti.read((path,)).array
    assert (stored == 7).all()
    assert stored.dtype == np.int16


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(0, -1024), (np.nan, 5), (np.inf, 0), (1, np.nan), (1, -np.inf), (-np.inf, 0)],
)
def test_a_slope_or_intercept_that_nobody_can_apply_is_refused(
    tmp_path: Path, slope: float, intercept: float
) -> None:
    array = np.full((2, 2, 2), 7, np.int16)
    path = save(tmp_path / "ct.nii", array, scl_slope=slope, scl_inter=intercept)
    with pytest.raises(IntensityError, match=r"slope .* intercept"):
        nifti.read((path,))


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


def test_a_small_file_that_declares_a_huge_one_is_refused_at_once(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    path = with_fields(save(tmp_path / "ct.nii", make_ct()), dim=[3, 1024, 1024, 2047, 1, 1, 1, 1])
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(VolumeError, match="packed bytes cannot hold"):
        nifti.read((path,))


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
        ({"dim": [8, 14, 12, 6, 1, 1, 1, 1]}, "8 axes"),
        ({"dim": [-3, 14, 12, 6, 1, 1, 1, 1]}, "-3 axes"),
        ({"dim": [4, 14, 12, 3, 2, 1, 1, 1]}, "several volumes"),
        ({"dim": [5, 14, 4, 6, 1, 3, 1, 1]}, "vectors"),
        ({"dim": [7, 14, 4, 6, 1, 1, 1, 3]}, "vectors"),
        ({"datatype": 2, "bitpix": 8}, "holds more than"),
        ({"datatype": 16}, "16 bits a voxel, and a type of 32"),
        ({"bitpix": 8}, "8 bits a voxel, and a type of 16"),
        ({"datatype": 1793}, "unknown type 1793"),
        ({"datatype": 0}, "unknown type 0"),
        ({"datatype": 1}, "single bits"),
        ({"datatype": 1536, "bitpix": 128}, "128-bit floats"),
        ({"datatype": 128, "bitpix": 24}, "colour"),
        ({"datatype": 2304, "bitpix": 32}, "colour"),
        ({"datatype": 1792, "bitpix": 128}, "complex"),
        ({"sizeof_hdr": 340}, "no NIfTI header"),
        ({"magic": b"ni1"}, "name it .hdr"),
        ({"magic": b""}, "Analyze 7.5"),
        ({"magic": b"n+7"}, "damaged NIfTI header"),
        ({"vox_offset": 1e9}, "truncated"),
        ({"vox_offset": -400}, "byte -400"),
        ({"vox_offset": np.nan}, "byte nan"),
        ({"sform_code": 0, "qform_code": 0}, "neither sform nor qform"),
        ({"srow_x": [0, 0, 0, 0]}, "maps no volume"),
        ({"srow_x": [-0.7, 0, 0, 91]}, "1.43 voxels apart"),
        ({"srow_x": [np.nan, 0, 0, 91], "qform_code": 0}, "no finite 4x4"),
        ({"srow_x": [np.inf, 0, 0, 91]}, "no finite 4x4"),
        ({"srow_x": [0] * 4, "srow_y": [0] * 4, "srow_z": [0] * 4}, "maps no volume"),
        ({"sform_code": 0, "qoffset_x": np.nan}, "no finite 4x4"),
        ({"qoffset_x": np.nan}, "nan voxels apart"),
        ({"quatern_b": 0.9, "quatern_c": 0.9, "quatern_d": 0.9}, "no rotation"),
        ({"sform_code": 0, "quatern_b": np.nan}, "no finite 4x4|no rotation"),
        ({"pixdim": [2, 0.7, 0.7, 2.5, 1, 1, 1, 1]}, "no rotation"),
        ({"pixdim": [np.nan, 0.7, 0.7, 2.5, 1, 1, 1, 1]}, "no rotation"),
        ({"pixdim": [-1, 0.7, -0.7, 2.5, 1, 1, 1, 1]}, "voxels of 0.7 x -0.7 x 2.5 mm"),
        ({"pixdim": [-1, 0.7, 0.7, np.nan, 1, 1, 1, 1]}, "voxels of 0.7 x 0.7 x nan mm"),
        ({"pixdim": [1, 0, 0.7, 2.5, 1, 1, 1, 1], "sform_code": 0}, "maps no volume"),
        ({"pixdim": [1, 0, 0.7, 2.5, 1, 1, 1, 1], "qform_code": 0}, "0 x 0.7 x 2.5 mm by pixdim"),
        ({"pixdim": [1, -0.7, 0.7, 2.5, 1, 1, 1, 1], "qform_code": 0}, "-0.7 x 0.7 x 2.5 mm by"),
        ({"pixdim": [1, 0.7, 0.7, 5, 1, 1, 1, 1], "qform_code": 0}, "and of 0.7 x 0.7 x 2.5 mm"),
        ({"srow_y": [0.7, 0, 2.5, 0], "qform_code": 0}, "sheared by"),
        ({"xyzt_units": 1}, "metres"),
        ({"xyzt_units": 3}, "micrometres"),
        ({"xyzt_units": 5}, "an unknown unit"),
    ],
)
def test_a_header_that_lies_is_refused_in_one_line(
    tmp_path: Path, make_ct: Callable[..., Array], fields: dict[str, Any], says: str
) -> None:
    path = with_fields(save(tmp_path / "ct.nii", make_ct()), **fields)
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"bitpix": 0},
        {"xyzt_units": 0},
        {"xyzt_units": 10},
        {"vox_offset": 0},
        {"dim": [4, 14, 12, 6, 1, 9, 9, 9]},  # beyond dim[0] nothing is meant
        {"pixdim": [0, 0.7, 0.7, 2.5, 0, -3, np.nan, 1]},
        {"cal_max": np.nan, "cal_min": np.inf, "slice_code": 99, "toffset": np.nan},
    ],
)
def test_an_odd_header_is_read_right(
    tmp_path: Path, make_ct: Callable[..., Array], fields: dict[str, Any]
) -> None:
    affine = np.diag([0.7, 0.7, 2.5, 1])
    stored = nifti.read((with_fields(save(tmp_path / "ct.nii", make_ct(), affine), **fields),))
    np.testing.assert_array_equal(stored.array, make_ct())
    np.testing.assert_allclose(stored.affine, affine, atol=1e-6)


def test_an_intent_that_is_no_image_is_said(tmp_path: Path, make_ct: Callable[..., Array]) -> None:
    path = with_fields(save(tmp_path / "ct.nii", make_ct()), intent_code=1002)
    assert "intent code 1002" in nifti.read((path,)).warnings[0]


def test_names_do_not_decide_what_is_packed(tmp_path: Path, make_ct: Callable[..., Array]) -> None:
    plain = save(tmp_path / "a.nii", make_ct()).rename(tmp_path / "plain.nii.gz")
    packed = save(tmp_path / "a.nii.gz", make_ct()).rename(tmp_path / "packed.nii")
    for path in (plain, packed):
        np.testing.assert_array_equal(nifti.read((path,)).array, make_ct())


@pytest.mark.parametrize("extra", [16, 32, 1024])
def test_extensions_are_passed_over_and_must_end_before_the_voxels(
    tmp_path: Path, make_ct: Callable[..., Array], extra: int
) -> None:
    path = with_fields(save(tmp_path / "ct.nii", make_ct()), vox_offset=352 + extra)
    whole = path.read_bytes()
    body = np.array([extra, 6], "<i4").tobytes() + b"Jane Roe" + bytes(extra - 16)
    path.write_bytes(whole[:348] + b"\1\0\0\0" + body + whole[352:])
    np.testing.assert_array_equal(nifti.read((path,)).array, make_ct())
    body = np.array([extra + 16, 6], "<i4").tobytes() + body[8:]
    path.write_bytes(whole[:348] + b"\1\0\0\0" + body + whole[352:])
    with pytest.raises(VolumeError, match="run into its voxels"):
        nifti.read((path,))


def test_an_offset_that_lies_is_noticed_by_what_is_left_over(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    array = make_ct((40, 40, 30))
    path = save(tmp_path / "ct.nii", array)
    whole = path.read_bytes()
    path.write_bytes(whole[:352] + np.array([16, 6], "<i4").tobytes() + bytes(8) + whole[352:])
    with pytest.raises(VolumeError, match="holds more than"):
        nifti.read((path,))
    path.write_bytes(whole + bytes(16))  # padding is no voxel
    np.testing.assert_array_equal(nifti.read((path,)).array, array)
    path.write_bytes(whole + b"x")
    with pytest.raises(VolumeError, match="holds more than"):
        nifti.read((path,))


def test_a_pair_is_held_to_its_image_file(tmp_path: Path, make_ct: Callable[..., Array]) -> None:
    path = save(tmp_path / "ct.hdr", make_ct((40, 40, 30)))
    image = path.with_suffix(".img")
    whole = image.read_bytes()
    assert nifti.voxel_file(path) == image
    for data, says in (
        (whole[:-1], "truncated"),
        (whole + b"x", "holds more than"),
        (whole * 2, "holds more than"),
        (b"", "truncated"),
        (gzip.compress(whole)[:-1], "truncated"),
    ):
        image.write_bytes(data)
        with pytest.raises(VolumeError, match=says):
            nifti.read((path,))
    image.write_bytes(gzip.compress(whole))
    np.testing.assert_array_equal(nifti.read((path,)).array, make_ct((40, 40, 30)))
    path.write_bytes(path.read_bytes().replace(b"ni1\0", b"n+1\0"))
    with pytest.raises(VolumeError, match=r"name it \.nii"):
        nifti.read((path,))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_second_version_spoilt_by_text_transfer_is_refused(tmp_path: Path, order: str) -> None:
    image: Any = nibabel.Nifti2Image(np.zeros((3, 4, 5), np.int16), AFFINE)
    image = nibabel.Nifti2Image(image.dataobj, AFFINE, image.header.as_byteswapped(order))
    image.to_filename(tmp_path / "ct.nii")
    assert nifti.read((tmp_path / "ct.nii",)).array.shape == (3, 4, 5)
    whole = (tmp_path / "ct.nii").read_bytes()
    (tmp_path / "ct.nii").write_bytes(whole.replace(b"\r\n\x1a\n", b"\n\x1a\n", 1))
    with pytest.raises(VolumeError, match="damaged NIfTI header"):
        nifti.read((tmp_path / "ct.nii",))


def test_a_plane_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    path = save(tmp_path / "ct.nii", np.arange(12, dtype=np.int16).reshape(3, 4))
    stored = nifti.read((path,))
    assert stored.array.shape == (3, 4, 1)
    np.testing.assert_allclose(stored.affine, AFFINE, atol=1e-6)


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
        write_volume(Volume(make_ct(), AFFINE), tmp_path / "ct.mhd")


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


@pytest.mark.parametrize("degrees", [0.003, 0.01, 0.03, 0.05, 0.08, 0.3])
@pytest.mark.parametrize("axes", [(1, 2), (0, 2), (0, 1)])
def test_near_half_a_turn_a_qform_may_be_as_coarse_as_its_numbers(
    degrees: float, axes: tuple[int, int], tmp_path: Path
) -> None:
    def turned(angle: float) -> Array:
        turn = np.eye(4)
        turn[np.ix_(axes, axes)] = [
            [np.cos(angle), -np.sin(angle)],
            [np.sin(angle), np.cos(angle)],
        ]
        return turn @ np.diag([0.45, -0.45, -0.6, 1.0])

    affine, other = turned(np.radians(degrees)), turned(np.radians(degrees + 0.3))
    path = save(tmp_path / "ct.nii", np.full((300, 300, 90), -1000, np.int16), affine)
    np.testing.assert_allclose(read_volume(path).affine, affine, atol=1e-6)
    with_fields(path, srow_x=other[0], srow_y=other[1], srow_z=other[2])
    with pytest.raises(GeometryError, match="sform and a qform"):
        read_volume(path)
