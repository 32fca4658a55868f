"""DICOM CT through pydicom: the files of one series to voxels on an even grid.

Standard: DICOM PS3.3, C.7.6.2 (image plane), C.7.6.3 (pixels) and C.8.2.1 (CT image).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import IntensityError, VolumeError
from medcyclegan.io.series import Slice, check_stack, in_order, make_slice, stack_affine
from medcyclegan.io.stored import (
    Stored,
    as_hu,
    check_voxel_count,
    naming,
    native_silence,
    one_line,
    printable,
    rescale,
)

if TYPE_CHECKING:
    from pydicom import Dataset

AIR_HU = -1024
LOW_PADDING_HU = -900  # padding below this is as good as air and kept as stored
MOST_PIXELS_A_SIDE = 8192
CONTRAST_TAGS = (
    "ContrastBolusAgent",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "SeriesDescription",
    "ProtocolName",
    "StudyDescription",
)
HEADER_TAGS = (
    *CONTRAST_TAGS,
    "SOPClassUID",
    "ImageType",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "NumberOfFrames",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_CLASSES = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
NOT_HU_TYPES = ("OD", "HU_MOD", "MGML", "Z_EFF", "ED", "EDW", "PCT")  # of RescaleType, C.11.1.1.2
END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike
RLE_SYNTAX = "1.2.840.10008.1.2.5"
FIRST_ELEMENTS = (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00", b"\x18\x00")


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file begins as DICOM does: with a preamble, or with a bare data set."""
    bare = head[:2] in (b"\x02\x00", b"\x08\x00") and head[2:4] in FIRST_ELEMENTS
    return head[128:132] == b"DICM" or bare


def read_header(path: Path) -> Dataset:
    """Return the fields that sort files into series, without pixels.

    Raises:
        VolumeError: the file is no DICOM or its header is damaged.
    """
    return _dataset(path, specific_tags=list(HEADER_TAGS), stop_before_pixels=True)


def _dataset(path: Path, **options: Any) -> Dataset:
    import pydicom

    with path.open("rb") as stream:
        bare = stream.read(132)[128:] != b"DICM"
    dataset = pydicom.dcmread(path, force=bare, **options)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        )
    return dataset


def text(header: Dataset, name: str) -> str:
    """Return a field as one line of printable text, empty where it is missing."""
    value = header.get(name)
    return "" if value is None else printable(str(value))


def not_ct(header: Dataset) -> str:
    """Return why an instance does not claim to be a CT slice; empty if it does."""
    modality, class_uid = text(header, "Modality"), text(header, "SOPClassUID")
    if class_uid == DIRECTORY_CLASS or not (modality or class_uid):
        return "no image (a DICOM directory or fragment)"
    if modality and modality != "CT":
        return f"no CT (modality {modality})"
    if class_uid not in ("", CT_CLASS, *MULTI_FRAME_CLASSES):
        return f"no CT image (SOP class {class_uid})"
    if "LOCALIZER" in text(header, "ImageType").upper():
        return "a localizer"
    return ""


def describe(path: Path, header: Dataset) -> Slice:
    """Return where a header puts its slice.

    Raises:
        VolumeError: several frames or colours, or an impossible size.
        GeometryError: position, orientation or spacing are missing or impossible.
    """
    frames = _numbers(header, "NumberOfFrames")
    if text(header, "SOPClassUID") in MULTI_FRAME_CLASSES or frames[:1] > [1.0]:
        raise VolumeError("is a multi-frame file; convert it to single slices or to NIfTI")
    if _numbers(header, "SamplesPerPixel")[:1] > [1.0]:
        raise VolumeError("holds colour pixels, not HU; give the original CT")
    rows, columns = (int((_numbers(header, name) or [0])[0]) for name in ("Rows", "Columns"))
    if not (0 < rows <= MOST_PIXELS_A_SIDE and 0 < columns <= MOST_PIXELS_A_SIDE):
        raise VolumeError(f"declares {rows} x {columns} pixels; copy it anew")
    return make_slice(
        path,
        (rows, columns),
        orientation=_numbers(header, "ImageOrientationPatient"),
        position=_numbers(header, "ImagePositionPatient"),
        spacing=_numbers(header, "PixelSpacing"),
        distance_mm=_distance_mm(header),
    )


def _distance_mm(header: Dataset) -> float:
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        value = _numbers(header, name)
        if value and np.isfinite(value[0]) and value[0] != 0:
            return abs(value[0])
    return 0.0


def _numbers(header: Dataset, name: str) -> list[float]:
    value = header.get(name)
    if value is None or value == "":
        return []
    try:
        return [float(number) for number in (value if np.iterable(value) else [value])]
    except (TypeError, ValueError) as error:
        raise VolumeError(f"has {name} {one_line(ValueError(value))}, no number") from error


def read(files: Sequence[Path]) -> Stored:
    """Return the volume that the files of one series make, in any order.

    Padding outside the field of view keeps its HU where that is below -900, and becomes air
    (-1024 HU) where it would look like tissue. MONOCHROME1 is about display and changes nothing.

    Args:
        files: one file for each slice.

    Raises:
        VolumeError: a file is damaged, truncated or no single-frame image.
        GeometryError: the slices make no even stack.
        IntensityError: values that are no HU.
    """
    pieces: dict[Path, npt.NDArray[Any]] = {}
    slices: list[Slice] = []
    first: Dataset | None = None
    for path in files:
        with naming(path):
            dataset = _dataset(path)
            if "PixelData" not in dataset:
                raise VolumeError("its pixel data is missing or truncated; copy it anew")
            slices.append(describe(path, dataset))
            pieces[path] = _pixels_hu(dataset, slices[-1].shape)
        first = first or dataset
    slices = in_order(slices)
    check_stack(slices)
    check_voxel_count((*slices[0].shape, len(slices)))
    array = _stack([pieces[piece.path] for piece in slices])
    assert first is not None
    return Stored(
        array=array,
        affine=stack_affine(slices),
        patient=text(first, "PatientID") or text(first, "StudyInstanceUID"),
        tags={name: text(first, name)[:200] for name in CONTRAST_TAGS if text(first, name)},
        warnings=_warnings(slices),
    )


def _stack(planes: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    floating = any(plane.dtype.kind == "f" for plane in planes)
    dtype = np.dtype(np.float32) if floating else np.result_type(*planes)
    volume = np.empty((len(planes), *planes[0].shape), dtype)
    for index, plane in enumerate(planes):
        volume[index] = plane
    return volume.transpose(2, 1, 0)  # (K, rows = J, columns = I) -> (I, J, K)


def _warnings(slices: Sequence[Slice]) -> tuple[str, ...]:
    if len(slices) == 1 and not slices[0].distance_mm:
        return ("no slice thickness: 1 mm assumed",)
    return ()


def _pixels_hu(dataset: Dataset, shape: tuple[int, int]) -> npt.NDArray[Any]:
    slope, intercept = _rescaling(dataset)
    raw = _pixels(dataset, shape)
    hu = as_hu(rescale(raw, slope, intercept))
    padding = _padding(dataset, raw)
    if padding is not None and padding.any():
        outside = padding & (hu > LOW_PADDING_HU)
        hu = np.where(_touching_edge(outside), np.array(AIR_HU, hu.dtype), hu)
    return hu


def _rescaling(dataset: Dataset) -> tuple[float, float]:
    slope = (_numbers(dataset, "RescaleSlope") or [1.0])[0]
    intercept = (_numbers(dataset, "RescaleIntercept") or [0.0])[0]
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise IntensityError(
            f"has RescaleSlope {slope:g} and RescaleIntercept {intercept:g}: no HU come of that"
        )
    type_ = text(dataset, "RescaleType").upper()
    if type_ in NOT_HU_TYPES or "ModalityLUTSequence" in dataset:
        raise IntensityError(f"holds {type_ or 'values of a look-up table'}, not HU; leave it out")
    return slope, intercept


def _pixels(dataset: Dataset, shape: tuple[int, int]) -> npt.NDArray[Any]:
    _check_end(dataset)
    try:
        with native_silence():
            raw = dataset.pixel_array
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything
        raise VolumeError(
            f"its pixel data cannot be decoded ({one_line(error)}); copy it anew, or "
            "convert it to uncompressed DICOM or NIfTI"
        ) from error
    if raw.shape != shape:
        raise VolumeError(f"holds {raw.shape} pixels where its header declares {shape}")
    return raw


def _check_end(dataset: Dataset) -> None:
    """Refuse a compressed image without its end: decoders fill in the rest without a word."""
    from pydicom.encaps import generate_frames

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax == RLE_SYNTAX:
        return
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    if END_OF_IMAGE not in frame[-16:]:
        raise VolumeError("its compressed pixel data is truncated; copy it anew")


def _padding(dataset: Dataset, raw: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    ends = [*_numbers(dataset, "PixelPaddingValue"), *_numbers(dataset, "PixelPaddingRangeLimit")]
    if not ends:
        return None
    if raw.dtype.kind == "i":  # the field may be written unsigned: 63536 stands for -2000
        top = 2 ** (8 * raw.dtype.itemsize)
        ends = [end - top if end >= top // 2 else end for end in ends]
    return (raw >= min(ends)) & (raw <= max(ends))


def _touching_edge(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    regions, _ = ndimage.label(mask)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.isin(regions, np.unique(edge[edge > 0]))
