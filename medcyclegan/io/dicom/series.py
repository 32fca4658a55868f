"""Slices in space: whether they make an even stack, in which order, and on which grid.

Positions and directions are LPS+ in mm as in DICOM PS3.3, C.7.6.2.1.1; affines are RAS+.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError
from medcyclegan.io.axes import LPS
from medcyclegan.volume import Affine

Vector = npt.NDArray[np.float64]

SAME_PLACE_MM = 0.05
TILT_DEGREES = 0.5
EVEN_MM = 0.1  # along each axis: some scanners round positions to 0.1 mm
EVEN_SHARE = 0.02  # of the distance between slices
MOST_SHARE = 0.15  # of it, however thin slices are: those missing put others off by a fifth
MISSING_SHARE = 0.1  # of the distance: how near to a whole number of steps a gap must be
SAME_DIRECTION = 0.001  # between direction cosines of one stack: a third of a mm at its edge
SAME_SPACING = 2e-4  # of a pixel's size: a tenth of a pixel at the edge


@dataclass(frozen=True)
class Slice:
    """One image in space.

    Args:
        path: its file.
        shape: rows, columns.
        row: unit vector along a row (with growing column index), LPS.
        column: unit vector along a column (with growing row index), LPS.
        position: centre of the first pixel, LPS, mm.
        spacing_mm: between rows, between columns.
        distance_mm: to the next slice as the file says, mm; 0 where it does not.
        frame: its number in a multi-frame file, from 1; 0 for a file of one image.
    """

    path: Path
    shape: tuple[int, int]
    row: Vector
    column: Vector
    position: Vector
    spacing_mm: tuple[float, float]
    distance_mm: float
    frame: int = 0

    @property
    def name(self) -> str:
        """What to call it in messages: its file, and its frame where there are several."""
        return f"{self.path.name} frame {self.frame}" if self.frame else self.path.name

    @property
    def normal(self) -> Vector:
        """Unit vector across the slice, LPS."""
        return np.cross(self.row, self.column)


def make_slice(
    path: Path,
    shape: tuple[int, int],
    *,
    orientation: Sequence[float],
    position: Sequence[float],
    spacing: Sequence[float],
    distance_mm: float,
    frame: int = 0,
) -> Slice:
    """Return a slice from the numbers of its header.

    Args:
        path: its file.
        shape: rows, columns.
        orientation: ImageOrientationPatient, six cosines.
        position: ImagePositionPatient, mm.
        spacing: PixelSpacing, mm: between rows, between columns.
        distance_mm: SpacingBetweenSlices or SliceThickness; 0 where missing.
        frame: its number in a multi-frame file, from 1; 0 for a file of one image.

    Raises:
        GeometryError: numbers are missing, not finite or impossible.
    """
    for name, values, count in (
        ("ImageOrientationPatient", orientation, 6),
        ("ImagePositionPatient", position, 3),
        ("PixelSpacing", spacing, 2),
    ):
        if len(values) != count or not np.isfinite(values).all():
            raise GeometryError(f"has no valid {name}: nobody knows where it lies; leave it out")
    if min(spacing) <= 0:
        raise GeometryError(f"has pixel spacing {spacing[0]:g} x {spacing[1]:g} mm; correct it")
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(row @ column) > 0.01:
        raise GeometryError(
            f"has direction cosines that are not at right angles or not of length 1 "
            f"({', '.join(f'{value:g}' for value in orientation)}); correct them"
        )
    return Slice(
        path,
        shape,
        row / lengths[0],
        column / lengths[1],
        np.array(position, float),
        (float(spacing[0]), float(spacing[1])),
        distance_mm,
        frame,
    )


def same_direction(one: Slice, other: Slice) -> bool:
    """Return whether two slices are parallel, rows and columns running the same way."""
    difference = np.abs(np.r_[one.row - other.row, one.column - other.column]).max()
    return bool(difference <= SAME_DIRECTION)


def in_order(slices: Sequence[Slice]) -> list[Slice]:
    """Return slices along their normal, first the one farthest against it; ties by name."""
    normal = slices[0].normal
    return sorted(
        slices, key=lambda piece: (float(piece.position @ normal), piece.path.name, piece.frame)
    )


def same_places(slices: Sequence[Slice]) -> list[tuple[Slice, Slice]]:
    """Return neighbours in an ordered stack that lie less than 0.05 mm apart."""
    return [pair for twins in by_place(slices) for pair in itertools.pairwise(twins)]


def by_place(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Return an ordered stack as groups of slices that lie less than 0.05 mm apart."""
    groups = [[slices[0]]]
    normal = slices[0].normal
    heights = [float(piece.position @ normal) for piece in slices]
    for piece, (below, height) in zip(slices[1:], itertools.pairwise(heights), strict=True):
        if height - below < SAME_PLACE_MM:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def check_stack(slices: Sequence[Slice], *, tilt_allowed: bool = False) -> None:
    """Check that ordered slices make an even, straight stack.

    Each coordinate of a slice may lie 0.1 mm or a fiftieth of the slice distance off the even grid,
    whichever is more, and the slice no more than 0.15 of that distance; the stack may lean by 0.5
    degrees.

    Args:
        slices: as `in_order` returns them.
        tilt_allowed: the stack may lean more, as long as it is even.

    Raises:
        GeometryError: other pixel spacings, two slices at one place, gantry tilt, missing slices,
            uneven gaps, or slices shifted sideways; the message names files and numbers.
    """
    _check_spacings(slices)
    if len(slices) == 1:
        return
    twins = same_places(slices)
    if twins:
        one, other = twins[0]
        number = next(place for place, piece in enumerate(slices, 1) if piece is one)
        more = f" (and {len(twins) - 1} more such pairs)" if len(twins) > 1 else ""
        raise GeometryError(
            f"has two slices at the same place, {one.name} (slice {number}) and {other.name}{more}"
            ": several phases or copies in one series; give each phase its own folder"
        )
    uneven = _unevenness(slices)
    positions = np.array([piece.position for piece in slices])
    steps = np.diff(positions, axis=0)
    step = np.median(steps, axis=0) if uneven else steps.mean(axis=0)  # rounding evens out
    tilt = lean_degrees(step, slices[0].normal)
    if tilt > TILT_DEGREES and uneven:
        raise GeometryError(f"has a gantry tilt of {tilt:.1f} degrees, and {uneven}")
    if tilt > TILT_DEGREES and not tilt_allowed:
        raise GeometryError(
            f"has a gantry tilt of {tilt:.1f} degrees: its slices are shifted against each other; "
            "use --resample-tilt (in a config: reading.resample_tilt), or leave it out"
        )
    if uneven:
        raise GeometryError(f"has {uneven}")


def lean_degrees(step: Vector, normal: Vector) -> float:
    """Return the angle between the way from slice to slice and the slices' normal, degrees."""
    along = float(step @ normal)
    return float(np.degrees(np.arctan2(np.linalg.norm(step - along * normal), along)))


def _check_spacings(slices: Sequence[Slice]) -> None:
    first = slices[0]
    for piece in slices:
        if not np.allclose(piece.spacing_mm, first.spacing_mm, rtol=SAME_SPACING, atol=0):
            raise GeometryError(
                f"mixes pixel spacings: {_sizes(first)} mm in {first.name}, "
                f"{_sizes(piece)} mm in {piece.name}; separate them"
            )


def _sizes(piece: Slice) -> str:
    return " x ".join(f"{size:g}" for size in piece.spacing_mm)


def _unevenness(slices: Sequence[Slice]) -> str:
    """Return what keeps ordered slices from an even, straight line; empty if nothing does."""
    positions = np.array([piece.position for piece in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    even = positions[0] + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm(positions - even, axis=1)
    step_mm = float(np.linalg.norm(step))
    rounded = np.abs(positions - even).max() <= max(EVEN_MM, EVEN_SHARE * step_mm)
    if rounded and off.max() <= MOST_SHARE * step_mm:
        return ""
    gap = _uneven_gap(slices, np.diff(positions @ slices[0].normal))
    if gap:
        return f"uneven slices: {gap}; complete the series or resample it"
    worst = int(np.argmax(off))
    return (
        f"slices that drift: {slices[worst].name} (slice {worst + 1}) lies "
        f"{off[worst]:.3g} mm off the straight, even stack; resample it"
    )


def _uneven_gap(slices: Sequence[Slice], gaps: npt.NDArray[np.float64]) -> str:
    """Return what is wrong with the distances between slices, mm; empty if they are alike."""
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    allowed = max(min(EVEN_MM, MOST_SHARE * usual), EVEN_SHARE * usual)
    odd = np.flatnonzero(np.abs(gaps - usual) > allowed)
    if not len(odd):
        return ""
    steps = gaps[odd] / usual
    whole = (np.rint(steps) > 1) & (np.abs(steps - np.rint(steps)) < MISSING_SHARE)
    missing = int((np.rint(steps) - 1).sum()) if whole.all() else 0
    worst = int(odd[np.argmax(np.abs(gaps[odd] - usual))])
    more = f" (and {len(odd) - 1} more such gaps)" if len(odd) > 1 else ""
    return (
        f"{gaps[worst]:.3g} mm between {slices[worst].name} (slice {worst + 1}) and "
        f"{slices[worst + 1].name}{more}, elsewhere {usual:.3g} mm: "
        + (f"{missing} missing" if missing else "uneven gaps")
    )


def stack_affine(slices: Sequence[Slice]) -> Affine:
    """Return the affine of ordered, even slices: columns are I, rows J, slices K.

    Returns:
        4x4, voxel index -> RAS+ mm. A slice alone is as thick as its file says, 1 mm if it does
        not.
    """
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = first.row * first.spacing_mm[1]
    affine[:3, 1] = first.column * first.spacing_mm[0]
    if len(slices) > 1:
        affine[:3, 2] = (last.position - first.position) / (len(slices) - 1)
    else:
        affine[:3, 2] = first.normal * (first.distance_mm or 1.0)
    affine[:3, 3] = first.position
    return LPS @ affine
