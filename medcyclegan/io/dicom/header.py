"""What a DICOM file says of itself before its pixels: identity, kind, and where its frames lie.

Standard: DICOM PS3.3, C.7.6.2 (image plane), C.7.6.16 (multi-frame functional groups) and C.8.2.1
(CT image).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medcyclegan.errors import GeometryError, MedCycleGANError, VolumeError
from medcyclegan.io.dicom.file import numbers, open_dataset, text
from medcyclegan.io.dicom.frames import (
    GROUPS_OF_A_FRAME,
    GROUPS_OF_ALL,
    MULTI_FRAME_CLASSES,
    first_numbers,
    frame_fields,
    is_multi_frame,
)
from medcyclegan.io.dicom.series import Slice, in_order, make_slice, same_direction, same_places
from medcyclegan.io.stored import one_line

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag

MOST_PIXELS_A_SIDE = 8192
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
DISTANCES = ("SpacingBetweenSlices", "SliceThickness")
HEADER_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ImageType",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "NumberOfFrames",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "PixelSpacing",
    *DISTANCES,
    "ImageOrientationPatient",
    "ImagePositionPatient",
    GROUPS_OF_ALL,
    GROUPS_OF_A_FRAME,
)
FIRST_ELEMENTS = (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00", b"\x18\x00")


@dataclass(frozen=True)
class Plane:
    """The numbers of one frame as its header holds them, unchecked and perhaps missing.

    Args:
        orientation: ImageOrientationPatient.
        position: ImagePositionPatient, mm.
        spacing: PixelSpacing, mm.
        distance_mm: SpacingBetweenSlices, else SliceThickness; 0 where neither says anything.
    """

    orientation: tuple[float, ...] = ()
    position: tuple[float, ...] = ()
    spacing: tuple[float, ...] = ()
    distance_mm: float = 0.0


@dataclass(frozen=True)
class Header:
    """What sorts a file into a series: plain values that travel between processes.

    Args:
        class_uid: SOPClassUID; this and all text is empty where the file does not say.
        instance_uid: SOPInstanceUID.
        series_uid: SeriesInstanceUID.
        series_number: SeriesNumber.
        study_uid: StudyInstanceUID.
        patient: PatientID, in clear.
        modality: Modality.
        image_type: ImageType, upper case, its values joined by a backslash.
        acquisition_number: AcquisitionNumber.
        temporal_position: TemporalPositionIdentifier.
        acquired: AcquisitionDateTime, else AcquisitionDate and AcquisitionTime in one.
        rows: height, pixels.
        columns: width, pixels.
        samples: SamplesPerPixel.
        multi_frame: the file is of a multi-frame class or claims several frames.
        planes: one for each frame, in file order.
        fault: a number that is none, or frames that do not add up; empty if there is no such.
    """

    class_uid: str = ""
    instance_uid: str = ""
    series_uid: str = ""
    series_number: str = ""
    study_uid: str = ""
    patient: str = ""
    modality: str = ""
    image_type: str = ""
    acquisition_number: str = ""
    temporal_position: str = ""
    acquired: str = ""
    rows: int = 0
    columns: int = 0
    samples: int = 1
    multi_frame: bool = False
    planes: tuple[Plane, ...] = ()
    fault: str = ""


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file begins as DICOM does: with a preamble, or with a bare data set."""
    bare = head[:2] in (b"\x02\x00", b"\x08\x00") and head[2:4] in FIRST_ELEMENTS
    return head[128:132] == b"DICM" or bare


def read_header(path: Path) -> Header:
    """Return what sorts a file into a series, without reading its pixels.

    Raises:
        VolumeError: the header ends before it has said what the file is.
        Exception: whatever pydicom makes of a damaged file; call it inside `stored.reading`.
    """
    dataset = open_dataset(path, specific_tags=_tags(), stop_before_pixels=True)
    header = header_of(dataset)
    if getattr(dataset, "preamble", None) and not (header.modality or header.class_uid):
        raise VolumeError("has a header that is cut off or damaged; copy it anew")
    return header


@functools.cache
def _tags() -> list[BaseTag]:
    from pydicom.tag import Tag

    return [Tag(name) for name in HEADER_TAGS]  # once: pydicom would do so for each file


def header_of(dataset: Dataset) -> Header:
    """Return what sorts a data set into a series."""
    fault, multi_frame = "", False
    sizes = {"Rows": 0, "Columns": 0, "SamplesPerPixel": 1}
    planes: tuple[Plane, ...] = ()
    try:
        sizes = {name: int((numbers(dataset, name) or [sizes[name]])[0]) for name in sizes}
        multi_frame = is_multi_frame(dataset)
        planes = tuple(_plane(fields) for fields in frame_fields(dataset))
    except (MedCycleGANError, ValueError, OverflowError) as error:
        fault = one_line(error)
    meta = dataset.file_meta
    day, time = text(dataset, "AcquisitionDate"), text(dataset, "AcquisitionTime")
    return Header(
        class_uid=text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID"),
        instance_uid=text(dataset, "SOPInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        series_number=text(dataset, "SeriesNumber"),
        study_uid=text(dataset, "StudyInstanceUID"),
        patient=text(dataset, "PatientID"),
        modality=text(dataset, "Modality").upper(),
        image_type=text(dataset, "ImageType").upper(),
        acquisition_number=text(dataset, "AcquisitionNumber"),
        temporal_position=text(dataset, "TemporalPositionIdentifier"),
        acquired=text(dataset, "AcquisitionDateTime") or day + time,
        rows=sizes["Rows"],
        columns=sizes["Columns"],
        samples=sizes["SamplesPerPixel"],
        multi_frame=multi_frame,
        planes=planes,
        fault=fault,
    )


def not_ct(header: Header) -> str:
    """Return why an instance does not claim to be a CT image; empty if it does."""
    if header.class_uid == DIRECTORY_CLASS or not (header.modality or header.class_uid):
        return "no image (a DICOM directory or fragment)"
    if header.modality and header.modality != "CT":
        return f"no CT (modality {header.modality})"
    if header.class_uid not in ("", CT_CLASS, *MULTI_FRAME_CLASSES):
        return f"no CT image (SOP class {header.class_uid})"
    if "LOCALIZER" in header.image_type:
        return "a localizer"
    return ""


def describe(path: Path, header: Header) -> tuple[Slice, ...]:
    """Return where a header puts its frames, in file order: one slice for each.

    The slices of a multi-frame file have `frame` 1, 2, ...; that of a single-frame file has 0.

    Raises:
        VolumeError: colours, an impossible size, or frames that do not add up.
        GeometryError: position, orientation or spacing are missing or impossible, or the frames of
            one file are no single stack.
    """
    if header.fault:
        raise VolumeError(header.fault)
    if header.samples > 1:
        raise VolumeError("holds colour pixels, not HU; give the original CT")
    shape = header.rows, header.columns
    if not all(0 < size <= MOST_PIXELS_A_SIDE for size in shape):
        raise VolumeError(
            f"declares {shape[0]} x {shape[1]} pixels: its header is cut off or damaged; "
            "copy it anew"
        )
    slices = tuple(
        make_slice(
            path,
            shape,
            orientation=plane.orientation,
            position=plane.position,
            spacing=plane.spacing,
            distance_mm=plane.distance_mm,
            frame=number if header.multi_frame else 0,
        )
        for number, plane in enumerate(header.planes, 1)
    )
    _check_one_stack(slices)
    return slices


def _check_one_stack(slices: Sequence[Slice]) -> None:
    if len(slices) == 1:
        return
    other = next((piece for piece in slices if not same_direction(slices[0], piece)), None)
    if other is not None:
        raise GeometryError(
            f"holds frames in several directions (1 and {other.frame}); "
            "write each stack to a file of its own"
        )
    twins = same_places(in_order(slices))
    if twins:
        more = f" (and {len(twins) - 1} more such pairs)" if len(twins) > 1 else ""
        raise GeometryError(
            f"has two frames at the same place, {twins[0][0].frame} and {twins[0][1].frame}{more}: "
            "several phases or copies in one file; write each phase to a file of its own"
        )


def _plane(fields: Sequence[Dataset]) -> Plane:
    distances = [
        abs(values[0])
        for values in (first_numbers(fields, name) for name in DISTANCES)
        if values and np.isfinite(values[0]) and values[0] != 0
    ]
    return Plane(
        orientation=first_numbers(fields, "ImageOrientationPatient"),
        position=first_numbers(fields, "ImagePositionPatient"),
        spacing=first_numbers(fields, "PixelSpacing"),
        distance_mm=distances[0] if distances else 0.0,
    )
