"""Label files: label maps by suffix, and DICOM segmentations and structure sets by content."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from medcyclegan.errors import InputError, VolumeError
from medcyclegan.io.dicom.file import open_dataset, text
from medcyclegan.io.dicom.header import looks_like_dicom
from medcyclegan.io.formats import READERS, format_of
from medcyclegan.io.stored import ReadOptions, Stored, reading
from medcyclegan.volume import Labels, Volume, check_grid

LABEL_OBJECTS = {  # SOP class -> module, imported on use: `read(path, like)` returns Labels
    "1.2.840.10008.5.1.4.1.1.66.4": "medcyclegan.io.dicom.segmentation_object",
    "1.2.840.10008.5.1.4.1.1.66.7": "medcyclegan.io.dicom.segmentation_object",
    "1.2.840.10008.5.1.4.1.1.481.3": "medcyclegan.io.dicom.contours",
}
REFERENCES = (  # sequences on the way to the SeriesInstanceUID of the image
    "ReferencedFrameOfReferenceSequence",
    "RTReferencedStudySequence",
    "RTReferencedSeriesSequence",
    "ReferencedSeriesSequence",
)


@dataclass(frozen=True)
class LabelObject:
    """What a DICOM segmentation or structure set says before its regions.

    Args:
        module: where it is read.
        series: SeriesInstanceUIDs of the images that it was drawn on; may be empty.
    """

    module: str
    series: frozenset[str]


def read_labels(path: Path, like: Volume | None = None) -> Labels:
    """Return the label map in a file: values and type as stored, or regions on an image's grid.

    Args:
        path: NIfTI, MetaImage, NRRD, DICOM segmentation or DICOM RTSTRUCT.
        like: the image that regions of a DICOM file were drawn on.

    Raises:
        InputError: a DICOM file without `like`.
        VolumeError: no file, damaged, of another format, or values that are not whole.
        GeometryError: its axes make no right-angled grid, or its regions do not lie on that of
            `like`.
    """
    if not path.is_file():
        raise VolumeError(f"{path}: no such label file; check the path")
    with reading(path):
        format_ = format_of(path.name)
        if format_:
            return _read_map(format_, path)
        object_ = open_label_object(path)
        if object_ is None:
            raise VolumeError("is no label file; give NIfTI, MHA, NRRD, DICOM SEG or RTSTRUCT")
        if like is None:
            raise InputError("needs the image that it was drawn on; give that, too")
        labels: Labels = import_module(object_.module).read(path, like)
        return labels


def open_label_object(path: Path) -> LabelObject | None:
    """Return what a DICOM segmentation or structure set refers to; None if a file is neither.

    Raises:
        VolumeError: a DICOM file that is damaged.
    """
    with reading(path):
        with path.open("rb") as stream:
            if not looks_like_dicom(stream.read(132)):
                return None
        header = open_dataset(
            path, specific_tags=["SOPClassUID", *REFERENCES], stop_before_pixels=True
        )
        class_uid = text(header, "SOPClassUID") or text(header.file_meta, "MediaStorageSOPClassUID")
        if class_uid not in LABEL_OBJECTS:
            return None
        items = [header]
        series: set[str] = set()
        while items:
            item = items.pop()
            series.add(text(item, "SeriesInstanceUID"))
            items += [below for name in REFERENCES for below in item.get(name) or []]
        return LabelObject(LABEL_OBJECTS[class_uid], frozenset(series - {""}))


def _read_map(format_: str, path: Path) -> Labels:
    stored: Stored = import_module(READERS[format_].module).read((path,), ReadOptions())
    array = stored.array
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        raise VolumeError("holds values that are not whole: no label map; round them")
    check_grid(array.shape, stored.affine)
    return Labels(array, stored.affine)
