"""Odd DICOM that is a CT volume all the same."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.bad_dicom import overlay_bits
from tests.hostile.made import (
    CT,
    GRID,
    RAS_LPS,
    SHAPE,
    Array,
    Make,
    ct,
    ct_slice,
    dicom_bytes,
    grid,
    own_uid,
    plain_file,
    rotation,
    series,
    with_fields,
    zipped,
)

CORONAL = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
SAGITTAL = np.array([[0.0, 0, -1], [-1, 0, 0], [0, -1, 0]])
OBLIQUE = rotation(17, 0) @ rotation(-8, 2) @ np.diag([-1.0, -1.0, 1.0])
EVEN = (CT // 2) * 2


def enhanced_dataset(array: Array, affine: Array, order: list[int] | None = None) -> Any:
    """Return a volume as one enhanced CT image; frames in any order."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    def one(**fields: Any) -> Any:
        item = Dataset()
        for name, value in fields.items():
            setattr(item, name, value)
        return Sequence([item])

    order = list(range(array.shape[2])) if order is None else order
    lps = RAS_LPS @ affine
    planes = [ct_slice(array, affine, k) for k in order]
    dataset = ct_slice(array, affine, 0)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    dataset.NumberOfFrames = len(order)
    shared = Dataset()
    shared.PixelMeasuresSequence = one(
        PixelSpacing=dataset.PixelSpacing,
        SliceThickness=dataset.SliceThickness,
        SpacingBetweenSlices=f"{np.linalg.norm(lps[:3, 2]):.8f}"[:16],
    )
    shared.PlaneOrientationSequence = one(ImageOrientationPatient=dataset.ImageOrientationPatient)
    shared.PixelValueTransformationSequence = one(
        RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU"
    )
    shared.CTImageFrameTypeSequence = one(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for place, plane in enumerate(planes):
        frame = Dataset()
        frame.PlanePositionSequence = one(ImagePositionPatient=plane.ImagePositionPatient)
        frame.FrameContentSequence = one(
            StackID="1", InStackPositionNumber=place + 1, DimensionIndexValues=[1, place + 1]
        )
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.PixelData = b"".join(plane.PixelData for plane in planes)
    for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
        delattr(dataset, name)
    for name in ("SliceThickness", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, name)
    return dataset


def enhanced(order: list[int] | None = None) -> Make:
    """Return what writes an enhanced CT."""

    def make(folder: Path) -> Path:
        dataset = enhanced_dataset(CT, GRID, order)
        dataset.SeriesInstanceUID = own_uid(folder)
        return plain_file("enhanced.dcm", dicom_bytes(dataset))(folder)

    return make


def big_endian(dataset: Any, k: int) -> None:
    """Turn a slice round."""
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()


def syntax(uid: str) -> Callable[[Any, int], None]:
    """Return what sets the transfer syntax of uncompressed pixels."""
    return lambda dataset, k: setattr(dataset.file_meta, "TransferSyntaxUID", uid)


def compressed(uid: str) -> Callable[[Any, int], None]:
    """Return what compresses a slice."""
    return lambda dataset, k: dataset.compress(uid, generate_instance_uid=False)


def signed(dataset: Any, k: int) -> None:
    """Store HU themselves, 16 bits signed."""
    raw = np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = raw.astype("<i2").tobytes()


def with_overlay(dataset: Any, k: int) -> None:
    """Store 12 bits and say that the bit above them is an overlay."""
    overlay_bits(dataset, k)
    for tag, vr, value in (
        (0x60000010, "US", SHAPE[1]),
        (0x60000011, "US", SHAPE[0]),
        (0x60000040, "CS", "G"),
        (0x60000050, "SS", [1, 1]),
        (0x60000100, "US", 16),
        (0x60000102, "US", 15),
    ):
        dataset.add_new(tag, vr, value)


def own_slope(dataset: Any, k: int) -> None:
    """Store each slice with a slope of its own."""
    slope = 1 + k % 2
    raw = (np.frombuffer(dataset.PixelData, "<u2").astype(int) - 24) // slope
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, -1000
    dataset.PixelData = raw.clip(0).astype("<u2").tobytes()


def padded(dataset: Any, k: int) -> None:
    """Fill the rim with padding of -2000."""
    raw = np.frombuffer(dataset.PixelData, "<u2").astype(int).reshape(SHAPE[1], SHAPE[0]) - 1024
    raw[0], raw[-1] = -2000, -2000
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    dataset.PixelPaddingValue = -2000
    dataset["PixelPaddingValue"].VR = "SS"
    dataset.PixelData = raw.astype("<i2").tobytes()


def nameless(dataset: Any, k: int) -> None:
    """Leave out whatever can be missing."""
    for name in ("PatientID", "StudyInstanceUID", "SeriesNumber", "InstanceNumber", "ImageType"):
        delattr(dataset, name)


def lying_numbers(dataset: Any, k: int) -> None:
    """Number the slices in another order, with another thickness than their distance."""
    dataset.InstanceNumber = (k * 5) % 6 + 1
    dataset.SliceThickness = "9"
    dataset.SliceLocation = str(100 - k * 50)


def bare(data: bytes) -> bytes:
    """Return a file without preamble and meta information, in implicit VR."""
    return data[144 + struct.unpack("<I", data[140:144])[0] :]


def private(dataset: Any, k: int) -> None:
    """Put private fields and sequences in, of undefined length and of a kind nobody knows."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    inner = Dataset()
    inner.add_new(0x00111010, "LO", "nobody's business")
    block = dataset.private_block(0x0011, "A MAKER", create=True)
    block.add_new(0x01, "SQ", Sequence([inner, inner]))
    block.add_new(0x02, "UN", bytes(range(256)))
    dataset[0x00111001].is_undefined_length = True


def jittered(dataset: Any, k: int) -> None:
    """Write positions as scanners do, rounded to a hundredth of a millimetre."""
    dataset.ImagePositionPatient = [
        f"{float(x) + 0.004 * (-1) ** k:.3f}" for x in dataset.ImagePositionPatient
    ]


def signless(dataset: Any, k: int) -> None:
    """Do not say whether pixels are signed."""
    dataset["PixelData"].VR = "OW"
    del dataset.PixelRepresentation


def odd_words(dataset: Any, k: int) -> None:
    """Name things in ways that no character set explains."""
    dataset.SpecificCharacterSet = "ISO_IR 999"
    dataset.SeriesDescription = "\u00e4bd\\men\u00fc"
    dataset.PatientName = "Doe^\u00c4nne"


def with_company(folder: Path) -> Path:
    """Write a series among a localizer, an MR, a copy of a slice, an empty file and text."""
    path = series()(folder)
    for name, change in (
        (
            "scout",
            with_fields(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SOPInstanceUID="2.25.1"),
        ),
        ("mr", with_fields(Modality="MR", SOPInstanceUID="2.25.2")),
    ):
        dataset = ct_slice(CT, GRID, 0)
        change(dataset, 0)
        (path / f"{name}.dcm").write_bytes(dicom_bytes(dataset))
    shutil.copy(path / "IM0002.dcm", path / "copy.dcm")
    (path / "DICOMDIR").write_bytes(b"no real directory")
    (path / "notes.txt").write_text("text")
    (path / "empty").write_bytes(b"")
    return path


PADDED = CT.copy()
PADDED[:, [0, -1]] = -2000
SLOPED = CT.clip(-1000).astype(int)
SLOPED[:, :, 1::2] = (SLOPED[:, :, 1::2] + 1000) // 2 * 2 - 1000
LARGE = ct((96, 80, 6))
LESS = CT.clip(-1024, 3071)

GOOD_DICOM: dict[str, tuple[Make, Array, Array]] = {
    "shuffled": (series(slices=[3, 0, 5, 1, 4, 2]), CT, GRID),
    "numbers that lie": (series(lying_numbers), CT, GRID),
    "head first": (
        series(affine=grid(turn=np.diag([1.0, -1.0, -1.0]))),
        CT,
        grid(turn=np.diag([1.0, -1.0, -1.0])),
    ),
    "coronal": (series(affine=grid(turn=CORONAL)), CT, grid(turn=CORONAL)),
    "sagittal": (series(affine=grid(turn=SAGITTAL)), CT, grid(turn=SAGITTAL)),
    "oblique": (series(affine=grid(turn=OBLIQUE)), CT, grid(turn=OBLIQUE)),
    "one slice": (
        series(slices=[2]),
        CT[:, :, 2:3],
        GRID @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1.0]]),
    ),
    "two slices": (series(slices=[1, 0]), CT[:, :, :2], GRID),
    "no suffix": (series(name="CT.1.2.{}".format), CT, GRID),
    "implicit": (series(syntax("1.2.840.10008.1.2")), CT, GRID),
    "big endian": (series(big_endian), CT, GRID),
    "deflated": (series(syntax("1.2.840.10008.1.2.1.99")), CT, GRID),
    "no preamble": (series(syntax("1.2.840.10008.1.2"), spoil=bare), CT, GRID),
    "rle": (series(compressed("1.2.840.10008.1.2.5")), CT, GRID),
    "jpeg 2000": (series(compressed("1.2.840.10008.1.2.4.90"), array=LARGE), LARGE, GRID),
    "monochrome 1": (series(with_fields(PhotometricInterpretation="MONOCHROME1")), CT, GRID),
    "signed": (series(signed), CT, GRID),
    "overlay in the high bits": (series(with_overlay), LESS, GRID),
    "a slope for each slice": (series(own_slope), SLOPED, GRID),
    "slope 2": (series(array=EVEN, slope=2), EVEN, GRID),
    "slope of a half": (series(slope=0.5), CT, GRID),
    "padding": (series(padded), PADDED, GRID),
    "nothing that may be missing": (series(nameless), CT, GRID),
    "no sign, and it does not matter": (series(signless), CT, GRID),
    "no modality": (series(with_fields(Modality=None)), CT, GRID),
    "no class": (series(with_fields(SOPClassUID=None)), CT, GRID),
    "no rescale type but HU": (series(with_fields(RescaleType="HU")), CT, GRID),
    "unspecified rescaling": (series(with_fields(RescaleType="US")), CT, GRID),
    "odd words": (series(odd_words), CT, GRID),
    "odd rows": (series(array=ct((13, 11, 6))), ct((13, 11, 6)), GRID),
    "among other things": (with_company, CT, GRID),
    "private fields": (series(private), CT, GRID),
    "padding after the pixels": (
        series(
            spoil=lambda data: (
                data + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 64) + bytes(64)
            )
        ),
        CT,
        GRID,
    ),
    "a preamble and no meta": (
        series(syntax("1.2.840.10008.1.2"), spoil=lambda data: data[:132] + bare(data)),
        CT,
        GRID,
    ),
    "enhanced": (enhanced(), CT, GRID),
    "enhanced, shuffled": (enhanced([3, 0, 5, 1, 4, 2]), CT, GRID),
    "zip": (zipped(series()), CT, GRID),
    "zip of enhanced": (zipped(enhanced()), CT, GRID),
}
