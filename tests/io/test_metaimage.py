from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK

from medcyclegan.errors import VolumeError
from medcyclegan.io import metaimage, read_labels, read_volume
from medcyclegan.io.stored import ReadOptions

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
COSINES = (0.0, 1.0, 0.0, -0.8, 0.0, 0.6, 0.6, 0.0, 0.8)
RAS = np.array([[0, -0.75, 0, 90], [0.4, 0, -1.5, -20], [0.3, 0, 2, 33], [0, 0, 0, 1]])
FIRST = "TransformMatrix = 0 -0.80000000000000004 0.59999999999999998"


def image_of(array: Array) -> Any:
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing((0.5, 0.75, 2.5))
    image.SetOrigin((-90.0, 20.0, 33.0))
    image.SetDirection(COSINES)
    return image


@pytest.fixture
def detached(tmp_path: Path, make_ct: MakeCT) -> Path:
    """A header with its voxels beside it, more of them in the folder above, and a link there."""
    folder = tmp_path / "in"
    folder.mkdir()
    SimpleITK.WriteImage(image_of(make_ct()), str(folder / "ct.mhd"))
    (tmp_path / "ct.raw").write_bytes((folder / "ct.raw").read_bytes())
    (folder / "link.raw").symlink_to(tmp_path / "ct.raw")
    return folder / "ct.mhd"


def say(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_a_volume_is_the_same_as_its_nifti(
    tmp_path: Path, make_ct: MakeCT, suffix: str, packed: bool
) -> None:
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(image_of(make_ct()), str(path), packed)
    SimpleITK.WriteImage(image_of(make_ct()), str(tmp_path / "ct.nii.gz"))
    volume, nifti = read_volume(path), read_volume(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(volume.array, make_ct())
    np.testing.assert_array_equal(nifti.array, make_ct())
    np.testing.assert_allclose(volume.affine, nifti.affine, atol=1e-4)
    np.testing.assert_allclose(volume.affine, RAS, atol=1e-9)
    assert volume.provenance.format == "mha"
    assert metaimage.volume_count(path) == 1


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_labels_keep_values_and_type(tmp_path: Path, dtype: str) -> None:
    array: Array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    SimpleITK.WriteImage(image_of(array), str(tmp_path / "labels.mha"))
    labels = read_labels(tmp_path / "labels.mha")
    np.testing.assert_array_equal(labels.array, array)
    assert labels.array.dtype == dtype
    assert labels.array.flags.writeable


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_or_spoilt_anywhere_is_refused(
    tmp_path: Path, make_ct: MakeCT, packed: bool
) -> None:
    path = tmp_path / "ct.mha"
    SimpleITK.WriteImage(image_of(make_ct()), str(path), packed)
    whole = path.read_bytes()
    spoilt = [whole[:size] for size in (0, 1, 60, len(whole) // 2, len(whole) - 9, len(whole) - 1)]
    spoilt += [whole + b"x" * 30]
    if packed:
        spoilt += [
            whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
            whole.replace(b"12 6", b"12 5"),
        ]
        spoilt += [whole.replace(b"14 12 6", b"14 12 7")]
    for data in spoilt:
        path.write_bytes(data)
        with pytest.raises(
            VolumeError, match=r"truncated|damaged|holds more|empty|no Meta"
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
        ("ct.raw", "..", "outside its folder"),
        ("ct.raw", "LIST\na.raw\nb.raw", "one file for each slice"),
        ("ct.raw", "LIST 2", "one file for each slice"),
        ("ct.raw", "slice%03d.raw 1 6 1", "one file for each slice"),
        ("ct.raw", "other.raw", "not beside it"),
        ("ct.raw", "", "outside its folder"),
        ("ct.raw", "ct.mhd", "names itself"),
        ("ct.raw", "LOCAL", "truncated"),
        ("ElementDataFile", "ElementFile", "no ElementDataFile"),
        ("DimSize = 14 12 6", "DimSize = 14 12 7", "truncated"),
        ("DimSize = 14 12 6", "DimSize = 14 12 5", "holds more than"),
        ("DimSize = 14 12 6", "DimSize = 99999 99999 99999", "more than the"),
        ("DimSize = 14 12 6", "DimSize = 14 -12 6", "impossible shape"),
        ("DimSize = 14 12 6", "DimSize = 14 0 6", "impossible shape"),
        ("DimSize = 14 12 6", "DimSize = 14 12 6e0", "no whole numbers"),
        ("DimSize = 14 12 6", f"DimSize = 14 12 {'9' * 5000}", "no whole numbers"),
        ("DimSize = 14 12 6", "DimSize = 14 12 6\nDimSize = 1 1 1", "twice"),
        ("DimSize = 14 12 6", "DimSize = 14 72", "NDims 3 and 2 sizes"),
        ("NDims = 3", "NDims = 4", "NDims 4 and 3 sizes"),
        ("NDims = 3", "NDims = three", "no whole numbers"),
        ("MET_SHORT", "MET_DOUBLE", "truncated"),
        ("MET_SHORT", "MET_SHORT_ARRAY", "type MET_SHORT_ARRAY"),
        ("MET_SHORT", "MET_OTHER", "type MET_OTHER"),
        ("ElementSpacing", "Nothing", "no ElementSpacing"),
        ("ElementSpacing = 0.5", "ElementSpacing = 0", "above 0"),
        ("ElementSpacing = 0.5", "ElementSpacing = -0.5", "above 0"),
        ("ElementSpacing = 0.5", "ElementSpacing = nan", "finite numbers"),
        ("ElementSpacing = 0.5", "ElementSpacing = 1e999", "finite numbers"),
        ("ElementSpacing = 0.5", "ElementSpacing = 0.5 0.5", "not 3 finite numbers"),
        ("Offset = -90", "Offset = inf", "finite numbers"),
        ("Offset = -90", "Position = 1 1 1\nOffset = -90", "another Position"),
        ("TransformMatrix", "Nothing", "no TransformMatrix"),
        ("TransformMatrix = 0", "TransformMatrix = 2", "no unit vectors"),
        ("TransformMatrix = 0", "TransformMatrix = 0 0", "not 9 finite"),
        (FIRST, "TransformMatrix = 0 0 0", "no unit vectors"),
        (FIRST, "TransformMatrix = 0.6 0 0.8", "sheared"),
        ("BinaryData = True", "BinaryData = False", "as text"),
        ("BinaryData = True", "BinaryData = Maybe", "neither True nor False"),
        ("BinaryData = True", "ElementNumberOfChannels = 3", "Channels 3"),
        ("BinaryData = True", "ElementToIntensityFunctionSlope = 2", "Slope 2"),
        ("BinaryData = True", "ElementToIntensityFunctionOffset = -1024", "Offset -1024"),
        ("BinaryData = True", "HeaderSize = -2", "HeaderSize -2"),
        ("BinaryData = True", "HeaderSize = 8", "truncated"),
        ("BinaryData = True", "Modality = MET_MOD_MR", "says that it is MR"),
        ("ObjectType = Image", "ObjectType = Mesh", "holds a Mesh"),
        ("CompressedData = False", "CompressedData = True", "damaged|truncated"),
    ],
)
def test_a_header_that_lies_or_leads_astray_is_refused_in_one_line(
    detached: Path, old: str, new: str, says: str
) -> None:
    say(detached, old, new)
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(detached)
    assert str(caught.value).startswith(f"{detached}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert metaimage.volume_count(detached) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ElementSpacing", "ElementSize"),
        ("TransformMatrix", "Rotation"),
        ("TransformMatrix", "Orientation"),
        ("Offset", "Origin"),
        ("Offset", "Position"),
        ("BinaryData = True", "Comment = none"),
        ("BinaryData = True", "HeaderSize = 0"),
        ("BinaryData = True", "HeaderSize = -1"),
        ("BinaryData = True", "Modality = MET_MOD_CT"),
        (
            "AnatomicalOrientation = ",
            "AnatomicalOrientation = RAI or ",
        ),  # the matrix says it better
        ("Offset = -90", "Origin = -90 20 33\nOffset = -90"),
    ],
)
def test_an_odd_header_is_read_right(detached: Path, make_ct: MakeCT, old: str, new: str) -> None:
    say(detached, old, new)
    stored = metaimage.read((detached,))
    np.testing.assert_array_equal(stored.array, make_ct())
    np.testing.assert_allclose(stored.affine, RAS, atol=1e-9)


def test_the_other_byte_order_and_a_skipped_head_are_read(detached: Path, make_ct: MakeCT) -> None:
    raw = detached.with_suffix(".raw")
    swapped = np.frombuffer(raw.read_bytes(), "<i2").astype(">i2").tobytes()
    say(detached, "ByteOrderMSB = False", "ByteOrderMSB = True")
    for head, size in ((b"", "0"), (b"12345678", "8"), (b"12345678", "-1")):
        raw.write_bytes(head + swapped)
        text = detached.read_text()
        say(detached, "BinaryData = True", f"BinaryData = True\nHeaderSize = {size}")
        np.testing.assert_array_equal(metaimage.read((detached,)).array, make_ct())
        detached.write_text(text)


@pytest.mark.parametrize("change", [-1, 1, 10_000])
def test_a_packed_size_that_lies_is_refused(tmp_path: Path, make_ct: MakeCT, change: int) -> None:
    path = tmp_path / "ct.mha"
    SimpleITK.WriteImage(image_of(make_ct()), str(path), True)
    name, _, rest = path.read_bytes().partition(b"CompressedDataSize = ")
    size, _, rest = rest.partition(b"\n")
    path.write_bytes(name + f"CompressedDataSize = {int(size) + change}\n".encode() + rest)
    with pytest.raises(VolumeError, match="packed bytes and holds"):
        metaimage.read((path,))


def test_a_small_file_that_declares_a_huge_one_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ct.mha"
    SimpleITK.WriteImage(image_of(np.zeros((4, 4, 4), np.int16)), str(path), True)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 4 4 4", b"DimSize = 1024 1024 2047"))
    with pytest.raises(VolumeError, match="packed bytes cannot hold"):
        metaimage.read((path,))


def test_colour_and_planes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ct.mha"
    colour = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colour, str(path))
    with pytest.raises(VolumeError, match="Channels 3"):
        read_volume(path)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 4), np.int16)), str(path))
    with pytest.raises(VolumeError, match="has 2 axes"):
        read_volume(path)


def test_several_volumes_are_read_where_asked_for(tmp_path: Path, make_ct: MakeCT) -> None:
    path = tmp_path / "ct.mha"
    arrays = [make_ct(seed=seed) for seed in (1, 2)]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(image_of(arrays[0])), str(path))
    stored = metaimage.read((path,))
    np.testing.assert_array_equal(stored.array, arrays[0])
    np.testing.assert_allclose(stored.affine, RAS, atol=1e-9)
    SimpleITK.WriteImage(SimpleITK.JoinSeries([image_of(array) for array in arrays]), str(path))
    assert metaimage.volume_count(path) == 2
    with pytest.raises(VolumeError, match="several volumes"):
        metaimage.read((path,))
    stored = metaimage.read((path,), ReadOptions(split_4d=True))
    np.testing.assert_array_equal(stored.array, np.stack(arrays, axis=3))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"DimSize = 14 12 6 2", b"DimSize = 14 12 6 32000"))
    assert metaimage.volume_count(path) == 1
    path.write_bytes(whole.replace(b" 0 0 0 0 1\nOffset", b" 0 0.1 0 0 1\nOffset"))
    with pytest.raises(VolumeError, match="right angles"):
        metaimage.read((path,), ReadOptions(split_4d=True))


def test_what_is_written_is_short_and_packed(tmp_path: Path, make_ct: MakeCT) -> None:
    source = tmp_path / "ct.mha"
    image = image_of(make_ct())
    image.SetMetaData("Comment", "Jane Roe")
    SimpleITK.WriteImage(image, str(source))
    assert b"Jane" in source.read_bytes()
    metaimage.write_volume(read_volume(source), tmp_path / "out.mha")
    head, _, voxels = (tmp_path / "out.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    assert b"Jane" not in head
    assert zlib.decompress(voxels) == make_ct().tobytes(order="F")
