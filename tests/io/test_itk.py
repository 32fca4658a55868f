from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK

from medcyclegan.errors import VolumeError
from medcyclegan.io import read_labels, read_volume, write_volume

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
COSINES = (0.0, 1.0, 0.0, -0.8, 0.0, 0.6, 0.6, 0.0, 0.8)


def image_of(array: Array) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-90.0, 20.0, 33.0))
    image.SetDirection(COSINES)
    return image


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
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
    assert volume.provenance.format == ("mha" if "m" in suffix else "nrrd")
    write_volume(volume, tmp_path / "again.nii.gz")
    theirs = SimpleITK.ReadImage(str(tmp_path / "again.nii.gz"))
    np.testing.assert_allclose(theirs.GetOrigin(), (-90, 20, 33), atol=1e-4)
    np.testing.assert_allclose(theirs.GetDirection(), COSINES, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_labels_keep_values_and_type(tmp_path: Path, suffix: str, dtype: type) -> None:
    array: Array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    SimpleITK.WriteImage(image_of(array), str(tmp_path / f"labels{suffix}"))
    labels = read_labels(tmp_path / f"labels{suffix}")
    np.testing.assert_array_equal(labels.array, array)
    assert labels.array.dtype == dtype


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_file_cut_anywhere_is_refused(
    tmp_path: Path, make_ct: MakeCT, suffix: str, packed: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(image_of(make_ct()), str(path), packed)
    whole = path.read_bytes()
    for size in (0, 1, 60, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(VolumeError) as caught:
            read_volume(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_packed_stream_with_a_flipped_bit_is_refused(tmp_path: Path, make_ct: MakeCT) -> None:
    for name in ("ct.mha", "ct.nrrd"):
        path = tmp_path / name
        SimpleITK.WriteImage(image_of(make_ct()), str(path), True)
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        with pytest.raises(VolumeError, match=r"damaged|unpacks to more"):
            read_volume(path)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("ct.mhd", "ct.raw", "../ct.raw", "outside its folder"),
        ("ct.mhd", "ct.raw", "/etc/passwd", "outside its folder"),
        ("ct.mhd", "ct.raw", "link.raw", "outside its folder"),
        ("ct.mhd", "ct.raw", "LIST", "not beside it"),
        ("ct.mhd", "ct.raw", "other.raw", "not beside it"),
        ("ct.mhd", "DimSize = 14 12 6", "DimSize = 14 12 7", "truncated"),
        ("ct.mhd", "DimSize = 14 12 6", "DimSize = 99999 99999 99999", "more than the"),
        ("ct.mhd", "DimSize = 14 12 6", "DimSize = 14 -12 6", "impossible shape"),
        ("ct.mhd", "DimSize = 14 12 6", "DimSize = 14 12", "2 axes"),
        ("ct.mhd", "DimSize = 14 12 6", "DimSize = 14 12 6\nDimSize = 1 1 1", "twice"),
        ("ct.mhd", "MET_SHORT", "MET_DOUBLE", "truncated"),
        ("ct.mhd", "MET_SHORT", "MET_SHORT_ARRAY", "type MET_SHORT_ARRAY"),
        ("ct.mhd", "ElementSpacing", "Nothing", "no ElementSpacing"),
        ("ct.mhd", "TransformMatrix", "Nothing", "no TransformMatrix"),
        ("ct.mhd", "BinaryData = True", "BinaryData = False", "as text"),
        ("ct.mhd", "BinaryData = True", "ElementNumberOfChannels = 3", "Channels 3"),
        ("ct.nhdr", "ct.raw", "../ct.raw", "outside its folder"),
        ("ct.nhdr", "ct.raw", "link.raw", "outside its folder"),
        ("ct.nhdr", "ct.raw", "LIST", "not beside it"),
        ("ct.nhdr", "sizes: 14 12 6", "sizes: 14 12 7", "truncated"),
        ("ct.nhdr", "type: short", "type: double", "truncated"),
        ("ct.nhdr", "type: short", "type: block", "type block"),
        ("ct.nhdr", "encoding: raw", "encoding: ascii", "encoding ascii"),
        ("ct.nhdr", "encoding: raw", "encoding: raw\nline skip: 2", "skips lines"),
        ("ct.nhdr", "space: left-posterior-superior", "space: scanner-xyz", "scanner-xyz"),
        ("ct.nhdr", "space origin", "# no origin", "no space directions or origin"),
        ("ct.nhdr", "NRRD0004", "BORING", "no NRRD"),
    ],
)
def test_a_header_that_lies_or_leads_astray_is_refused_in_one_line(
    tmp_path: Path, make_ct: MakeCT, name: str, old: str, new: str, says: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / name
    SimpleITK.WriteImage(image_of(make_ct()), str(path))
    (tmp_path / "ct.raw").write_bytes((folder / "ct.raw").read_bytes())
    (folder / "link.raw").symlink_to(tmp_path / "ct.raw")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_colour_is_refused(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4, 3), np.uint8), isVector=True)
    for name in ("ct.mha", "ct.nrrd"):
        SimpleITK.WriteImage(image, str(tmp_path / name))
        with pytest.raises(VolumeError):
            read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("ct.mha", b"14 12 6", b"14 12 7"), ("ct.nrrd", b"14 12 6", b"14 12 7")],
)
def test_a_packed_stream_shorter_than_declared_is_refused(
    tmp_path: Path, make_ct: MakeCT, name: str, old: bytes, new: bytes
) -> None:
    path = tmp_path / name
    SimpleITK.WriteImage(image_of(make_ct()), str(path), True)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(VolumeError, match="truncated"):
        read_volume(path)
