"""Volume: voxels in HU, where they lie in the patient, and where they came from.

World coordinates are RAS+ in mm (nibabel's meaning): x grows toward the patient's right, y toward
the front, z toward the head.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError

Affine = npt.NDArray[np.float64]
FINEST_MM = 0.01  # no CT of a patient resolves a cell; lengths in metres come out below it
LARGEST_MM = 10_000.0  # a patient and the table are 2 m long
FARTHEST_MM = 1e6  # no scanner's room is a kilometre wide
SAME_GRID_VOXELS = 0.01  # grids that put every voxel this near to one another are the same


@dataclass(frozen=True)
class Provenance:
    """Where a volume came from.

    Args:
        path: file or series folder as the user named it; None for one made in memory.
        format: "nifti", "dicom", "mha", "nrrd", "phantom" or "memory".
        patient: a key to split by patient: hash of the PatientID, else of the file's own path.
        patient_known: whether that key was made of what the file says, not of where it lies.
        tags: header fields that speak of contrast, as text.
        qform_code: NIfTI qform code; 1 for other formats.
        sform_code: NIfTI sform code; 1 for other formats.
        warnings: what was odd and could be read right all the same, one line each.
        headers: pydicom data sets without pixels, one for each slice along K, from which a derived
            DICOM series is written; empty for other formats. Where gantry tilt was resampled,
            a slice lies elsewhere in the plane that its header names.
    """

    path: Path | None = None
    format: str = "memory"
    patient: str = ""
    patient_known: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    qform_code: int = 1
    sform_code: int = 1
    warnings: tuple[str, ...] = ()
    headers: tuple[Any, ...] = field(default=(), repr=False)  # they name the patient


@dataclass(frozen=True)
class Volume:
    """A CT volume.

    Args:
        array: HU, (I, J, K) in file order; an integer type where the file holds whole HU,
            float32 otherwise.
        affine: 4x4, voxel index -> RAS+ mm.
        provenance: where it came from.

    Raises:
        GeometryError: not three axes, or an affine that maps no volume.
    """

    array: npt.NDArray[Any]
    affine: Affine
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        check_grid(self.array.shape, self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along I, J and K, mm."""
        return spacing_mm(self.affine)

    @property
    def orientation(self) -> str:
        """Where I, J and K point, nearest letters of R/L, A/P, S/I: for example "LPS"."""
        return orientation(self.affine)


@dataclass(frozen=True)
class Labels:
    """A label map on an image's grid.

    Args:
        array: whole numbers, (I, J, K), values and type as stored.
        affine: 4x4, voxel index -> RAS+ mm.
        names: what values are called; empty where the file does not say.
        warnings: what was odd and could be read right all the same, one line each.
    """

    array: npt.NDArray[Any]
    affine: Affine
    names: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def spacing_mm(affine: Affine) -> tuple[float, float, float]:
    """Return the lengths of the affine's three columns, mm.

    >>> spacing_mm(np.diag([0.8, 0.8, 5.0, 1.0]))
    (0.8, 0.8, 5.0)
    """
    i, j, k = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    return i, j, k


def closest_axes(affine: Affine) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return which world axis each array axis lies nearest to, and in which sense.

    Returns:
        (axes, signs): array axis n runs along world axis axes[n] (0 = right, 1 = front, 2 = head)
        if signs[n] is +1, against it if -1. Each world axis is used once.

    >>> closest_axes(np.diag([-1.0, -1.0, 2.0, 1.0]))
    ((0, 1, 2), (-1, -1, 1))
    """
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axes = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(cosines[order[n], n]) for n in range(3)),
    )
    signs = tuple(1 if cosines[axes[n], n] >= 0 else -1 for n in range(3))
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])


def orientation(affine: Affine) -> str:
    """Return three letters that say where the array axes point.

    >>> orientation(np.diag([-1.0, -1.0, 2.0, 1.0]))
    'LPS'
    """
    axes, signs = closest_axes(affine)
    return "".join(
        ("RAS" if sign > 0 else "LPI")[axis] for axis, sign in zip(axes, signs, strict=True)
    )


def check_grid(shape: tuple[int, ...], affine: Affine) -> None:
    """Check that shape and affine describe a volume of right-angled voxels.

    Raises:
        GeometryError: not three axes, an empty axis, an affine that is not 4x4, not finite, flat
            or a kilometre away, more than 10 m long or far too small, or axes that are not at
            right angles (shear of more than 0.5 degrees).
    """
    if len(shape) != 3 or min(shape) < 1:
        raise GeometryError(f"has shape {shape}: a volume has three axes, none empty")
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise GeometryError("has no finite 4x4 affine")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if min(lengths) < 1e-3:
        raise GeometryError("has a voxel size of zero")
    if np.abs(affine).max() > FARTHEST_MM:
        raise GeometryError(
            f"lies {np.abs(affine).max():.3g} mm away or has voxels so large; set it"
        )
    if sorted(lengths)[1] < FINEST_MM:
        raise GeometryError(
            f"has voxels of {' x '.join(f'{length:.3g}' for length in lengths)} mm, as of lengths "
            "in metres; set their size in mm"
        )
    if max(extent := np.array(shape) * lengths) > LARGEST_MM:
        raise GeometryError(
            f"is {extent.max() / 1000:.3g} m long, of voxels of "
            f"{' x '.join(f'{length:g}' for length in lengths)} mm; set their size in mm"
        )
    cosines = affine[:3, :3] / lengths
    shear = float(np.abs(cosines.T @ cosines - np.eye(3)).max())
    if shear > np.sin(np.radians(0.5)):
        raise GeometryError(
            f"is sheared by {np.degrees(np.arcsin(min(1.0, shear))):.1f} degrees; "
            "resample it to a right-angled grid"
        )


def grid_distance_voxels(affine: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Return how far apart two grids put the same voxel, at worst over the corners, in voxels.

    >>> grid_distance_voxels(np.eye(4), np.eye(4), (4, 4, 4))
    0.0
    """
    corners = np.array(list(itertools.product(*[(0, n - 1) for n in shape])), dtype=np.float64)
    corners = np.c_[corners, np.ones(len(corners))].T
    return float(np.abs(np.linalg.inv(affine) @ other @ corners - corners).max())
