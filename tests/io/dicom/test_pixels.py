from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames

from medcyclegan.errors import VolumeError
from medcyclegan.io import read_volume

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 30], [0, 0, 2.5, -12], [0, 0, 0, 1.0]])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom doubts what is spoilt


@pytest.fixture
def one_slice(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> Callable[[Callable[[Any], None]], Path]:
    """Writes the middle slice of a made series, changed."""

    def write(change: Callable[[Any], None]) -> Path:
        paths = write_series(
            tmp_path / "s", make_ct(), AFFINE, change=lambda dataset, k: change(dataset)
        )
        return paths[3]

    return write


def hu(dataset: Any) -> Array:
    return np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024


def store(dataset: Any, raw: Array, dtype: str, *, bits: int, intercept: float) -> None:
    dataset.PixelData = raw.astype(dtype).tobytes()
    dataset.PixelRepresentation = int("i" in dtype)
    dataset.BitsAllocated = 8 * np.dtype(dtype).itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.RescaleIntercept = intercept


def as_12_bits(dataset: Any) -> None:
    store(dataset, hu(dataset) + 1024, "<u2", bits=12, intercept=-1024)


def as_12_bits_signed(dataset: Any) -> None:
    store(dataset, hu(dataset), "<i2", bits=12, intercept=0)


def as_12_bits_with_the_sign_cut_off(dataset: Any) -> None:
    store(dataset, hu(dataset) & 0xFFF, "<u2", bits=12, intercept=0)
    dataset.PixelRepresentation = 1


def as_12_bits_below_an_overlay(dataset: Any) -> None:
    raw = (hu(dataset) + 1024) | (np.arange(168) % 2 << 12) | (np.arange(168) % 3 << 13)
    store(dataset, raw, "<u2", bits=12, intercept=-1024)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 12)


def as_12_bits_signed_below_an_overlay(dataset: Any) -> None:
    store(dataset, (hu(dataset) & 0xFFF) | 0x1000, "<u2", bits=12, intercept=0)
    dataset.PixelRepresentation = 1
    dataset.add_new((0x6002, 0x0102), "US", 12)


def as_32_bits(dataset: Any) -> None:
    store(dataset, hu(dataset) + 100000, "<i4", bits=32, intercept=-100000)


def as_positive_without_sign(dataset: Any) -> None:
    del dataset.PixelRepresentation


def without_bits_stored(dataset: Any) -> None:
    del dataset.BitsStored, dataset.HighBit


def with_a_false_high_bit(dataset: Any) -> None:
    as_12_bits(dataset)
    dataset.HighBit = 15


def without_photometric(dataset: Any) -> None:
    del dataset.PhotometricInterpretation


def with_a_few_zeros_behind(dataset: Any) -> None:
    dataset.PixelData += bytes(20)


@pytest.mark.parametrize(
    "change",
    [
        as_12_bits,
        as_12_bits_signed,
        as_12_bits_with_the_sign_cut_off,
        as_12_bits_below_an_overlay,
        as_12_bits_signed_below_an_overlay,
        as_32_bits,
        as_positive_without_sign,
        without_bits_stored,
        without_photometric,
        with_a_few_zeros_behind,
    ],
)
def test_however_pixels_are_stored_they_are_the_same_hu(
    one_slice: Callable[..., Path],
    make_ct: Callable[..., Array],
    change: Callable[[Any], None],
) -> None:
    volume = read_volume(one_slice(change))
    np.testing.assert_array_equal(volume.array, make_ct()[:, :, 3:4])


def test_odd_lengths_of_8_bits_are_read_in_either_byte_order(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    array = np.full((13, 11, 2), -1000)
    array[4:8, 3:8] = 40
    array[5, 4] = 456

    def change(dataset: Any, k: int) -> None:
        raw = (array[:, :, k].T + 1024) // 8
        dataset.PixelData = raw.astype("u1").tobytes() + b"\0"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.RescaleSlope, dataset.RescaleIntercept = 8, -1024

    (path, _) = write_series(tmp_path / "s", array, AFFINE, change=change)
    np.testing.assert_array_equal(read_volume(path).array, array[:, :, :1])
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].VR = "OW"
    data = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    dataset.PixelData = data
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "big.dcm", dataset, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read_volume(tmp_path / "big.dcm").array, array[:, :, :1])


def beyond_the_bits(dataset: Any) -> None:
    store(dataset, hu(dataset) + 5000, "<u2", bits=12, intercept=-5000)


def signed_beyond_the_bits(dataset: Any) -> None:
    store(dataset, hu(dataset) + 2000, "<i2", bits=12, intercept=-2000)


def a_false_sign(dataset: Any) -> None:
    # 12 bits without a sign, called signed: bright voxels would fold to below air.
    store(dataset, hu(dataset) + 2024, "<u2", bits=12, intercept=-2024)
    dataset.PixelRepresentation = 1


def no_sign_where_it_matters(dataset: Any) -> None:
    store(dataset, hu(dataset) + 33000, "<u2", bits=16, intercept=-33000)
    del dataset.PixelRepresentation


def a_row_too_many(dataset: Any) -> None:
    dataset.PixelData += bytes(2 * dataset.Columns)


def something_behind(dataset: Any) -> None:
    dataset.PixelData += b"\1\0"


def a_byte_short(dataset: Any) -> None:
    dataset.PixelData = dataset.PixelData[:-2]


def no_pixels(dataset: Any) -> None:
    dataset.PixelData = b""


def floats(dataset: Any) -> None:
    dataset.FloatPixelData = hu(dataset).astype("<f4").tobytes()
    dataset.BitsAllocated = 32
    del dataset.PixelData


def doubles(dataset: Any) -> None:
    dataset.DoubleFloatPixelData = hu(dataset).astype("<f8").tobytes()
    dataset.BitsAllocated = 64
    del dataset.PixelData


def set_to(**fields: Any) -> Callable[[Any], None]:
    def change(dataset: Any) -> None:
        for name, value in fields.items():
            setattr(dataset, name, value)

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (beyond_the_bits, "BitsStored 12 and PixelRepresentation 0 allow 0 to 4095"),
        (signed_beyond_the_bits, "BitsStored 12 and PixelRepresentation 1 allow -2048 to 2047"),
        (a_false_sign, "allow -2048 to 2047"),
        (no_sign_where_it_matters, "does not say whether its pixels are signed"),
        (a_row_too_many, "holds 364 bytes of pixels where its header declares 336"),
        (something_behind, "holds 338 bytes"),
        (a_byte_short, "truncated: 334 bytes of 336"),
        (no_pixels, "missing or truncated"),
        (floats, "fractional pixels"),
        (doubles, "fractional pixels"),
        (set_to(PhotometricInterpretation="RGB"), r"colour pixels \(RGB\)"),
        (set_to(PhotometricInterpretation="PALETTE COLOR"), "colour pixels"),
        (set_to(BitsAllocated=12), "declares 16 bits in 12"),
        (set_to(BitsAllocated=1, BitsStored=1), "declares 1 bits in 1"),
        (set_to(BitsAllocated=0), "declares 16 bits in 0"),
        (set_to(BitsStored=17), "declares 17 bits in 16"),
        (with_a_false_high_bit, "HighBit 15 where its BitsStored 12 make it 11"),
        (set_to(BitsAllocated=8, BitsStored=8, HighBit=7), "holds 336 bytes of pixels where"),
        (set_to(PixelRepresentation=2), "PixelRepresentation 2"),
        (set_to(RescaleIntercept=30000), "HU"),
    ],
)
def test_pixels_that_contradict_their_header_are_refused(
    one_slice: Callable[..., Path], spoil: Callable[[Any], None], says: str
) -> None:
    path = one_slice(spoil)
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("syntax", ["1.2.3", "1.2.840.10008.1.2.4.100", "1.2.840.113619.5.2"])
def test_other_transfer_syntaxes_are_refused_by_name(
    one_slice: Callable[..., Path], syntax: str
) -> None:
    path = one_slice(lambda dataset: None)
    data = path.read_bytes()
    meta = pydicom.dcmread(path).file_meta
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    bare = data[144 + int.from_bytes(data[140:144], "little") :]
    path.write_bytes(bytes(128) + b"DICM" + written(meta) + bare)
    with pytest.raises(VolumeError, match=f"transfer syntax {syntax}, which is not read"):
        read_volume(path)


def written(meta: Any) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info

    stream = DicomBytesIO()
    write_file_meta_info(stream, meta, enforce_standard=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    "change",
    [{"Rows": 500}, {"Columns": 520}, {"Rows": 256, "Columns": 256}, {"BitsAllocated": 8}],
)
@pytest.mark.parametrize("syntax", ["4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "5"])
def test_compressed_frames_must_be_of_the_size_declared(
    real_data: Path, tmp_path: Path, syntax: str, change: dict[str, int]
) -> None:
    (path,) = (real_data / "cornerstone").glob(f"*_1.2.840.10008.1.2.{syntax}.dcm")
    image = pydicom.dcmread(path)
    if change == {"BitsAllocated": 8}:
        if image.BitsAllocated == 8:
            change = {"Rows": 511}
        image.BitsStored, image.HighBit = 8, 7
    set_to(**change)(image)
    image.save_as(tmp_path / "lies.dcm")
    with pytest.raises(VolumeError, match=r"declares.*copy it anew"):
        read_volume(tmp_path / "lies.dcm")


@pytest.mark.parametrize("syntax", ["57", "70", "80", "90"])
def test_decoders_do_not_fold_what_exceeds_the_bits(
    real_data: Path, tmp_path: Path, syntax: str
) -> None:
    (path,) = (real_data / "cornerstone").glob(f"*_1.2.840.10008.1.2.4.{syntax}.dcm")
    image = pydicom.dcmread(path)
    image.BitsStored, image.HighBit = 12, 11
    image.save_as(tmp_path / "lies.dcm")
    with pytest.raises(VolumeError, match="BitsStored 12"):
        read_volume(tmp_path / "lies.dcm")


def test_colour_in_the_compressed_frame_alone_is_refused(real_data: Path, tmp_path: Path) -> None:
    (path,) = (real_data / "cornerstone").glob("*_1.2.840.10008.1.2.4.80.dcm")
    image = pydicom.dcmread(path)
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    frame = frame[:11] + b"\3" + frame[12:]  # samples of a pixel
    image.PixelData = encapsulate([frame])
    image.save_as(tmp_path / "lies.dcm")
    with pytest.raises(VolumeError, match="colour"):
        read_volume(tmp_path / "lies.dcm")


def test_a_frame_too_many_or_none_is_noticed(real_data: Path, tmp_path: Path) -> None:
    (path,) = (real_data / "cornerstone").glob("*_1.2.840.10008.1.2.4.80.dcm")
    image = pydicom.dcmread(path)
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    for frames, says in (([frame, frame], "holds 2"), ([b"\0" * 64], "truncated")):
        image.PixelData = encapsulate(frames)
        image.save_as(tmp_path / "lies.dcm")
        with pytest.raises(VolumeError, match=says):
            read_volume(tmp_path / "lies.dcm")
    image.PixelData = b"\xfe\xff\x00\xe0\xff\xff\xff\x7f" + bytes(64)
    image.save_as(tmp_path / "lies.dcm")
    with pytest.raises(VolumeError, match="compressed pixel data is damaged"):
        read_volume(tmp_path / "lies.dcm")
