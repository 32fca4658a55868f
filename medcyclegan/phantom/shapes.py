"""Smooth shapes on a voxel grid: ellipsoids, tubes and the noise that makes them irregular.

Every shape is a field that is positive inside, about 0 on the surface and falls by 1 over one
radius; it is evaluated only inside the shape's box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Field = npt.NDArray[np.float32]
Region = tuple[slice, slice, slice]
Point = tuple[float, float, float]
Corner = Sequence[float] | npt.NDArray[Any]

EVERYTHING: Region = (slice(None), slice(None), slice(None))
EXTENT_MM = 210.0
LUMP_VARIANCE = 0.55  # of quadratic B-splines on independent values; lumps are scaled to 1
MOTTLE = ((0.8, 32.0), (0.6, 9.0))  # weight and scale, mm, of what is coarse and what is fine


@dataclass(frozen=True)
class Grid:
    """Voxel centres in the patient's own frame, mm.

    Args:
        z: foot to head, (S,).
        y: front to back, (H,).
        x: patient's right to left, (W,).
    """

    z: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    x: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        return len(self.z), len(self.y), len(self.x)

    def box(self, low: Corner, high: Corner) -> Region:
        """Return the part of the grid between two corners, each (x, y, z) in mm."""
        x, y, z = (
            slice(*np.searchsorted(axis, ends).tolist())
            for axis, ends in zip((self.x, self.y, self.z), np.array((low, high)).T, strict=True)
        )
        return z, y, x

    def axes(self, region: Region) -> tuple[Field, Field, Field]:
        """Return x, y and z of a region's voxels, mm, shaped to broadcast to (S, H, W)."""
        z, y, x = region
        return self.x[x][None, None, :], self.y[y][None, :, None], self.z[z][:, None, None]


class Lumps:
    """Smooth noise of unit variance that is the same wherever and however finely it is sampled.

    Args:
        rng: where the values come from.
        scale_mm: distance between independent values.
        extent_mm: half the size of the cube about the origin that is covered.
    """

    def __init__(
        self, rng: np.random.Generator, scale_mm: float, extent_mm: float = EXTENT_MM
    ) -> None:
        self.scale_mm = scale_mm
        self.extent_mm = extent_mm
        count = int(2 * extent_mm / scale_mm) + 4
        self.knots = rng.standard_normal((count, count, count), dtype=np.float32)

    def __call__(self, grid: Grid, region: Region) -> Field:
        """Return the noise in a region, (S, H, W)."""
        z, y, x = region
        field = self.knots
        for axis, centres in ((0, grid.z[z]), (1, grid.y[y]), (2, grid.x[x])):
            field = np.moveaxis(np.tensordot(self._weights(centres), field, (1, axis)), 0, axis)
        return field

    def _weights(self, centres: npt.NDArray[np.float32]) -> Field:
        """Quadratic B-spline weights, (n, knots), scaled to keep the variance near 1."""
        at = (centres + self.extent_mm) / self.scale_mm + 1.5
        distance = np.abs(at[:, None] - np.arange(len(self.knots))[None, :])
        inner = 0.75 - distance**2
        outer = 0.5 * np.maximum(1.5 - distance, 0.0) ** 2
        weights = np.where(distance < 0.5, inner, outer)
        return (weights / np.sqrt(LUMP_VARIANCE)).astype(np.float32)


class Mottle:
    """The unevenness of tissue: noise of about unit variance, part of it coarse and part fine.

    Args:
        rng: where the values come from.
        extent_mm: half the size of the cube about the origin that is covered.
    """

    def __init__(self, rng: np.random.Generator, extent_mm: float = EXTENT_MM) -> None:
        self.coarse, self.fine = (Lumps(rng, scale, extent_mm) for _, scale in MOTTLE)

    def __call__(self, grid: Grid, region: Region) -> Field:
        """Return the noise in a region, (S, H, W)."""
        (coarse, _), (fine, _) = MOTTLE
        return coarse * self.coarse(grid, region) + fine * self.fine(grid, region)


def ellipsoid(
    grid: Grid,
    centre: Point,
    radii: Point,
    *,
    turn_deg: float = 0.0,
    tilt_deg: float = 0.0,
    lumps: Lumps | None = None,
    lumpiness: float = 0.0,
) -> tuple[Region, Field]:
    """Return the region and field of an ellipsoid.

    Args:
        grid: where.
        centre: (x, y, z), mm.
        radii: along its own x, y and z, mm.
        turn_deg: rotation in the axial plane.
        tilt_deg: lean of its z axis in the coronal plane: positive leans left toward the head.
        lumps: noise that makes the surface irregular.
        lumpiness: by how much, a share of the radius.
    """
    lean = np.tan(np.radians(tilt_deg))
    width, height = max(radii[:2]), radii[2]
    margins = np.array((width + abs(lean) * height, width, height)) * (1 + 3 * lumpiness)
    region = grid.box(np.subtract(centre, margins), np.add(centre, margins))
    x, y, z = grid.axes(region)
    y, z = y - centre[1], z - centre[2]
    x = x - centre[0] - lean * z
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    along, across = (cos * x + sin * y) / radii[0], (cos * y - sin * x) / radii[1]
    field = 1.0 - np.sqrt(along**2 + across**2 + (z / radii[2]) ** 2)
    if lumps is not None:
        field = field + lumpiness * lumps(grid, region)
    return region, field.astype(np.float32)


def column(
    grid: Grid,
    centre: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    *,
    power: float = 2.0,
) -> tuple[Region, Field]:
    """Return the region and field of a tube that runs foot to head.

    Args:
        grid: where.
        centre: x and y of its middle in every slice, (S, 2), mm.
        radii: along x and y in every slice, (S, 2), mm; 0 where there is none.
        power: 2 for an ellipse, more for a rounded box.
    """
    there = radii.min(axis=1) > 0
    if not there.any():
        return (slice(0, 0), slice(0, 0), slice(0, 0)), np.zeros((0, 0, 0), np.float32)
    low, high = (centre - radii)[there].min(axis=0), (centre + radii)[there].max(axis=0)
    _, y_range, x_range = grid.box((*low, 0.0), (*high, 0.0))
    region = (slice(None), y_range, x_range)
    x, y, _ = grid.axes(region)
    radii = np.where(there[:, None], radii, 1e-3)
    level = np.abs((x - centre[:, 0, None, None]) / radii[:, 0, None, None]) ** power
    level = level + np.abs((y - centre[:, 1, None, None]) / radii[:, 1, None, None]) ** power
    field = 1.0 - level ** (1.0 / power)
    return region, np.where(there[:, None, None], field, -1.0).astype(np.float32)


def tube(
    grid: Grid, points: npt.NDArray[np.float64], radii: npt.NDArray[np.float64]
) -> tuple[Region, Field]:
    """Return the region and field of a tube along points no further apart than its radius.

    Args:
        grid: where.
        points: (N, 3), each (x, y, z), mm.
        radii: at each point, (N,), mm.
    """
    region = grid.box((points - radii[:, None]).min(axis=0), (points + radii[:, None]).max(axis=0))
    starts = [part.start for part in region]
    field = np.full([part.stop - part.start for part in region], -1.0, np.float32)
    for point, radius in zip(points, radii, strict=True):
        ball = grid.box(point - radius, point + radius)
        x, y, z = grid.axes(ball)
        squared = (x - point[0]) ** 2 + (y - point[1]) ** 2 + (z - point[2]) ** 2
        inner = tuple(
            slice(part.start - start, part.stop - start)
            for part, start in zip(ball, starts, strict=True)
        )
        np.maximum(field[inner], 1.0 - np.sqrt(squared) / radius, out=field[inner])
    return region, field


def spline(points: Sequence[npt.ArrayLike], step_mm: float) -> npt.NDArray[np.float64]:
    """Return points `step_mm` apart on a smooth curve through the given ones, (N, 3)."""
    given = np.asarray(points, np.float64)
    lengths = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(given, axis=0), axis=1))]
    count = max(2, int(np.ceil(lengths[-1] / step_mm)) + 1)
    return np.asarray(CubicSpline(lengths, given)(np.linspace(0.0, lengths[-1], count)))
