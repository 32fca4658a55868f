"""DICOM files spoiled field by field: the file stays DICOM, its fields turn to nonsense."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from tests.fuzz.choices import Choices
from tests.hostile.made import dicom_bytes

MOST_EDITS = 4
VALUES = (
    b"",
    b"0 ",
    b"-1",
    b"1 ",
    b"nan ",
    b"inf ",
    b"1e30",
    b"1e-9",
    b"0.5 ",
    b"99999999999 ",
    b"1\\2 ",
    b"\\\\",
    b"1\\0\\0\\0\\1\\0 ",
    b"0\\0\\0 ",
    b"abc ",
    b"CT",
    b"MR",
    b"HU",
    b"MONOCHROME1 ",
    b"RGB ",
    b"\0\0",
    b"\1\0",
    b"\x08\0",
    b"\x0c\0",
    b"\xff\xff",
    b"\xff\x7f\0\0",
    b"\xff" * 8,
    b"x" * 2000,
)
VRS = ("DS", "IS", "US", "SS", "OW", "OB", "SQ", "UN", "LO", "CS", "UI", "FD", "UL", "UT", "AT")
EXTRA = (
    "NumberOfFrames",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleType",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "LossyImageCompression",
    "SpecificCharacterSet",
    "SpacingBetweenSlices",
    "ExtendedOffsetTable",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "OverlayData",
    "RealWorldValueMappingSequence",
    "DimensionIndexSequence",
    "ContrastBolusAgent",
    "PatientName",
)


def spoiled(make: Callable[[], Any], choices: Choices) -> bytes:
    """Return a data set as a file after a few edits of its fields; empty if none can be written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = make()
        for _ in range(1 + choices.number(MOST_EDITS)):
            _edit(dataset, choices)
        try:
            return dicom_bytes(dataset)
        except Exception:  # noqa: BLE001  # nonsense that pydicom cannot write
            return b""


def _edit(dataset: Any, choices: Choices) -> None:
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    owner = choices.pick(_data_sets(dataset))
    tags = [element.tag for element in owner.elements() if element.tag.group != 2]
    extra = [Tag(tag_for_keyword(name) or 0) for name in EXTRA]
    tag = choices.pick([*tags, *tags, *extra] or extra)
    operation = choices.number(5)
    if operation == 0 and tag in owner:
        del owner[tag]
        return
    vr = choices.pick(VRS) if operation == 1 else str(dictionary_VR(tag)).split(" ", 1)[0]
    value = choices.pick(VALUES) if operation != 2 else choices.take(2 * choices.number(16))
    if vr == "SQ" and operation != 1:
        value = b""
    owner[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def _data_sets(dataset: Any) -> list[Any]:
    found = [dataset]
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if element.VR == "SQ" and not element.is_raw:
            for item in element.value:
                found += _data_sets(item)
    return found
