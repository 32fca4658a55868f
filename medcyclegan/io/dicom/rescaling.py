"""Stored pixels of a DICOM CT to HU: rescaling, units and padding.

Standard: DICOM PS3.3, C.11.1 (modality LUT), C.7.5.1.1.2 (pixel padding), C.7.6.16.2.9 (pixel value
transformation) and C.8.15.3.1 (image and frame type).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import IntensityError
from medcyclegan.io.dicom.frames import first_numbers, first_text
from medcyclegan.io.stored import as_hu, rescale

if TYPE_CHECKING:
    from pydicom import Dataset

Pixels = npt.NDArray[Any]

AIR_HU = -1024
LOW_PADDING_HU = -900  # padding below this is as good as air and kept as stored
NOT_HU_TYPES = ("OD", "HU_MOD", "MGML", "Z_EFF", "ED", "EDW", "PCT")  # of RescaleType, C.11.1.1.2
NOT_HU_IMAGES = (  # what is left of the HU where an image was made of others
    *("RCBF", "RCBV", "CBF", "CBV", "MTT", "TTP", "TMAX", "PERMEABILITY"),
    *("SUBTRACTION", "DIVISION", "MULTIPLICATION", "ADDITION", "STD_DEVIATION", "VELOCITY"),
)
UNITS = "MeasurementUnitsCodeSequence"
HU_UNITS = ("[hnsf'U]", "HU", "")  # UCUM


def frame_hu(raw: Pixels, fields: Sequence[Dataset]) -> Pixels:
    """Return a frame in HU.

    Padding outside the field of view keeps its HU where that is below -900, and becomes air
    (-1024 HU) where it would look like tissue.

    Args:
        raw: (rows, columns), as stored.
        fields: data sets to look the frame's fields up in, nearest first.

    Raises:
        IntensityError: a slope that gives no HU, other units than HU, or padding that takes in
            tissue.
    """
    _check_units(fields)
    hu = as_hu(rescale(raw, *slope_and_intercept(fields)))
    ends = padding_ends(fields, raw.dtype)
    if not ends:
        return hu
    like_padding = (raw >= min(ends)) & (raw <= max(ends)) & (hu > LOW_PADDING_HU)
    if not like_padding.any():
        return hu
    outside = _touching_edge(like_padding)
    if np.unique(hu[outside]).size > 1:
        raise IntensityError(
            f"calls the pixels from {min(ends):g} to {max(ends):g} padding, and tissue is among "
            "them; correct PixelPaddingValue and PixelPaddingRangeLimit"
        )
    return np.where(outside, np.array(AIR_HU, hu.dtype), hu)


def padding_ends(fields: Sequence[Dataset], dtype: np.dtype[Any]) -> list[float]:
    """Return PixelPaddingValue and its range limit as numbers of the pixels' type.

    Either may be written as signed where pixels are not, and the other way round: 63536 stands for
    -2000. Empty where there is no padding.
    """
    value = first_numbers(fields, "PixelPaddingValue")
    if not value:
        return []
    ends = [*value, *first_numbers(fields, "PixelPaddingRangeLimit")]
    limits, count = np.iinfo(dtype), 2 ** (8 * dtype.itemsize)
    return [
        end - count if end > limits.max else end + count if end < limits.min else end
        for end in ends
    ]


def _check_units(fields: Sequence[Dataset]) -> None:
    type_ = first_text(fields, "RescaleType").upper()
    if any("ModalityLUTSequence" in dataset for dataset in fields):
        type_ = "values of a look-up table"
    elif type_ not in NOT_HU_TYPES:
        kinds = first_text(fields, "FrameType") or first_text(fields, "ImageType")
        maps = [kind for kind in kinds.upper().split("\\") if kind in NOT_HU_IMAGES]
        type_ = maps[0] if maps else ""
    units = _real_world_units(fields)
    if type_ or units not in HU_UNITS:
        raise IntensityError(f"holds {type_ or units}, not HU; leave it out")


def _real_world_units(fields: Sequence[Dataset]) -> str:
    mapped = [item for one in fields for item in one.get("RealWorldValueMappingSequence") or []]
    codes = [code for one in (*fields, *mapped) for code in one.get(UNITS) or []]
    return first_text(codes, "CodeValue")


def slope_and_intercept(fields: Sequence[Dataset]) -> tuple[float, float]:
    """Return what makes HU of a frame's stored pixels; 1 and 0 where the file does not say.

    Args:
        fields: data sets to look the frame's fields up in, nearest first.

    Raises:
        IntensityError: a slope of 0, or numbers that are not finite.
    """
    slope = (first_numbers(fields, "RescaleSlope") or (1.0,))[0]
    intercept = (first_numbers(fields, "RescaleIntercept") or (0.0,))[0]
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise IntensityError(
            f"has RescaleSlope {slope:g} and RescaleIntercept {intercept:g}: no HU come of that; "
            "correct them"
        )
    return slope, intercept


def _touching_edge(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    regions, _ = ndimage.label(mask)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    return np.isin(regions, np.unique(edge[edge > 0]))
