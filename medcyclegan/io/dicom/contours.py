"""DICOM RTSTRUCT: contours drawn on the slices of an image, to a label map on its grid.

Standard: DICOM PS3.3, C.8.8.5 (structure set) and C.8.8.6 (ROI contour). A voxel belongs to a
region where its centre lies within: inside an odd number of the region's contours on its slice, so
that a contour within a contour is a hole, and so is what a keyhole leads to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io.dicom.file import numbers, text
from medcyclegan.io.dicom.label_objects import (
    TO_RAS,
    Painting,
    check_frame_of_reference,
    open_whole,
    region_names,
    slice_shifts,
    whole_number,
)
from medcyclegan.volume import SAME_GRID_VOXELS, Labels, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

Points = npt.NDArray[np.float64]
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
OPEN = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")
EDGES_AT_ONCE = 1024  # bounds memory: an edge may cross every row of a slice


class Region(NamedTuple):
    """One region of interest.

    Args:
        name: as the file has it.
        contours: the closed ones, each (points, 3) in voxels of the image.
        open_ones: how many contours are points or open lines, which enclose nothing.
    """

    name: str
    contours: list[Points]
    open_ones: int


def read(path: Path, like: Volume) -> Labels:
    """Return a structure set as labels on the grid of its image, 1 and up in order of ROI number.

    Where regions overlap the later one is kept, with a warning.

    Raises:
        VolumeError: the file is damaged, or holds no region.
        GeometryError: another frame of reference, or contours that lie outside the image or more
            than a hundredth of a voxel off its slices.
    """
    dataset = open_whole(path)
    regions = dict(enumerate(_regions(dataset, like), 1))
    texts = {value: region.name for value, region in regions.items()}
    painting = Painting(like, region_names(texts, dataset, like.provenance.headers))
    axis = _stacking_axis([points for region in regions.values() for points in region.contours])
    slices = np.moveaxis(painting.array, axis, 0)
    places = np.arange(len(slices), dtype=np.float64)
    if axis == 2:
        places += slice_shifts(like)[:, 2]
    for value, region in regions.items():
        name = painting.names[value]
        drawn = _by_slice(region.contours, axis, like.array.shape, name, places)
        for index, polygons in sorted(drawn.items()):
            painting.paint(slices[index], inside(polygons, slices[index].shape), value)
        if drawn and (gaps := max(drawn) - min(drawn) + 1 - len(drawn)):
            painting.warnings.append(f"{name} is not drawn on {gaps} slices between others")
        if region.open_ones:
            painting.warnings.append(
                f"{name} has {region.open_ones} points or open contours, which enclose nothing"
            )
    return painting.labels()


def inside(polygons: Sequence[Points], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return which pixel centres lie inside an odd number of polygons.

    A centre on an edge belongs to the side of the higher indices, so that of two regions that
    share an edge exactly one takes it.

    Args:
        polygons: each (points, 2), row and column of its corners, pixel centres at whole numbers;
            closed from the last corner to the first.
        shape: rows, columns.
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.int64)
    begin = np.concatenate([np.empty((0, 2)), *polygons])
    end = np.concatenate([np.empty((0, 2)), *(np.roll(points, -1, axis=0) for points in polygons)])
    for first in range(0, len(begin), EDGES_AT_ONCE):
        some = slice(first, first + EDGES_AT_ONCE)
        _count_crossings(begin[some], end[some], crossings)
    return np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1


def _count_crossings(begin: Points, end: Points, crossings: npt.NDArray[np.int64]) -> None:
    """Count, for each row, at which column its line of centres has just crossed an edge."""
    rows, columns = crossings.shape
    low = np.ceil(np.minimum(begin[:, 0], end[:, 0])).clip(0, rows).astype(np.int64)
    high = np.ceil(np.maximum(begin[:, 0], end[:, 0])).clip(0, rows).astype(np.int64)
    counts = high - low
    edge = np.repeat(np.arange(len(begin)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + low[edge]
    share = (row - begin[edge, 0]) / (end[edge, 0] - begin[edge, 0])
    column = begin[edge, 1] + share * (end[edge, 1] - begin[edge, 1])
    np.add.at(crossings, (row, np.ceil(column).clip(0, columns - 1).astype(np.int64)), 1)


def _regions(dataset: Dataset, like: Volume) -> list[Region]:
    """Return the regions of a structure set in order of ROI number."""
    to_voxels = np.linalg.inv(like.affine)
    if not dataset.get("ROIContourSequence"):
        raise VolumeError("holds no contour; it is truncated, or of no use")
    drawn: dict[int, Dataset] = {}
    for item in dataset.get("ROIContourSequence") or []:
        if drawn.setdefault(whole_number(item, "ReferencedROINumber"), item) is not item:
            raise VolumeError("draws a region twice; write it anew")
    regions: dict[int, Region] = {}
    for item in dataset.get("StructureSetROISequence") or []:
        number = whole_number(item, "ROINumber")
        if number in regions:
            raise VolumeError(f"has ROI number {number} twice; write it anew")
        contours = drawn.pop(number).get("ContourSequence") or [] if number in drawn else []
        if contours:
            check_frame_of_reference(text(item, "ReferencedFrameOfReferenceUID"), like)
        closed = [one for one in contours if _is_closed(one)]
        points = [_points(contour) * TO_RAS for contour in closed]
        voxels = [mm @ to_voxels[:3, :3].T + to_voxels[:3, 3] for mm in points]
        regions[number] = Region(text(item, "ROIName"), voxels, len(contours) - len(closed))
    if drawn:
        raise VolumeError(f"draws ROI number {min(drawn)}, which it does not name; write it anew")
    return [regions[number] for number in sorted(regions)]


def _is_closed(contour: Dataset) -> bool:
    kind = text(contour, "ContourGeometricType").upper()
    if kind not in (*CLOSED, *OPEN):
        raise VolumeError(f"has a contour of unknown type {kind!r}; write it anew")
    return kind in CLOSED


def _points(contour: Dataset) -> Points:
    """Return a contour's points in mm, DICOM's axes."""
    values = _coordinates(contour)
    declared = numbers(contour, "NumberOfContourPoints")
    if not len(values) or len(values) % 3 or not np.isfinite(values).all():
        raise VolumeError("has a contour whose points are no finite triples; write it anew")
    if declared and declared[0] != len(values) // 3:
        raise VolumeError(
            f"declares {declared[0]:g} points of a contour and holds {len(values) // 3}; "
            "copy it anew"
        )
    return values.reshape(-1, 3)


def _coordinates(contour: Dataset) -> Points:
    """Return the numbers of ContourData, also of one too long for its type.

    Where a length field has 16 bits, more than 64 KB are of unknown type (PS3.5, 6.2.2): plain
    bytes to a parser.
    """
    value = getattr(contour.get_item("ContourData"), "value", None)
    texts = value.rstrip(b" \0").split(b"\\") if isinstance(value, bytes) else value or []
    try:
        return np.array([float(text) for text in texts])
    except (TypeError, ValueError) as error:
        raise VolumeError("has a contour whose points are no numbers; write it anew") from error


def _stacking_axis(contours: Sequence[Points]) -> int:
    """Return the array axis across which contours lie flattest; the last where there are none."""
    spreads = np.zeros(3)
    for points in contours:
        spreads = np.maximum(spreads, np.ptp(points, axis=0))
    return 2 - int(np.argmin(spreads[::-1]))


def _by_slice(
    contours: Sequence[Points], axis: int, shape: tuple[int, ...], name: str, places: Points
) -> dict[int, list[Points]]:
    """Return the contours on each slice without those that are there twice, (points, 2) each.

    Args:
        contours: (points, 3) each, in voxels.
        axis: along which slices are stacked.
        shape: of the image.
        name: of the region.
        places: where each slice lies along that axis, voxels.

    Raises:
        GeometryError: one lies off the slices, or outside the image.
    """
    slices: dict[int, dict[bytes, Points]] = {}
    for number, points in enumerate(contours, 1):
        index = int(np.rint(points[0, axis]))
        place = places[index] if 0 <= index < len(places) else index
        distance = float(np.abs(points[:, axis] - place).max())
        if not distance <= SAME_GRID_VOXELS:
            raise GeometryError(
                f"contour {number} of {name} lies {distance:.3g} voxels off its volume's slices; "
                "give the image that it was drawn on"
            )
        outside = np.maximum(-0.5 - points, points - (np.array(shape) - 0.5)).max()
        if not outside <= SAME_GRID_VOXELS:
            raise GeometryError(
                f"contour {number} of {name} reaches {outside:.3g} voxels outside its volume; "
                "give the whole image that it was drawn on"
            )
        flat = np.delete(points, axis, axis=1)
        slices.setdefault(index, {})[flat.tobytes()] = flat
    return {index: list(polygons.values()) for index, polygons in slices.items()}
