"""DICOM CT through pydicom: the files of one series to voxels on an even grid.

Standard: DICOM PS3.3, A.3 (CT image), A.38 (enhanced CT) and A.70 (legacy converted enhanced CT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.hounsfield import PADDING_HU, check_hu
from medcyclegan.io.dicom.carried import Seen, carried
from medcyclegan.io.dicom.file import open_dataset, text
from medcyclegan.io.dicom.frames import first_text, frame_fields
from medcyclegan.io.dicom.header import describe, header_of, not_ct
from medcyclegan.io.dicom.pixels import check_pixels, read_pixels
from medcyclegan.io.dicom.rescaling import frame_hu, slope_and_intercept
from medcyclegan.io.dicom.series import Slice, check_stack, in_order, stack_affine
from medcyclegan.io.dicom.tilt import described, straighten
from medcyclegan.io.stored import ReadOptions, Stored, check_voxel_count, naming

if TYPE_CHECKING:
    from pydicom import Dataset

Key = tuple[Path, int]  # a file and the number of its frame

COARSE_HU = 5.0  # 8 bits over the range of CT make 16 and more
CONTRAST_TAGS = (
    "ContrastBolusAgent",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "ContrastBolusStartTime",
    "ContrastBolusIngredient",
    "ContrastFlowRate",
    "SeriesDescription",
    "ProtocolName",
    "StudyDescription",
    "BodyPartExamined",
    "ConvolutionKernel",
)


def read(files: Sequence[Path], options: ReadOptions = ReadOptions()) -> Stored:
    """Return the volume that the files of one series make, in any order.

    Padding outside the field of view keeps its HU where that is below -900, and becomes air
    (-1024 HU) where it would look like tissue. MONOCHROME1 is about display and changes nothing.

    Args:
        files: each of one slice, or of several frames.
        options: what is done with gantry tilt.

    Raises:
        VolumeError: a file is damaged, truncated or no CT image.
        GeometryError: the slices make no even stack.
        IntensityError: values that are no HU.
    """
    planes: dict[Key, npt.NDArray[Any]] = {}
    headers: dict[Key, Dataset] = {}
    seen: Seen = {}
    slices: list[Slice] = []
    scales: dict[Key, tuple[float, float]] = {}
    patient, study, tags = "", "", dict[str, str]()
    for path in files:
        with naming(path):
            dataset = open_dataset(path)
            pieces = _checked(path, dataset)
            raw = read_pixels(dataset, (len(pieces), *pieces[0].shape))
            fields = frame_fields(dataset)
            for index, piece in enumerate(pieces):
                planes[path, piece.frame] = frame_hu(raw[index], fields[index])
                headers[path, piece.frame] = carried(dataset, piece.frame, seen)
                scales[path, piece.frame] = slope_and_intercept(fields[index])
            if not slices:
                study = text(dataset, "StudyInstanceUID")
                tags = _tags(fields[0])
            patient = patient or text(dataset, "PatientID")
            slices += pieces
            check_voxel_count((*slices[0].shape, len(slices)))
    slices = in_order(slices)
    check_stack(slices, tilt_allowed=options.resample_tilt)
    keys = [(piece.path, piece.frame) for piece in slices]
    carried_on = tuple(headers[key] for key in keys)
    _check_one_room(carried_on)
    _check_each_plane(planes, scales)
    warnings = _warnings(slices, carried_on, scales)
    array, affine, degrees = straighten(_stack([planes[key] for key in keys]), stack_affine(slices))
    if degrees:
        warnings = (*warnings, described(degrees))
    return Stored(
        array, affine, patient=patient or study, tags=tags, warnings=warnings, headers=carried_on
    )


def _checked(path: Path, dataset: Dataset) -> tuple[Slice, ...]:
    check_pixels(dataset)
    header = header_of(dataset)
    reason = not_ct(header)
    if reason:
        raise VolumeError(f"is {reason}; leave it out")
    return describe(path, header)


def _check_one_room(headers: Sequence[Dataset]) -> None:
    """Check that slices are placed in one frame of reference: others do not compare (C.7.4.1)."""
    rooms = {text(header, "FrameOfReferenceUID") for header in headers} - {""}
    if len(rooms) > 1:
        raise GeometryError(
            f"places its slices in {len(rooms)} frames of reference (FrameOfReferenceUID), which "
            "do not compare; sort them into one series for each"
        )


def _check_each_plane(
    planes: Mapping[Key, npt.NDArray[Any]], scales: Mapping[Key, tuple[float, float]]
) -> None:
    """Check by itself whether each slice is HU where slopes or intercepts differ among them.

    One that is rescaled wrongly would hide among those that are right; one of padding is neither.
    """
    if len(set(scales.values())) > 1:
        for (path, _), hu in planes.items():
            with naming(path):
                if hu.max() > PADDING_HU:
                    check_hu(hu)


def _tags(fields: Sequence[Dataset]) -> dict[str, str]:
    found = {name: first_text(fields, name)[:200] for name in CONTRAST_TAGS}
    return {name: value for name, value in found.items() if value}


def _stack(planes: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    floating = any(plane.dtype.kind == "f" for plane in planes)
    dtype = np.dtype(np.float32) if floating else np.result_type(*planes)
    volume = np.empty((len(planes), *planes[0].shape), dtype)
    for index, plane in enumerate(planes):
        volume[index] = plane
    return volume.transpose(2, 1, 0)  # (K, rows = J, columns = I) -> (I, J, K)


def _warnings(
    slices: Sequence[Slice], headers: Sequence[Dataset], scales: Mapping[Key, tuple[float, float]]
) -> tuple[str, ...]:
    found = []
    if len(slices) == 1 and not slices[0].distance_mm:
        found.append("no slice thickness: 1 mm assumed")
    if any(text(header, "LossyImageCompression") == "01" for header in headers):
        found.append("was compressed with loss: its HU are not exact")
    coarsest = max(abs(slope) for slope, _ in scales.values())
    if coarsest > COARSE_HU:
        found.append(f"its values are {coarsest:.3g} HU apart: too coarse for soft tissue")
    return tuple(found)
