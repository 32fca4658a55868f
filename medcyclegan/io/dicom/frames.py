"""The frames of a DICOM image, and where each keeps its fields.

Standard: DICOM PS3.3, C.7.6.16: a multi-frame image holds its fields in functional groups, those of
one frame and those that all frames share; any other image holds them at the top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from medcyclegan.errors import VolumeError
from medcyclegan.io.dicom.file import numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

MULTI_FRAME_CLASSES = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
GROUPS_OF_A_FRAME = "PerFrameFunctionalGroupsSequence"
GROUPS_OF_ALL = "SharedFunctionalGroupsSequence"
UNASSIGNED = (  # what a converter knew no place for: the last place to look
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)


def is_multi_frame(dataset: Dataset) -> bool:
    """Return whether an image is of a multi-frame class, or claims or describes several frames.

    Raises:
        VolumeError: NumberOfFrames is no number.
    """
    several = numbers(dataset, "NumberOfFrames")[:1] > [1.0] or GROUPS_OF_A_FRAME in dataset
    return several or text(dataset, "SOPClassUID") in MULTI_FRAME_CLASSES


def frame_fields(dataset: Dataset) -> list[tuple[Dataset, ...]]:
    """Return for each frame, in file order, the data sets to look its fields up in, nearest first.

    Raises:
        VolumeError: the frames are not described, or another number of them than there are.
    """
    if not is_multi_frame(dataset):
        return [(dataset,)]
    count = int((numbers(dataset, "NumberOfFrames") or [1.0])[0])
    described = dataset.get(GROUPS_OF_A_FRAME) or []
    if count > 1 and not described:
        raise VolumeError(
            f"holds {count} frames and does not say where each lies; "
            "convert it to single slices or to NIfTI"
        )
    if len(described) != count:
        raise VolumeError(f"declares {count} frames and describes {len(described)}; copy it anew")
    shared = [item for groups in dataset.get(GROUPS_OF_ALL) or [] for item in _items(groups)]
    return [(*_items(groups), *shared, dataset) for groups in described]


def first_numbers(fields: Sequence[Dataset], name: str) -> tuple[float, ...]:
    """Return the numbers of a field in the first data set that has it; none if none does.

    Raises:
        VolumeError: it holds something else.
    """
    found = (numbers(dataset, name) for dataset in fields)
    return next((tuple(values) for values in found if values), ())


def first_text(fields: Sequence[Dataset], name: str) -> str:
    """Return a field as text from the first data set that has it; empty if none does."""
    found = (text(dataset, name) for dataset in fields)
    return next((value for value in found if value), "")


def _items(groups: Dataset) -> Iterator[Dataset]:
    last = []
    for element in groups:
        if element.VR == "SQ" and element.value:
            if element.keyword in UNASSIGNED:
                last.append(element.value[0])
            else:
                yield element.value[0]
    yield from last
