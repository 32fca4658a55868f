"""What a source's header hands on to a series derived from it: public, small, valid fields alone.

Standard: DICOM PS3.3, A.3 (CT image), C.7 and C.8.2.1; PS3.6 (names and types of fields).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from medcyclegan.io.dicom.frames import GROUPS_OF_A_FRAME, GROUPS_OF_ALL
from medcyclegan.io.dicom.identifiers import DIRECT
from medcyclegan.io.stored import printable

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import BaseTag

UIDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
)
PLACE = (
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "PatientPosition",
    "AnatomicalOrientationType",
    "Rows",
    "Columns",
)
TECHNICAL = (
    "Manufacturer",
    "ManufacturerModelName",
    "BodyPartExamined",
    "Laterality",
    "AcquisitionNumber",
    "KVP",
    "ScanOptions",
    "DataCollectionDiameter",
    "ReconstructionDiameter",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "GantryDetectorTilt",
    "TableHeight",
    "RotationDirection",
    "ExposureTime",
    "XRayTubeCurrent",
    "Exposure",
    "FilterType",
    "GeneratorPower",
    "FocalSpots",
    "ConvolutionKernel",
    "RevolutionTime",
    "SingleCollimationWidth",
    "TotalCollimationWidth",
    "TableSpeed",
    "TableFeedPerRotation",
    "SpiralPitchFactor",
    "DataCollectionCenterPatient",
    "ReconstructionTargetCenterPatient",
    "ExposureModulationType",
    "WindowCenter",
    "WindowWidth",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
ABOUT_THE_IMAGE = (
    "Modality",
    "ImageType",
    "SeriesNumber",
    "InstanceNumber",
    "ReferencedFrameNumber",
    "BurnedInAnnotation",
    "PatientIdentityRemoved",
    "SyntheticData",
)
INDIRECT = (  # who, when and where, in free text or exactly enough to find out
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "StudyTime",
    "SeriesTime",
    "AcquisitionTime",
    "ContentTime",
    "AccessionNumber",
    "StudyID",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "ImageComments",
    "PatientComments",
    "AdditionalPatientHistory",
    "AdmittingDiagnosesDescription",
    "DeidentificationMethod",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "EthnicGroup",
    "Occupation",
    "PositionReferenceIndicator",
)
IDENTIFYING = (*DIRECT, *INDIRECT)
CARRIED = (*UIDS, *PLACE, *TECHNICAL, *ABOUT_THE_IMAGE, *IDENTIFYING)
LOSSY_SYNTAXES = (  # JPEG baseline and extended, JPEG-LS near-lossless: lossy whatever they say
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
)
UID_FORM = re.compile(r"[0-9]+(\.[0-9]+)+")
UID_LENGTH = 64
TEXT_TYPES = ("LO", "SH", "PN", "ST", "LT", "UC", "UT")
NUMBER_LENGTH = 16  # of a decimal string


Seen = dict[tuple[Any, ...], "DataElement | None"]


def carried(dataset: Dataset, frame: int = 0, seen: Seen | None = None) -> Dataset:
    """Return a copy of a header that holds only what a derived series may need.

    Pixels, private fields, sequences, empty fields and values that their type does not allow stay
    behind. Texts are decoded. Identifiers are in it: who writes it out has to drop them.

    Args:
        dataset: of one file, as pydicom reads it; its fields keep their values.
        frame: of a multi-frame file, from 1: fields of its functional groups stand at the top, and
            ReferencedFrameNumber tells the frame. 0: a file of one image.
        seen: empty, and the same for all slices of a series: most fields are alike in them, and
            are then converted once and shared by the copies.
    """
    from pydicom import Dataset

    seen = {} if seen is None else seen
    fields: dict[BaseTag, DataElement | RawDataElement] = {}
    for part in (dataset, *_groups(dataset, frame)):
        letters = str(part.get("SpecificCharacterSet"))
        for tag in part.keys() & _types().keys():
            element = _once(part, tag, letters, seen)
            if element is not None:
                fields[element.tag] = element  # a BaseTag, as pydicom's writer needs
    copy = Dataset(fields)
    meta = getattr(dataset, "file_meta", None) or Dataset()
    for keyword, beside in (
        ("SOPClassUID", "MediaStorageSOPClassUID"),
        ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
    ):
        if keyword not in copy:
            _set(copy, keyword, meta.get(beside))
    if str(meta.get("TransferSyntaxUID")) in LOSSY_SYNTAXES:
        _set(copy, "LossyImageCompression", "01")
    if frame:
        _set(copy, "ReferencedFrameNumber", frame)
    return copy


@functools.cache
def _types() -> dict[int, str]:
    """Return tag -> type in the dictionary, of all that is carried."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tags = [tag_for_keyword(keyword) for keyword in CARRIED]
    return {tag: dictionary_VR(tag) for tag in tags if tag is not None}


def _groups(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """Yield the items of a frame's functional groups, those of all frames first."""
    if not frame:
        return
    for keyword, number in ((GROUPS_OF_ALL, 1), (GROUPS_OF_A_FRAME, frame)):
        items = dataset.get(keyword) or []
        for element in items[number - 1] if number <= len(items) else ():
            if element.VR == "SQ":
                yield from element.value


def _once(source: Dataset, tag: int, letters: str, seen: Seen) -> DataElement | None:
    """Return a field as it may be written, made anew only if there was none like it before."""
    from pydicom.dataelem import RawDataElement

    raw = source.get_item(tag)
    if not isinstance(raw, RawDataElement) or raw.value is None:
        return _converted(source, tag)
    key = (tag, raw.VR, raw.value, raw.is_little_endian, letters)
    if key not in seen:
        seen[key] = _converted(source, tag)
    return seen[key]


def _converted(source: Dataset, tag: int) -> DataElement | None:
    try:
        value = source[tag].value
    except Exception:  # noqa: BLE001 - a library's parsers raise nearly anything
        return None
    return _element(tag, value)


def _set(copy: Dataset, keyword: str, value: Any) -> None:
    """Put a value into a data set if its type in the dictionary allows it."""
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    element = _element(tag, value)
    if element is not None:
        copy[tag] = element


def _element(tag: int, value: Any) -> DataElement | None:
    """Return a value as its type in the dictionary holds it; None where it cannot be one."""
    from pydicom import DataElement
    from pydicom.config import IGNORE

    type_ = _types()[tag]
    several = isinstance(value, (list, tuple)) or hasattr(value, "append")
    try:
        values = [_valid(type_, one) for one in (value if several else [value])]
    except Exception:  # noqa: BLE001 - as above
        return None
    if not values or None in values:
        return None
    return DataElement(tag, type_, values if len(values) > 1 else values[0], validation_mode=IGNORE)


def _valid(type_: str, value: Any) -> Any:
    """Return a value as its type holds it; None where it is empty or cannot be one."""
    from pydicom.config import RAISE
    from pydicom.valuerep import format_number_as_ds, validate_value

    text = printable(str("" if value is None else value)).strip()
    if not text or isinstance(value, (bytes, bytearray)):
        return None
    if type_ == "DS":
        number = float(text)
        if not math.isfinite(number):
            return None
        return text if len(text) <= NUMBER_LENGTH else format_number_as_ds(number)
    if type_ == "UI":
        return text if UID_FORM.fullmatch(text) and len(text) <= UID_LENGTH else None
    if type_ in ("IS", "US"):
        return int(text)
    if type_ == "FD":
        return float(text) if math.isfinite(float(text)) else None
    if type_ not in TEXT_TYPES:
        validate_value(type_, text, RAISE)
    return text
