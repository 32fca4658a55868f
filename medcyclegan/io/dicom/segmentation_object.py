"""DICOM segmentations to a label map on the grid of their image.

Standard: DICOM PS3.3, C.8.20 (segmentation) and C.7.6.16 (multi-frame functional groups). Each
frame is put where its own plane says, whatever the order of frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io.dicom.file import numbers, text
from medcyclegan.io.dicom.frames import first_numbers, frame_fields
from medcyclegan.io.dicom.label_objects import (
    TO_RAS,
    Painting,
    check_frame_of_reference,
    open_whole,
    region_names,
    slice_shifts,
    whole_number,
)
from medcyclegan.io.dicom.pixels import NATIVE_SYNTAXES, read_pixels
from medcyclegan.io.stored import check_voxel_count
from medcyclegan.volume import SAME_GRID_VOXELS, Labels, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

Pixels = npt.NDArray[Any]
Places = npt.NDArray[np.float64]
SMALLEST_SINE = 0.5  # between the columns and rows of a frame


class Window(NamedTuple):
    """The plane of an array that a frame covers, perhaps turned.

    Args:
        start: voxel of the frame's first pixel.
        axes: array axes along which its columns and its rows follow one another.
        signs: +1 or -1 along these axes.
        size: number of columns and of rows.
    """

    start: tuple[int, ...]
    axes: tuple[int, ...]
    signs: tuple[int, ...]
    size: tuple[int, ...]

    def of(self, array: Pixels) -> Pixels:
        """Return the view of an array that the frame covers, (rows, columns)."""
        index: list[int | slice] = list(self.start)
        for axis, sign, count in zip(self.axes, self.signs, self.size, strict=True):
            low = self.start[axis] - (0 if sign > 0 else count - 1)
            index[axis] = slice(low, low + count)
        view = array[tuple(index)]
        if self.axes[0] < self.axes[1]:
            view = view.T
        return view[:: self.signs[1], :: self.signs[0]]


def read(path: Path, like: Volume) -> Labels:
    """Return a segmentation as labels on the grid of its image, values being segment numbers.

    Where segments overlap the one of the higher number is kept, with a warning.

    Raises:
        VolumeError: the file is damaged, or holds probabilities.
        GeometryError: another frame of reference, another grid by more than a hundredth of a
            voxel, or frames that reach outside the image.
    """
    dataset = open_whole(path)
    check_frame_of_reference(text(dataset, "FrameOfReferenceUID"), like)
    texts = _segment_labels(dataset)
    painting = Painting(like, region_names(texts, dataset, like.provenance.headers))
    fields = frame_fields(dataset)
    shape = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    if min(shape) < 1:
        raise VolumeError(f"declares {shape[0]} x {shape[1]} pixels; copy it anew")
    shifts = slice_shifts(like)
    windows = [_window(frame, shape, like, shifts, n) for n, frame in enumerate(fields, 1)]
    pixels = _pixels(dataset, (len(fields), *shape))
    kind = text(dataset, "SegmentationType").upper()
    if kind == "LABELMAP":
        background = {0.0, *numbers(dataset, "PixelPaddingValue")} - set(texts)
        for n, window in enumerate(windows):
            _paint_values(painting, window, pixels(n), background)
    elif kind in ("BINARY", "FRACTIONAL"):
        segments = [_segment(frame, texts, n) for n, frame in enumerate(fields, 1)]
        full = 1 if kind == "BINARY" else whole_number(dataset, "MaximumFractionalValue")
        for n in sorted(range(len(fields)), key=segments.__getitem__):
            painting.paint(windows[n].of(painting.array), _is_set(pixels(n), full), segments[n])
    else:
        raise VolumeError(f"is a segmentation of unknown type {kind!r}; convert it to BINARY")
    return painting.labels()


def _segment_labels(dataset: Dataset) -> dict[int, str]:
    """Return segment number -> label, without the background that a label map may name."""
    labels: dict[int, str] = {}
    for item in dataset.get("SegmentSequence") or []:
        number = whole_number(item, "SegmentNumber")
        if number in labels:
            raise VolumeError(f"has segment {number} twice; write it anew")
        labels[number] = text(item, "SegmentLabel")
    labels.pop(0, None)
    return labels


def _paint_values(
    painting: Painting, window: Window, values: Pixels, background: set[float]
) -> None:
    present = set(np.unique(values).tolist()) - background
    if unknown := present - set(painting.names):
        raise VolumeError(f"shows segment {min(unknown)}, which it does not name; write it anew")
    for value in sorted(present):
        painting.paint(window.of(painting.array), values == value, value)


def _segment(frame: Sequence[Dataset], named: Mapping[int, str], number: int) -> int:
    value = first_numbers(frame, "ReferencedSegmentNumber")
    if len(value) != 1 or value[0] not in named:
        raise VolumeError(f"does not name the segment that its frame {number} shows; write it anew")
    return int(value[0])


def _is_set(values: Pixels, full: int) -> npt.NDArray[np.bool_]:
    """Return where a frame is `full`.

    Raises:
        VolumeError: it also holds values between 0 and `full`.
    """
    is_set: npt.NDArray[np.bool_] = values == full
    if not (is_set | (values == 0)).all():
        raise VolumeError("holds probabilities, no label map; threshold them and write it BINARY")
    return is_set


def _window(
    frame: Sequence[Dataset], shape: tuple[int, int], like: Volume, shifts: Places, number: int
) -> Window:
    """Return the voxels of `like` that a frame covers.

    Raises:
        GeometryError: the frame does not say where it lies, lies on another grid, or outside.
    """
    start, steps = _place(frame, np.linalg.inv(like.affine), number)
    axes = np.abs(steps).argmax(axis=1)
    index = int(np.rint(start[2]))
    if 2 not in axes and 0 <= index < len(shifts):
        start = start - shifts[index]  # drawn on a slice, wherever that lies
    nearest = np.zeros((2, 3))
    nearest[[0, 1], axes] = np.sign(steps[[0, 1], axes])
    far = np.array([shape[1], shape[0]]) - 1  # the last column, the last row
    corners = np.array([(0, 0), (far[0], 0), (0, far[1]), far])
    distance = np.abs(start - np.rint(start) + corners @ (steps - nearest)).max()
    if not distance <= SAME_GRID_VOXELS:
        raise GeometryError(
            f"frame {number} lies {distance:.3g} voxels off its volume's grid; "
            "resample the labels to the volume"
        )
    ends = np.rint(start) + corners @ nearest
    outside = np.maximum(-ends, ends + 1 - like.array.shape).max()
    if outside > 0:
        raise GeometryError(
            f"frame {number} reaches {outside:.0f} voxels outside its volume; "
            "give the whole image that it was drawn on"
        )
    signs = nearest[[0, 1], axes].astype(int)
    return Window(
        tuple(np.rint(start).astype(int).tolist()),
        tuple(axes.tolist()),
        tuple(signs.tolist()),
        (shape[1], shape[0]),
    )


def _place(
    frame: Sequence[Dataset], to_voxels: npt.NDArray[np.floating[Any]], number: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return where a frame's first pixel lies, and its steps of one column and one row, voxels.

    Raises:
        GeometryError: the frame does not say, or its columns and rows make no plane.
    """
    orientation, position, spacing = (
        np.array(first_numbers(frame, name))
        for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing")
    )
    sizes = len(orientation), len(position), len(spacing)
    finite = np.isfinite(np.concatenate([orientation, position, spacing])).all()
    if sizes != (6, 3, 2) or not finite or spacing.min() <= 0:
        raise GeometryError(f"does not say where its frame {number} lies; write it anew")
    directions = orientation.reshape(2, 3) * TO_RAS
    if not np.linalg.norm(np.cross(*directions)) > SMALLEST_SINE:
        raise GeometryError(f"has columns and rows of frame {number} in one direction; redo it")
    start = to_voxels[:3, :3] @ (position * TO_RAS) + to_voxels[:3, 3]
    return start, (directions * spacing[::-1, None]) @ to_voxels[:3, :3].T


def _pixels(dataset: Dataset, shape: tuple[int, int, int]) -> Callable[[int], Pixels]:
    """Return a function that gives the values of a frame, (rows, columns), counted from 0."""
    if text(dataset, "BitsAllocated") != "1":
        check_voxel_count(shape)
        if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
            dataset.PhotometricInterpretation = "MONOCHROME2"  # colours for display alone
        return read_pixels(dataset, shape).__getitem__
    if text(dataset.file_meta, "TransferSyntaxUID") not in NATIVE_SYNTAXES:
        raise VolumeError("holds compressed bits; convert it to uncompressed DICOM")
    data = dataset.get("PixelData") or b""
    expected = math.ceil(math.prod(shape) / 8)
    if not expected <= len(data) <= expected + 1:
        raise VolumeError(
            f"holds {len(data)} bytes of pixels where its header declares {expected}; copy it anew"
        )
    return lambda frame: _bits(data, frame, shape)


def _bits(data: bytes, frame: int, shape: tuple[int, int, int]) -> Pixels:
    """Return one frame of those packed without a gap, the lowest bit first (PS3.5, 8.1.1)."""
    size = shape[1] * shape[2]
    first = frame * size
    packed = np.frombuffer(data, np.uint8)[first // 8 : math.ceil((first + size) / 8)]
    bits = np.unpackbits(packed, bitorder="little")[first % 8 :][:size]
    return bits.reshape(shape[1:])
