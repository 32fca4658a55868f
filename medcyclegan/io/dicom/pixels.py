"""The pixels of a DICOM image as stored, taken out of its data set.

Standard: DICOM PS3.3, C.7.6.3 (image pixel), and PS3.5, chapter 8 and annex A (encoding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import VolumeError
from medcyclegan.io.dicom.codestream import frame_of, run_lengths
from medcyclegan.io.dicom.compressed import decode_frames
from medcyclegan.io.dicom.file import numbers, text
from medcyclegan.io.dicom.rescaling import padding_ends
from medcyclegan.io.stored import one_line

if TYPE_CHECKING:
    from pydicom import Dataset

Pixels = npt.NDArray[Any]

LEAST_HU = -1100  # below it there is only padding
END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike
RLE_SYNTAX = "1.2.840.10008.1.2.5"
NATIVE_SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
ENCAPSULATED_SYNTAXES = (
    RLE_SYNTAX,
    *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55, 57, 70)),  # JPEG
    *(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81)),  # JPEG-LS
    *(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203)),  # JPEG 2000
)
MONOCHROME = ("MONOCHROME1", "MONOCHROME2", "")  # 1 is about display and changes nothing
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


class Layout(NamedTuple):
    """How the pixels of an image are stored.

    Args:
        frames: how many.
        rows: height.
        columns: width.
        allocated: bits that a pixel takes: 8, 16 or 32.
        stored: bits of them that its value takes, the lower ones.
        signed: whether values are in two's complement; None where the header does not say.
    """

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    signed: bool | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        return self.frames, self.rows, self.columns


def read_pixels(dataset: Dataset, shape: tuple[int, int, int]) -> Pixels:
    """Return the pixels of a data set as stored, without what lies in the bits beside them.

    Args:
        dataset: whole.
        shape: frames, rows, columns, as the header declares them.

    Returns:
        (frames, rows, columns), whole numbers.

    Raises:
        VolumeError: pixels are missing, truncated, too many, in colour, stored in an unknown way,
            or contradict what the header says of them.
    """
    photometric = text(dataset, "PhotometricInterpretation")
    if photometric not in MONOCHROME:
        raise VolumeError(f"holds colour pixels ({photometric}), not HU; give the original CT")
    layout = _layout(dataset, shape)
    syntax = text(dataset.file_meta, "TransferSyntaxUID")
    if syntax in NATIVE_SYNTAXES:
        raw = _native(dataset, layout, syntax)
    else:
        raw = _encapsulated(dataset, layout, syntax)
    return _values(raw, layout, dataset)


def check_pixels(dataset: Dataset) -> None:
    """Check that a data set holds whole-numbered pixels at all.

    Raises:
        VolumeError: it does not, as where a file was cut off before their end.
    """
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise VolumeError("holds fractional pixels, which no CT image has; give the original")
    if dataset.get("PixelData") is None:
        raise VolumeError("its pixel data is missing or truncated; copy it anew")


def _layout(dataset: Dataset, shape: tuple[int, int, int]) -> Layout:
    allocated, stored, sign = (
        int((numbers(dataset, name) or [default])[0])
        for name, default in (("BitsAllocated", 0), ("BitsStored", 0), ("PixelRepresentation", -1))
    )
    if not numbers(dataset, "BitsStored"):
        stored = allocated
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated or sign not in (-1, 0, 1):
        raise VolumeError(
            f"declares {stored} bits in {allocated} for a pixel (PixelRepresentation {sign}); "
            "convert it to 16 bits"
        )
    high_bit = numbers(dataset, "HighBit")
    if high_bit and high_bit[0] != stored - 1:
        raise VolumeError(
            f"has HighBit {high_bit[0]:g} where its BitsStored {stored} make it {stored - 1}: "
            "nobody knows which bits count; convert it anew"
        )
    return Layout(*shape, allocated, stored, None if sign == -1 else sign == 1)


def _native(dataset: Dataset, layout: Layout, syntax: str) -> Pixels:
    data = dataset.PixelData
    size = layout.allocated // 8
    expected = math.prod(layout.shape) * size
    if len(data) < expected:
        raise VolumeError(
            f"its pixel data is truncated: {len(data)} bytes of {expected}; copy it anew"
        )
    # A last row of zeros may be padding; more is a header that lies about the size.
    excess = data[expected + expected % 2 :]
    if len(excess) >= layout.columns * size or any(excess):
        raise VolumeError(
            f"holds {len(data)} bytes of pixels where its header declares {expected}; copy it anew"
        )
    little = syntax != "1.2.840.10008.1.2.2"
    kind = "i" if layout.signed else "u"
    if size == 1 and not little and dataset["PixelData"].VR == "OW":
        data = np.frombuffer(data[: expected + expected % 2], "<u2").byteswap().tobytes()
    type_ = np.dtype(f"{'<' if little else '>'}{kind}{size}")
    raw = np.frombuffer(data, type_, math.prod(layout.shape)).reshape(layout.shape)
    return raw.astype(type_.newbyteorder("="), copy=False)


def _encapsulated(dataset: Dataset, layout: Layout, syntax: str) -> Pixels:
    if syntax not in ENCAPSULATED_SYNTAXES:
        raise VolumeError(
            f"is stored in transfer syntax {syntax or '(none)'}, which is not read; convert it to "
            "uncompressed DICOM or NIfTI"
        )
    frames = _frames(dataset, layout.frames)
    if syntax == RLE_SYNTAX:
        return _run_lengths(frames, layout)
    bits = max(_check_frame(frame, layout) for frame in frames)
    fields = {
        "Rows": layout.rows,
        "Columns": layout.columns,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": layout.allocated,
        "BitsStored": max(bits, layout.stored),
        "HighBit": max(bits, layout.stored) - 1,
        "PixelRepresentation": int(bool(layout.signed)),
    }
    return decode_frames(syntax, fields, frames)


def _frames(dataset: Dataset, count: int) -> list[bytes]:
    """Return the compressed bytes of each frame; refuse another number than declared."""
    from pydicom.encaps import generate_frames, parse_basic_offsets

    data = dataset.PixelData
    try:
        offsets = parse_basic_offsets(data)
        frames = list(generate_frames(data, number_of_frames=count))
    except Exception as error:  # damaged items make pydicom raise nearly anything
        raise VolumeError(
            f"its compressed pixel data is damaged ({one_line(error)}); copy it anew"
        ) from error
    found = len(offsets) or len(frames)
    if found != count or len(frames) != count:
        raise VolumeError(f"declares {count} frames and holds {found}; copy it anew")
    return frames


def _run_lengths(frames: Sequence[bytes], layout: Layout) -> Pixels:
    size = layout.allocated // 8
    planes = [run_lengths(frame, layout.rows, layout.columns, size) for frame in frames]
    type_ = np.dtype(f"<{'i' if layout.signed else 'u'}{size}")
    return np.stack(planes).view(type_).reshape(layout.shape)


def _check_frame(frame: bytes, layout: Layout) -> int:
    """Return the bits of a compressed frame; refuse one that is cut, or other than declared.

    Decoders are silent there: they fill in what is missing, or leave out what is too much.
    """
    if END_OF_IMAGE not in frame.rstrip(b"\0")[-16:]:
        raise VolumeError("its compressed pixel data is truncated; copy it anew")
    own = frame_of(frame)
    if (own.rows, own.columns) != (layout.rows, layout.columns) or own.bits > layout.allocated:
        raise VolumeError(
            f"declares {layout.rows} x {layout.columns} pixels of {layout.allocated} bits and "
            f"holds {own.rows} x {own.columns} of {own.bits}; copy it anew"
        )
    if own.samples != 1:
        raise VolumeError("holds colour pixels, not HU; give the original CT")
    return own.bits


def _values(raw: Pixels, layout: Layout, dataset: Dataset) -> Pixels:
    """Return the values in the bits that are stored, checked against what the header says.

    PS3.5, 8.1.1: bits above those stored mean nothing, and old images keep overlays there. An
    image whose values need them, and that names no overlay, contradicts itself.
    """
    low, high = int(raw.min()), int(raw.max())
    half = 2 ** (layout.stored - 1)
    if layout.signed is None and high >= half:
        raise VolumeError(
            "does not say whether its pixels are signed (PixelRepresentation), and it matters; "
            "convert it anew"
        )
    least, most = (-half, half - 1) if layout.signed else (0, 2 * half - 1)
    if least <= low and high <= most:
        return raw
    if _has_overlay_bits(dataset, layout):
        low_bits = raw.astype(np.int64) & (2 * half - 1)
        if layout.signed:
            low_bits -= 2 * half * (low_bits >= half)
        return low_bits.astype(raw.dtype)
    beyond = raw[(raw < least) | (raw > most)]
    if np.isin(beyond, padding_ends([dataset], raw.dtype)).all():
        return raw
    if layout.signed and low >= 0 and high < 2 * half and _is_sign(raw, half, dataset):
        return np.where(raw >= half, raw.astype(np.int64) - 2 * half, raw).astype(raw.dtype)
    raise VolumeError(
        f"holds pixels from {low} to {high} where its BitsStored {layout.stored} and "
        f"PixelRepresentation {int(bool(layout.signed))} allow {least} to {most}; convert it anew"
    )


def _is_sign(raw: Pixels, half: int, dataset: Dataset) -> bool:
    """Return whether the highest stored bit can be a sign that was not carried on.

    It is none where air lies at -1024 + intercept already: below that there is only padding.
    """
    intercept = (numbers(dataset, "RescaleIntercept") or [0.0])[0]
    negative = np.unique(raw[raw >= half].astype(np.int64)) - 2 * half
    padding = [end if end < 0 else end - 2 * half for end in padding_ends([dataset], raw.dtype)]
    return bool((negative[~np.isin(negative, padding)] + intercept >= LEAST_HU).all())


def _has_overlay_bits(dataset: Dataset, layout: Layout) -> bool:
    """Return whether an overlay says that it lies in the bits beside the pixels' own."""
    for group in OVERLAY_GROUPS:
        position = dataset.get((group, 0x0102))
        apart = (group, 0x3000) in dataset
        if position is not None and not apart and int(position.value or 0) >= layout.stored:
            return True
    return False
