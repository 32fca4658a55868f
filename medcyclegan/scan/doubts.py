"""What is odd about a volume that can be used all the same, one line each."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.hounsfield import AIR_HU, PADDING_HU
from medcyclegan.io.dicom.identifiers import direct_identifiers
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Volume

METAL_HU, METAL_SHARE = 3000.0, 0.0005
CLIPPED_SHARE = 0.01  # of the voxels, at one end of the range
BONE_HU = 1000.0  # a range that ends below was cut off, where many voxels are at its end
FAR_SLICES_MM, COARSE_PIXELS_MM = 10.0, 3.0
MOST_FIELDS = 4
SYNTHETIC = "synthetic, by its own header"


def doubts(volume: Volume) -> tuple[str, ...]:
    """Return what was odd to the reader, in the voxels, in the grid and in the header.

    Names of header fields are said, never their values.

    Args:
        volume: CT in HU, as it was read.
    """
    return (
        *volume.provenance.warnings,
        *_of_voxels(volume.array),
        *_of_grid(volume),
        *_of_headers(volume.provenance.headers),
    )


def _of_voxels(array: npt.NDArray[Any]) -> list[str]:
    low, high = float(array.min()), float(array.max())
    found = []
    padding = float((array < PADDING_HU).mean())
    if padding:
        found.append(f"padding: {padding:.1%} of the voxels below {PADDING_HU:g} HU")
    metal = float((array > METAL_HU).mean())
    if metal > METAL_SHARE:
        found.append(f"metal: {metal:.2%} of the voxels above {METAL_HU:g} HU")
    if low > AIR_HU:
        cut = float((array == low).mean()) > CLIPPED_SHARE
        found.append(f"{'cut off' if cut else 'nothing'} below {low:g} HU: no air is left")
    if high < BONE_HU and float((array == high).mean()) > CLIPPED_SHARE and high > AIR_HU:
        found.append(f"cut off above {high:g} HU")
    return found


def _of_grid(volume: Volume) -> list[str]:
    frame = slice_frame(volume.array.shape, volume.affine)
    distance, *pixels = frame.spacing_mm
    found = []
    if distance > FAR_SLICES_MM and volume.array.shape[frame.axes[0]] > 1:
        found.append(f"slices {distance:g} mm apart")
    if round(max(pixels), 4) > COARSE_PIXELS_MM:  # an oblique affine is not exact
        found.append(f"pixels of {max(pixels):g} mm")
    return found


def _of_headers(headers: tuple[Any, ...]) -> list[str]:
    if not headers:
        return []
    found = []
    named = direct_identifiers(headers)
    if named:
        more = f" and {len(named) - MOST_FIELDS} more" if len(named) > MOST_FIELDS else ""
        found.append(f"identifies the patient: {', '.join(named[:MOST_FIELDS])}{more}")
    kinds = {str(kind).upper() for kind in np.atleast_1d(headers[0].get("ImageType") or [])}
    if "SECONDARY" in kinds or "REFORMATTED" in kinds:
        found.append("derived from another series, not reconstructed by a scanner")
    if str(headers[0].get("SyntheticData") or "").upper() == "YES":
        found.append(SYNTHETIC)
    return found
