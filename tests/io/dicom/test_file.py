from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.uid import UID

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.io import find_volumes, read_volume
from medcyclegan.io.dicom.file import HEAD_BYTES
from medcyclegan.io.dicom.header import read_header

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 30], [0, 0, 2.5, -12], [0, 0, 0, 1.0]])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom doubts what is spoilt


@pytest.fixture
def slice_path(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> Path:
    return write_series(tmp_path / "s", make_ct(), AFFINE)[3]


def end_of_meta(data: bytes) -> int:
    return 144 + int.from_bytes(data[140:144], "little")


@pytest.fixture
def right(slice_path: Path, make_ct: Callable[..., Array]) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        np.testing.assert_array_equal(read_volume(path).array, make_ct()[:, :, 3:4])

    return check


@pytest.mark.parametrize(
    ("implicit", "little", "bare"),
    [
        (True, True, False),
        (False, True, False),
        (False, False, False),
        (True, True, True),
        (False, True, True),
    ],
)
def test_every_plain_encoding_is_read_with_and_without_preamble(
    slice_path: Path,
    tmp_path: Path,
    right: Callable[[Path], None],
    implicit: bool,
    little: bool,
    bare: bool,
) -> None:
    dataset = pydicom.dcmread(slice_path)
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    path = tmp_path / "other"
    dataset.file_meta.TransferSyntaxUID = {
        (True, True): pydicom.uid.ImplicitVRLittleEndian,
        (False, True): pydicom.uid.ExplicitVRLittleEndian,
        (False, False): pydicom.uid.ExplicitVRBigEndian,
    }[implicit, little]
    pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little)
    if bare:
        path.write_bytes(path.read_bytes()[end_of_meta(path.read_bytes()) :])
    right(path)


def deflate(path: Path, behind: bytes = b"") -> None:
    data = path.read_bytes()
    end = end_of_meta(data)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data[end:] + behind) + packer.flush()
    meta = data[144:end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    path.write_bytes(data[:140] + len(meta).to_bytes(4, "little") + resized(meta) + packed)


def resized(meta: bytes) -> bytes:
    place = meta.index(b"1.2.840.10008.1.2.1.99")
    return meta[: place - 2] + b"\x16\x00" + meta[place:]


def test_a_deflated_file_is_read(slice_path: Path, right: Callable[[Path], None]) -> None:
    deflate(slice_path)
    right(slice_path)


def test_a_deflated_bomb_is_refused_without_being_inflated(
    slice_path: Path, make_ct: Callable[..., Array]
) -> None:
    import tracemalloc

    private = b"\x09\x71\x10\x10OB\0\0" + (2**27).to_bytes(4, "little")
    deflate(slice_path, private + bytes(2**27))
    tracemalloc.start()
    try:
        with pytest.raises(VolumeError, match="inflates to more than its header declares"):
            read_volume(slice_path)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("end", [*range(132, 900, 23), -400, -100, -2])
def test_a_file_cut_anywhere_is_refused_by_name(slice_path: Path, end: int) -> None:
    slice_path.write_bytes(slice_path.read_bytes()[:end])
    with pytest.raises(MedCycleGANError) as caught:
        read_volume(slice_path)
    assert str(caught.value).startswith(f"{slice_path}: ")
    assert not find_volumes(slice_path.parent).skipped


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_cut_deflated_file_is_refused(slice_path: Path, share: float) -> None:
    deflate(slice_path)
    data = slice_path.read_bytes()
    slice_path.write_bytes(data[: 400 + int(share * (len(data) - 400))])
    with pytest.raises(VolumeError):
        read_volume(slice_path)


def element(group: int, number: int, type_: bytes, length: int) -> bytes:
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return tag + type_ + b"\0\0" + length.to_bytes(4, "little")


def nested(depth: int) -> bytes:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return (element(0x0008, 0x1140, b"SQ", 2**32 - 1) + item) * depth


@pytest.mark.parametrize(
    "inserted",
    [
        nested(3000),
        element(0x0009, 0x1010, b"OB", 2**32 - 16),
        element(0x0009, 0x1010, b"OB", 2**31),
        element(0x0008, 0x1140, b"SQ", 2**31),
        b"\x09\x00\x10\x10ZZ\x04\x00abcd" + element(0x0009, 0x1011, b"UN", 2**32 - 1),
    ],
)
def test_headers_that_lead_nowhere_are_refused(slice_path: Path, inserted: bytes) -> None:
    data = slice_path.read_bytes()
    place = data.index(b"\x10\x00\x20\x00LO")  # PatientID
    slice_path.write_bytes(data[:place] + inserted + data[place:])
    with pytest.raises(VolumeError) as caught:
        read_volume(slice_path)
    assert str(caught.value).startswith(f"{slice_path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ISO_IR 100", "ISO 2022 IR 87", "NONSENSE", "ISO_IR 192"])
def test_odd_character_sets_do_no_harm(
    slice_path: Path, right: Callable[[Path], None], name: str
) -> None:
    dataset = pydicom.dcmread(slice_path)
    dataset.add_new("PatientName", "PN", b"\xff\xfe\x1b$B\x80^\x81")
    dataset.add_new("SeriesDescription", "LO", b"\xe9\xff\x1b")
    dataset.add_new("SpecificCharacterSet", "CS", name)
    dataset.save_as(slice_path)
    right(slice_path)


def test_damaged_fields_that_nobody_needs_do_no_harm(
    slice_path: Path, right: Callable[[Path], None]
) -> None:
    data = slice_path.read_bytes()
    place = data.index(b"\x20\x00\x11\x00IS")  # SeriesNumber
    slice_path.write_bytes(data[: place + 8] + b"x " + data[place + 10 :])
    right(slice_path)


@pytest.mark.parametrize("spare", [0, 40, *range(150, 1300, 110), 40_000])
@pytest.mark.parametrize("needed", [False, True])
def test_a_header_of_any_length_is_read_to_its_end(
    slice_path: Path, spare: int, needed: bool
) -> None:
    """Headers are taken from a file's first bytes if they end there."""
    plain = read_header(slice_path)
    dataset = pydicom.dcmread(slice_path)
    del dataset.PixelData
    size = slice_path.stat().st_size - 14 * 12 * 2
    junk = bytes(HEAD_BYTES - size - 600 + spare & ~1)
    dataset.add_new(0x00090010 if needed else 0x00291010, "OB", junk)
    dataset.PixelData = bytes(50_000)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(slice_path)
    assert read_header(slice_path) == plain


def test_file_meta_information_may_be_long(slice_path: Path, right: Callable[[Path], None]) -> None:
    dataset = pydicom.dcmread(slice_path)
    dataset.file_meta.PrivateInformationCreatorUID = UID("1.2.3")
    dataset.file_meta.PrivateInformation = bytes(HEAD_BYTES)
    dataset.save_as(slice_path)
    right(slice_path)
    deflate(slice_path)
    right(slice_path)
