from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK

from medcyclegan.errors import VolumeError
from medcyclegan.io import nrrd, read_labels, read_volume
from medcyclegan.io.stored import ReadOptions

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
COSINES = (0.0, 1.0, 0.0, -0.8, 0.0, 0.6, 0.6, 0.0, 0.8)
RAS = np.array([[0, -0.75, 0, 90], [0.4, 0, -1.5, -20], [0.3, 0, 2, 33], [0, 0, 0, 1]])
VECTORS = "(0,-0.4,0.3) (0.75,0,0) (0,1.5,2)"


def image_of(array: Array) -> Any:
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing((0.5, 0.75, 2.5))
    image.SetOrigin((-90.0, 20.0, 33.0))
    image.SetDirection(COSINES)
    return image


def nrrd_bytes(array: Array, **fields: str) -> bytes:
    """An NRRD file of an array, first axis fastest; "" leaves a field out."""
    said = {
        "type": {"i": "int", "u": "uint", "f": "float"}[array.dtype.kind],
        "dimension": str(array.ndim),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, array.shape)),
        "space directions": VECTORS,
        "endian": "little",
        "encoding": "raw",
        "space origin": "(-90,20,33)",
    }
    if array.dtype.kind != "f":
        said["type"] += f"{8 * array.itemsize}"
    said |= {name.replace("_", " "): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\n" for name, value in said.items() if value)
    return b"NRRD0005\n# made by hand\n" + lines.encode() + b"\n" + array.tobytes(order="F")


@pytest.fixture
def detached(tmp_path: Path, make_ct: MakeCT) -> Path:
    """A header with its voxels beside it, more of them in the folder above, and a link there."""
    folder = tmp_path / "in"
    folder.mkdir()
    SimpleITK.WriteImage(image_of(make_ct()), str(folder / "ct.nhdr"))
    (tmp_path / "ct.raw").write_bytes((folder / "ct.raw").read_bytes())
    (folder / "link.raw").symlink_to(tmp_path / "ct.raw")
    return folder / "ct.nhdr"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr"])
def test_a_volume_is_the_same_as_its_nifti(
    tmp_path: Path, make_ct: MakeCT, suffix: str, packed: bool
) -> None:
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(image_of(make_ct()), str(path), packed)
    SimpleITK.WriteImage(image_of(make_ct()), str(tmp_path / "ct.nii.gz"))
    volume, nifti = read_volume(path), read_volume(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(volume.array, make_ct())
    np.testing.assert_allclose(volume.affine, nifti.affine, atol=1e-4)
    np.testing.assert_allclose(volume.affine, RAS, atol=1e-9)
    assert volume.provenance.format == "nrrd"
    assert nrrd.volume_count(path) == 1


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_labels_keep_values_and_type(tmp_path: Path, dtype: str) -> None:
    array: Array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    SimpleITK.WriteImage(image_of(array), str(tmp_path / "labels.nrrd"))
    labels = read_labels(tmp_path / "labels.nrrd")
    np.testing.assert_array_equal(labels.array, array)
    assert labels.array.dtype == dtype


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_or_spoilt_anywhere_is_refused(
    tmp_path: Path, make_ct: MakeCT, packed: bool
) -> None:
    path = tmp_path / "ct.nrrd"
    SimpleITK.WriteImage(image_of(make_ct()), str(path), packed)
    whole = path.read_bytes()
    spoilt = [whole[:size] for size in (0, 1, 60, len(whole) // 2, len(whole) - 9, len(whole) - 1)]
    spoilt += [whole + b"x" * 30, whole.replace(b"14 12 6", b"14 12 5")]
    spoilt += [whole.replace(b"14 12 6", b"14 12 7")]
    if packed:
        spoilt += [whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]]
    for data in spoilt:
        path.write_bytes(data)
        with pytest.raises(
            VolumeError, match=r"truncated|damaged|holds more|empty|no NRRD"
        ) as caught:
            read_volume(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("ct.raw", "../ct.raw", "outside its folder"),
        ("ct.raw", "/etc/passwd", "outside its folder"),
        ("ct.raw", "link.raw", "outside its folder"),
        ("ct.raw", "LIST\na.raw", "one file for each slice"),
        ("ct.raw", "slice%03d.raw 1 6 1", "one file for each slice"),
        ("ct.raw", "other.raw", "not beside it"),
        ("ct.raw", "", "outside its folder"),
        ("ct.raw", "ct.nhdr", "names itself"),
        ("data file: ct.raw", "datafile: ct.raw\ndata file: ct.raw", "data file twice"),
        ("sizes: 14 12 6", "sizes: 14 12 7", "truncated"),
        ("sizes: 14 12 6", "sizes: 14 12 5", "holds more than"),
        ("sizes: 14 12 6", "sizes: 99999 99999 99999", "more than the"),
        ("sizes: 14 12 6", "sizes: 14 12 -6", "impossible shape"),
        ("sizes: 14 12 6", "sizes: 14 12", "dimension 3 and 2 sizes"),
        ("sizes: 14 12 6", "sizes: 14 12 six", "no whole numbers"),
        ("dimension: 3", "dimension: 4", "dimension 4 and 3 sizes"),
        ("dimension: 3", "# none", "no whole numbers"),
        ("type: short", "type: double", "truncated"),
        ("type: short", "type: block", "type block"),
        ("type: short", "# none", r"type \(none\)"),
        ("endian: little", "# none", r"byte order \(none\)"),
        ("endian: little", "endian: middle", "byte order middle"),
        ("encoding: raw", "encoding: ascii", "encoding ascii"),
        ("encoding: raw", "encoding: bzip2", "encoding bzip2"),
        ("encoding: raw", "encoding: hex", "encoding hex"),
        ("encoding: raw", "encoding: gzip", "truncated|damaged"),
        ("encoding: raw", "encoding: raw\nline skip: 2", "skips lines"),
        ("encoding: raw", "encoding: raw\nbyteskip: 5", "skips lines"),
        ("encoding: raw", "encoding: gzip\nbyteskip: -1", "skips lines"),
        ("encoding: raw", "encoding: raw\nold min: -1024", "quantised"),
        ("encoding: raw", "encoding: raw\nspacings: 1 1 1", "twice, as spacings"),
        ("encoding: raw", 'encoding: raw\nspace units: "cm" "cm" "cm"', "lengths in cm"),
        ("encoding: raw", "encoding: raw\nspace units: um um um", "lengths in um"),
        ("space: left-posterior-superior", "space: scanner-xyz", "scanner-xyz"),
        ("space: left-posterior-superior", "space dimension: 3", r"space \(none\)"),
        ("space origin", "# no origin", "no space directions or origin"),
        ("space directions", "# no directions", "no space directions or origin"),
        ("space directions: ", "space directions: none ", "not one for each of 3 axes"),
        ("space directions: (", "space directions: none (1,2,3) none #(", "not one for each"),
        ("space origin: (", "space origin: (1,", "not 3 finite numbers"),
        ("space origin: (-90", "space origin: (nan", "finite numbers"),
        ("space origin: (-90", "space origin: -90", "no vector"),
        ("NRRD0004", "BORING", "no NRRD"),
        ("NRRD0004", "NRRD0009", "no NRRD"),
    ],
)
def test_a_header_that_lies_or_leads_astray_is_refused_in_one_line(
    detached: Path, old: str, new: str, says: str
) -> None:
    text = detached.read_text()
    assert old in text
    detached.write_text(text.replace(old, new))
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(detached)
    assert str(caught.value).startswith(f"{detached}: ")
    assert "\n" not in str(caught.value)
    assert nrrd.volume_count(detached) == 1


@pytest.mark.parametrize(
    ("directions", "says"),
    [
        ("none (0.75,0,0) (0,1.5,2)", "2 axes in space"),
        ("(0,0,0) (0.75,0,0) (0,1.5,2)", "2 axes in space"),
        ("(0,-0.4,0.3) (0.75,0,0) (0,nan,2)", "finite numbers"),
        ("(0,-0.4,0.3) (0.75,0,0) (0,1.5)", "not 3 finite numbers"),
        ("(0,-0.4,0.3) (0.75,0,0) (0,0.4,-0.3)", "sheared"),
        ("(1,0,0) (0.4,1,0) (0,0,1)", "sheared by 21.8"),
        ("(1,0,0) (0,1e-5,0) (0,0,1)", "voxel size of zero"),
    ],
)
def test_directions_that_make_no_grid_are_refused(
    tmp_path: Path, make_ct: MakeCT, directions: str, says: str
) -> None:
    path = tmp_path / "ct.nrrd"
    path.write_bytes(nrrd_bytes(make_ct(), space_directions=directions))
    with pytest.raises(VolumeError, match=says):
        read_volume(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"space": "LPS"},
        {"kinds": "domain domain domain", "centerings": "cell cell cell"},
        {"kinds": "space space space"},
        {"space_units": '"mm" "mm" "mm"'},
        {"space_directions": "( 0, -0.4 ,0.3)  (7.5e-1,0,0)(0,1.5,2)"},
        {"spacings": "NaN NaN NaN"},
        {"byte_skip": "0"},
        {"byte_skip": "-1"},
        {"measurement_frame": "(0,1,0) (1,0,0) (0,0,1)"},
        {"content": "Jane: Roe", "name:=": "sizes: 1 1 1"},
    ],
)
def test_an_odd_header_is_read_right(
    tmp_path: Path, make_ct: MakeCT, fields: dict[str, str]
) -> None:
    path = tmp_path / "ct.nrrd"
    path.write_bytes(nrrd_bytes(make_ct(), **fields))
    stored = nrrd.read((path,))
    np.testing.assert_array_equal(stored.array, make_ct())
    np.testing.assert_allclose(stored.affine, RAS, atol=1e-12)


def test_spaces_byte_orders_and_line_ends(tmp_path: Path, make_ct: MakeCT) -> None:
    path = tmp_path / "ct.nrrd"
    for space, signs in (("right-anterior-superior", (1, 1)), ("LAS", (-1, 1))):
        path.write_bytes(nrrd_bytes(make_ct(), space=space))
        expected = np.diag([-signs[0], -signs[1], 1, 1]) @ RAS
        np.testing.assert_allclose(nrrd.read((path,)).affine, expected, atol=1e-12)
    path.write_bytes(nrrd_bytes(make_ct().astype(">i2"), endian="big"))
    np.testing.assert_array_equal(nrrd.read((path,)).array, make_ct())
    head, _, voxels = nrrd_bytes(make_ct()).partition(b"\n\n")
    path.write_bytes(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + voxels)
    np.testing.assert_array_equal(nrrd.read((path,)).array, make_ct())
    path.write_bytes(nrrd_bytes(np.ones((2, 2, 2), np.uint8), endian="", type="uchar"))
    assert nrrd.read((path,)).array.dtype == np.uint8


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("kind", ["list", "time", "domain"])
def test_several_volumes_are_read_where_asked_for(
    tmp_path: Path, make_ct: MakeCT, kind: str, last: bool
) -> None:
    path = tmp_path / "ct.nrrd"
    stack = np.stack([make_ct(seed=seed) for seed in (1, 2)], axis=3 if last else 0)
    directions = f"{VECTORS} none" if last else f"none {VECTORS}"
    kinds = f"domain domain domain {kind}" if last else f"{kind} domain domain domain"
    path.write_bytes(nrrd_bytes(stack, space_directions=directions, kinds=kinds))
    assert nrrd.volume_count(path) == 2
    with pytest.raises(VolumeError, match="several volumes"):
        nrrd.read((path,))
    stored = nrrd.read((path,), ReadOptions(split_4d=True))
    np.testing.assert_array_equal(stored.array, stack if last else np.moveaxis(stack, 0, 3))
    np.testing.assert_allclose(stored.affine, RAS, atol=1e-12)
    one = stack[..., :1] if last else stack[:1]
    path.write_bytes(nrrd_bytes(one, space_directions=directions, kinds=kinds))
    np.testing.assert_array_equal(nrrd.read((path,)).array, one.reshape(14, 12, 6))


@pytest.mark.parametrize("kind", ["vector", "RGB-color", "3-vector", "complex", "none", "???", ""])
def test_several_numbers_for_each_voxel_are_refused(tmp_path: Path, kind: str) -> None:
    array = np.zeros((3, 4, 5, 6), np.int16)
    kinds = f"{kind} domain domain domain" if kind else ""
    path = tmp_path / "ct.nrrd"
    path.write_bytes(nrrd_bytes(array, space_directions=f"none {VECTORS}", kinds=kinds))
    for options in (ReadOptions(), ReadOptions(split_4d=True)):
        with pytest.raises(VolumeError, match="3 numbers for each voxel"):
            nrrd.read((path,), options)


def test_four_axes_as_itk_and_with_time_are_read(tmp_path: Path, make_ct: MakeCT) -> None:
    path = tmp_path / "ct.nrrd"
    SimpleITK.WriteImage(SimpleITK.JoinSeries(image_of(make_ct())), str(path))
    stored = nrrd.read((path,))
    np.testing.assert_array_equal(stored.array, make_ct())
    np.testing.assert_allclose(stored.affine, RAS, atol=1e-9)
    assert "names no space" in stored.warnings[0]
    timed = {
        "space": "left-posterior-superior-time",
        "space_directions": "(0,-0.4,0.3,0) (0.75,0,0,0) (0,1.5,2,0) (0,0,0,2)",
        "space_origin": "(-90,20,33,7)",
    }
    path.write_bytes(nrrd_bytes(make_ct()[..., None], **timed))
    np.testing.assert_allclose(nrrd.read((path,)).affine, RAS, atol=1e-12)
    timed["space_directions"] = "(0,-0.4,0.3,1) (0.75,0,0,0) (0,1.5,2,0) (0,0,0,2)"
    path.write_bytes(nrrd_bytes(make_ct()[..., None], **timed))
    with pytest.raises(VolumeError, match="axes in space"):
        nrrd.read((path,))


def test_a_small_file_that_declares_a_huge_one_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ct.nrrd"
    SimpleITK.WriteImage(image_of(np.zeros((4, 4, 4), np.int16)), str(path), True)
    path.write_bytes(path.read_bytes().replace(b"sizes: 4 4 4", b"sizes: 1024 1024 2047"))
    with pytest.raises(VolumeError, match="packed bytes cannot hold"):
        nrrd.read((path,))


def test_planes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ct.nrrd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 4), np.int16)), str(path))
    with pytest.raises(VolumeError, match="has 2 axes"):
        read_volume(path)


def test_what_is_written_is_short_and_packed(tmp_path: Path, make_ct: MakeCT) -> None:
    (tmp_path / "ct.nrrd").write_bytes(nrrd_bytes(make_ct(), **{"PatientName:=": "Jane Roe"}))
    nrrd.write_volume(read_volume(tmp_path / "ct.nrrd"), tmp_path / "out.nrrd")
    head, _, voxels = (tmp_path / "out.nrrd").read_bytes().partition(b"\n\n")
    assert b"Jane" not in head
    assert gzip.decompress(voxels) == make_ct().tobytes(order="F")


def test_raw_voxels_may_lie_at_the_end_of_another_file(tmp_path: Path, make_ct: MakeCT) -> None:
    head, _, voxels = nrrd_bytes(make_ct(), data_file="ct.bin", byte_skip="-1").partition(b"\n\n")
    (tmp_path / "ct.nhdr").write_bytes(head + b"\n")
    (tmp_path / "ct.bin").write_bytes(b"a header of whatever kind" + voxels)
    volume = read_volume(tmp_path / "ct.nhdr")
    np.testing.assert_array_equal(volume.array, make_ct())
    (tmp_path / "ct.bin").write_bytes(voxels[2:])
    with pytest.raises(VolumeError, match="truncated"):
        read_volume(tmp_path / "ct.nhdr")
