"""DICOM files, series and archives that are no CT volume, each with a word of what must be told."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.made import (
    CT,
    GRID,
    SHAPE,
    Change,
    Make,
    as_is,
    ct_slice,
    cut,
    dicom_bytes,
    drop,
    nifti_bytes,
    own_uid,
    plain_file,
    series,
    with_fields,
    zip_of,
    zipped,
)

SLICE_BYTES = SHAPE[0] * SHAPE[1] * 2


def moved(k: int, millimetres: tuple[float, float, float]) -> Change:
    """Return what moves slice k."""

    def change(dataset: Any, index: int) -> None:
        if index == k:
            place = np.array(dataset.ImagePositionPatient, float) + millimetres
            dataset.ImagePositionPatient = [f"{x:.6f}" for x in place]

    return change


def single(change: Change | None = None, spoil: Callable[[bytes], bytes] = as_is) -> Make:
    """Return what writes one slice, changed."""
    return series(change, slices=[2], only=[2], spoil=spoil)


def tilted(dataset: Any, k: int) -> None:
    """Shift each slice along its columns, as a tilted gantry does."""
    moved(k, (0, 0.5 * k, 0))(dataset, k)


def another(dataset: Any, k: int) -> None:
    """Let the last slice be a second one, of other content, where the first is."""
    if k == SHAPE[2] - 1:
        dataset.ImagePositionPatient = ct_slice(CT, GRID, 0).ImagePositionPatient


def raw_syntax(uid: str, pixels: bytes) -> Change:
    """Return what puts bytes as the one fragment of a compressed frame."""

    def change(dataset: Any, k: int) -> None:
        from pydicom.encaps import encapsulate

        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = encapsulate([pixels or bytes(2)])
        dataset["PixelData"].is_undefined_length = True

    return change


def nested(depth: int) -> bytes:
    """Return a private sequence within a sequence, `depth` times, explicit VR little endian."""
    begin = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return (begin + item) * depth + ends * depth


def meta_end(data: bytes) -> int:
    """Return where the meta information of a file ends."""
    return 144 + int(struct.unpack("<I", data[140:144])[0])


def before_pixels(insert: bytes) -> Callable[[bytes], bytes]:
    """Return what puts bytes before the pixel data element."""

    def spoil(data: bytes) -> bytes:
        place = data.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
        return data[:place] + insert + data[place:]

    return spoil


def pixel_length(length: int) -> Callable[[bytes], bytes]:
    """Return what lets the pixel data element declare another length."""

    def spoil(data: bytes) -> bytes:
        place = data.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW")) + 8
        return data[:place] + struct.pack("<I", length) + data[place + 4 :]

    return spoil


def unsaid(dataset: Any, k: int) -> None:
    """Say nowhere what this is."""
    del dataset.Modality, dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.3.4"


def no_pixels(dataset: Any, k: int) -> None:
    """Take the pixels away."""
    del dataset.PixelData


def overlay_bits(dataset: Any, k: int) -> None:
    """Store 12 bits, with other bits above them."""
    raw = np.frombuffer(dataset.PixelData, "<u2") & 0x0FFF
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelData = (raw | 0x8000 * (np.arange(raw.size) % 3 == 0)).astype("<u2").tobytes()


def unsigned_or_not(dataset: Any, k: int) -> None:
    """Store values beyond 32767 and do not say whether they are signed."""
    raw = (np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024).astype("<i2")
    dataset["PixelData"].VR = "OW"
    dataset.PixelData, dataset.RescaleIntercept = raw.tobytes(), 0
    del dataset.PixelRepresentation


def without_bits(dataset: Any, k: int) -> None:
    """Leave out how many bits a voxel has."""
    dataset["PixelData"].VR = "OW"
    del dataset.BitsAllocated


def deflated_bomb(folder: Path) -> Path:
    """Write a deflated file of half a megabyte whose data set unpacks to half a gigabyte."""
    dataset = ct_slice(CT, GRID, 0)
    data = dicom_bytes(dataset)[meta_end(dicom_bytes(dataset)) :]
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    deflated = dicom_bytes(dataset)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    blocks, block = 32, bytes(1 << 24)
    tail = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, blocks * len(block))
    body = packer.compress(data + tail) + b"".join(packer.compress(block) for _ in range(blocks))
    meta = deflated[: meta_end(deflated)]
    return plain_file("ct.dcm", meta + body + packer.flush())(folder)


SERIES: dict[str, tuple[Make, str]] = {
    "a slice missing": (series(slices=[0, 1, 2, 4, 5]), "missing"),
    "two slices missing": (series(slices=[0, 1, 2, 5]), "missing|uneven"),
    "two slices at one place": (series(another), "same place"),
    "uneven": (series(moved(3, (0, 0, 0.8))), "uneven|mm between"),
    "drift": (series(moved(3, (2.0, 0, 0))), "drift|off"),
    "gantry tilt": (series(tilted), "tilt"),
    "a slice turned": (
        series(with_fields(ImageOrientationPatient=[0, 1, 0, 0, 0, 1]), only=[2]),
        "missing|several|orientation|uneven",
    ),
    "a slice of another size": (
        series(with_fields(Rows=6, Columns=28), only=[3]),
        "missing|size|uneven",
    ),
    "a slice of other spacing": (
        series(with_fields(PixelSpacing=["1.6", "1.8"]), only=[3]),
        "pacing|missing|uneven",
    ),
    "a slice cut": (series(spoil=cut(0.7), only=[3]), "truncated|damaged|missing"),
    "a slice without place": (
        series(with_fields(ImagePositionPatient=None), only=[3]),
        "ImagePosition|where it lies",
    ),
    "a slice that is text": (
        series(spoil=lambda data: b"no slice at all\n" * 20, only=[3]),
        "no DICOM|missing",
    ),
    "another slope in one slice of nothing": (
        series(with_fields(RescaleSlope=0), only=[4]),
        "RescaleSlope",
    ),
}

SERIES |= {
    "one identity for two slices": (
        series(with_fields(SOPInstanceUID="2.25.77.1"), only=[3]),
        "SOPInstanceUID|same instance|identity|one UID",
    ),
    "slices of two frames of reference": (
        series(with_fields(FrameOfReferenceUID="2.25.99"), only=[3, 4, 5]),
        "rame of reference|FrameOfReference",
    ),
    "a slice of MR": (
        series(with_fields(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), only=[3]),
        "missing|uneven",
    ),
    "positions all the same": (
        series(with_fields(ImagePositionPatient=["0", "0", "0"])),
        "same place",
    ),
}

HEADERS: dict[str, tuple[Make, str]] = {
    "no position": (series(with_fields(ImagePositionPatient=None)), "ImagePosition|where it lies"),
    "position of two": (series(with_fields(ImagePositionPatient=[1, 2])), "osition|where"),
    "position not a number": (
        single(with_fields(ImagePositionPatient=["nan", "0", "0"])),
        "osition|where",
    ),
    "no orientation": (series(with_fields(ImageOrientationPatient=None)), "rientation|where"),
    "orientation of five": (
        series(with_fields(ImageOrientationPatient=[1, 0, 0, 0, 1])),
        "rientation|where",
    ),
    "orientation of zeros": (
        single(with_fields(ImageOrientationPatient=[0] * 6)),
        "rientation|angle",
    ),
    "orientation sheared": (
        single(with_fields(ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0])),
        "rientation|angle",
    ),
    "orientation long": (
        single(with_fields(ImageOrientationPatient=[2, 0, 0, 0, 2, 0])),
        "rientation|unit|angle",
    ),
    "no spacing": (series(with_fields(PixelSpacing=None)), "PixelSpacing"),
    "spacing zero": (series(with_fields(PixelSpacing=[0, 0.9])), "spacing"),
    "spacing negative": (series(with_fields(PixelSpacing=[-0.9, 0.8])), "spacing"),
    "spacing not a number": (series(with_fields(PixelSpacing=["nan", "1"])), "PixelSpacing"),
    "spacing alone": (series(with_fields(PixelSpacing=["0.9"])), "PixelSpacing"),
    "no rows": (single(with_fields(Rows=0)), "pixels"),
    "rows absent": (single(with_fields(Rows=None)), "pixels|Rows"),
    "rows of a giant": (single(with_fields(Rows=65535, Columns=65535)), "pixels"),
    "a row more": (single(with_fields(Rows=13)), "truncated|pixel|bytes"),
    "a row less": (single(with_fields(Rows=11)), "pixel|bytes|more"),
    "colour": (
        single(with_fields(SamplesPerPixel=3, PhotometricInterpretation="RGB")),
        "colour",
    ),
    "palette": (
        single(with_fields(PhotometricInterpretation="PALETTE COLOR")),
        "colour|PALE",
    ),
    "bits 12 allocated": (single(with_fields(BitsAllocated=12)), "Bits|pixel"),
    "bits 1 allocated": (single(with_fields(BitsAllocated=1)), "Bits|pixel"),
    "bits 0 allocated": (single(with_fields(BitsAllocated=0)), "Bits|pixel"),
    "more bits stored": (single(with_fields(BitsStored=20)), "Bits|pixel"),
    "no bits stored": (single(with_fields(BitsStored=0)), "Bits|pixel"),
    "no bits": (single(without_bits), "Bits|pixel"),
    "stray bits": (series(overlay_bits), "BitsStored|pixels"),
    "high bit elsewhere": (single(with_fields(BitsStored=12, HighBit=15)), "HighBit|Bits"),
    "sign of 7": (single(with_fields(PixelRepresentation=7)), "Representation|pixel"),
    "no sign, and it matters": (single(unsigned_or_not), "Representation"),
    "frames that are not there": (single(with_fields(NumberOfFrames=1000)), "frame"),
    "two frames without places": (
        single(lambda data, k: setattr(data, "NumberOfFrames", 2)),
        "frame",
    ),
    "slope 0": (series(with_fields(RescaleSlope=0)), "RescaleSlope"),
    "slope not a number": (series(with_fields(RescaleSlope="nan")), "RescaleSlope"),
    "intercept infinite": (series(with_fields(RescaleIntercept="inf")), "RescaleIntercept"),
    "electron density": (series(with_fields(RescaleType="ED")), "ED"),
    "eight bits that are a picture": (
        series(with_fields(RescaleIntercept=0), array=np.clip(CT, 0, 200) - 0, intercept=0),
        "not HU|8-bit|label|MR",
    ),
    "no rescaling": (
        series(with_fields(RescaleSlope=None, RescaleIntercept=None)),
        "1024",
    ),
}

PIXELS: dict[str, tuple[Make, str]] = {
    "none": (single(no_pixels), "pixel data"),
    "file cut": (single(spoil=cut(0.8)), "truncated|missing|bytes"),
    "file cut by one byte": (single(spoil=drop(1)), "truncated|missing|bytes"),
    "cut in the header": (
        single(spoil=lambda data: data[:400]),
        "damaged|missing|read|where|pixels|cut off",
    ),
    "cut in the meta": (
        single(spoil=lambda data: data[:180]),
        "damaged|read|no volume|image|cut off",
    ),
    "preamble alone": (single(spoil=lambda data: data[:132]), "no|damaged"),
    "half declared": (single(spoil=pixel_length(SLICE_BYTES // 2)), "pixel|damaged|bytes|cut off"),
    "more declared": (single(spoil=pixel_length(1 << 30)), "truncated|missing|bytes"),
    "4 GiB declared": (single(spoil=pixel_length(0xFFFFFFFE)), "truncated|missing|bytes"),
    "twice as many": (
        single(lambda data, k: setattr(data, "PixelData", data.PixelData * 2)),
        "pixel|bytes|more",
    ),
    "jpeg of garbage": (
        single(raw_syntax("1.2.840.10008.1.2.4.70", b"garbage!" * 9)),
        "pixel",
    ),
    "jpeg-ls of garbage": (
        single(raw_syntax("1.2.840.10008.1.2.4.80", b"\xff\xd8\xff\xf7garbage!" * 9)),
        "pixel",
    ),
    "jpeg 2000 of garbage": (
        single(raw_syntax("1.2.840.10008.1.2.4.90", b"\xff\x4f\xff\x51garbage" * 9)),
        "pixel",
    ),
    "rle of garbage": (single(raw_syntax("1.2.840.10008.1.2.5", b"\xff" * 200)), "pixel"),
    "rle of nothing": (single(raw_syntax("1.2.840.10008.1.2.5", b"")), "pixel"),
    "rle of too many segments": (
        single(raw_syntax("1.2.840.10008.1.2.5", struct.pack("<16I", 99, *[64] * 15))),
        "pixel",
    ),
    "a film": (single(raw_syntax("1.2.840.10008.1.2.4.102", b"\0\0\0\1" * 90)), "pixel|syntax"),
    "an unknown syntax": (
        single(spoil=lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")),
        "pixel|syntax|read",
    ),
    "packed bomb": (deflated_bomb, "read|damaged|large|more|unpack|truncated|bomb"),
    "a sequence of 4000 levels": (
        single(spoil=before_pixels(nested(4000))),
        "read|damaged|nest|deep",
    ),
    "an element past the end": (
        single(spoil=before_pixels(struct.pack("<HH2sHI", 0x0011, 0x1001, b"OB", 0, 0x7FFFFFF0))),
        "truncated|missing|damaged|read|cut off",
    ),
}

OTHER: dict[str, tuple[Make, str]] = {
    "empty": (plain_file("ct.dcm", b""), "empty"),
    "text": (plain_file("ct.dcm", b"this is no slice\n" * 30), "no DICOM"),
    "MR": (series(with_fields(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")), "MR"),
    "PET": (series(with_fields(Modality="PT", SOPClassUID="1.2.840.10008.5.1.4.1.1.128")), "PT"),
    "dose report": (
        single(with_fields(Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67")),
        "SR",
    ),
    "screen shot": (single(with_fields(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")), "class"),
    "localizer": (series(with_fields(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])), "localizer"),
    "no CT at all": (single(unsaid), "no image|no CT"),
}


def enhanced(change: Callable[[Any], None]) -> Make:
    """Return what writes an enhanced CT file, changed before it is written."""
    from tests.hostile.good_dicom import enhanced_dataset

    def make(folder: Path) -> Path:
        dataset = enhanced_dataset(CT, GRID)
        dataset.SeriesInstanceUID = own_uid(folder)
        change(dataset)
        return plain_file("enhanced.dcm", dicom_bytes(dataset))(folder)

    return make


def _frame(dataset: Any, index: int) -> Any:
    return dataset.PerFrameFunctionalGroupsSequence[index]


def _place(dataset: Any, index: int, place: list[float]) -> None:
    _frame(dataset, index).PlanePositionSequence[0].ImagePositionPatient = place


MULTI: dict[str, tuple[Make, str]] = {
    "no groups": (
        enhanced(lambda data: data.__delattr__("PerFrameFunctionalGroupsSequence")),
        "frame|where",
    ),
    "fewer groups": (
        enhanced(lambda data: data.PerFrameFunctionalGroupsSequence.pop()),
        "frame",
    ),
    "more frames": (enhanced(lambda data: setattr(data, "NumberOfFrames", 9)), "frame"),
    "a million frames": (enhanced(lambda data: setattr(data, "NumberOfFrames", 10**6)), "frame"),
    "frames of minus one": (
        enhanced(lambda data: setattr(data, "NumberOfFrames", -1)),
        "frame|Frame",
    ),
    "frames not in place": (
        enhanced(lambda data: _place(data, 2, [0, 0, 0.3])),
        "uneven|drift|off|mm",
    ),
    "two frames at one place": (
        enhanced(
            lambda data: _place(
                data, 2, list(_frame(data, 0).PlanePositionSequence[0].ImagePositionPatient)
            )
        ),
        "same place|uneven",
    ),
    "a frame without place": (
        enhanced(lambda data: _frame(data, 3).__delattr__("PlanePositionSequence")),
        "osition|where",
    ),
    "no spacing": (
        enhanced(
            lambda data: data.SharedFunctionalGroupsSequence[0].__delattr__("PixelMeasuresSequence")
        ),
        "pacing",
    ),
    "pixels cut": (
        enhanced(
            lambda data: setattr(data, "PixelData", data.PixelData[: len(data.PixelData) // 2])
        ),
        "frame|pixel|bytes|truncated",
    ),
}

NIFTI = b"".join(nifti_bytes())


def _link(folder: Path) -> Path:
    entry = zipfile.ZipInfo("ct.nii")
    entry.external_attr = 0o120777 << 16
    return zip_of([(entry, b"/etc/passwd")])(folder)


def _encrypted(folder: Path) -> Path:
    path = zip_of([("ct.nii", NIFTI)])(folder)
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1
    path.write_bytes(data)
    return path


def _lying(folder: Path) -> Path:
    """Declare a member half as long as it is."""
    path = zip_of([("ct.nii", NIFTI)])(folder)
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(signature) + place
        data[start : start + 4] = struct.pack("<I", len(NIFTI) // 2)
    path.write_bytes(data)
    return path


def _bomb(folder: Path) -> Path:
    path = folder / "ct.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("ct.nii", "w", force_zip64=True) as entry,
    ):
        entry.write(NIFTI[:352])
        for _ in range(16):
            entry.write(bytes(1 << 24))
    return path


def _crc(data: bytes) -> bytes:
    place = data.index(b"PK\x01\x02") + 16
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


ZIPS: dict[str, tuple[Make, str]] = {
    "text": (plain_file("ct.zip", b"this is no archive\n" * 30), "zip"),
    "empty file": (plain_file("ct.zip", b""), "zip|empty"),
    "nothing in it": (zip_of([]), "no|empty"),
    "no volume in it": (zip_of([("notes.txt", b"text")]), "no"),
    "cut": (zipped(series(), spoil=cut(0.5)), "zip|damaged|truncated"),
    "crc": (zipped(series(), spoil=_crc), "damaged|CRC|crc"),
    "above": (zip_of([("../ct.nii", NIFTI)]), "outside|leaves|path|\\.\\."),
    "above, deep": (zip_of([("a/../../ct.nii", NIFTI)]), "outside|leaves|path|\\.\\."),
    "absolute": (zip_of([("/ct.nii", NIFTI)]), "outside|absolute|path"),
    "a drive": (zip_of([("C:/ct.nii", NIFTI)]), "outside|absolute|path|drive"),
    "backslashes": (zip_of([("..\\ct.nii", NIFTI)]), "outside|path|\\\\"),
    "a link": (_link, "link"),
    "encrypted": (_encrypted, "encrypt|password"),
    "a lie about size": (_lying, "damaged|declare|more|CRC|longer|truncated"),
    "a bomb": (_bomb, "bomb|large|more|unpack|ratio|compress"),
    "a zip in it": (zip_of([("inner.zip", b"PK\x05\x06" + bytes(18))]), "zip|nested"),
    "a volume cut": (zip_of([("ct.nii", NIFTI[:800])]), "truncated"),
    "a series with a gap": (zipped(series(slices=[0, 1, 2, 4, 5])), "missing"),
    "the same name twice": (
        zip_of([("ct.nii", NIFTI), ("ct.nii", NIFTI[:500])]),
        "twice|same name|second time",
    ),
}

BAD_DICOM = {
    f"{kind}: {name}": case
    for kind, group in (
        ("dicom series", SERIES),
        ("dicom header", HEADERS),
        ("dicom pixels", PIXELS),
        ("dicom other", OTHER),
        ("dicom frames", MULTI),
        ("zip", ZIPS),
    )
    for name, case in group.items()
}
