"""Star-shaped bodies: those that are seen whole from their middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from medcyclegan.phantom.shapes import Field, Grid, Point, Region

MOST_SWELLING = 0.4  # of a radius, either way
DEGREES = np.array([1, 2, 2, 3, 3, 4])


@dataclass(frozen=True)
class Star:
    """A star-shaped body.

    In direction n its surface lies at `radii * (1 + 0.4 tanh(h(n) / 0.4))`, where h is a random
    sum of spherical harmonics of degrees 1 to 4.

    Args:
        centre: (x, y, z) in the patient's frame, mm.
        radii: along x, y and z before it is turned, mm.
        turn: in the axial plane, radians.
        poles: of the spherical harmonics, (6, 3), unit vectors.
        heights: of the spherical harmonics, (6,), shares of a radius.
    """

    centre: Point
    radii: Point
    turn: float
    poles: npt.NDArray[np.float64]
    heights: npt.NDArray[np.float64]

    @property
    def reach(self) -> tuple[float, float]:
        """How far it may extend from its centre in the slice and along the body, mm."""
        return (1 + MOST_SWELLING) * max(self.radii[:2]), (1 + MOST_SWELLING) * self.radii[2]

    def field(self, grid: Grid) -> tuple[Region, Field]:
        """Return its region and its field: 0 on the surface, 1 in the middle."""
        across, along = self.reach
        margins = np.array((across, across, along))
        region = grid.box(np.subtract(self.centre, margins), np.add(self.centre, margins))
        x, y, z = (part - at for part, at in zip(grid.axes(region), self.centre, strict=True))
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        unit = np.stack(
            np.broadcast_arrays(
                (cos * x + sin * y) / self.radii[0],
                (cos * y - sin * x) / self.radii[1],
                z / self.radii[2],
            )
        )
        distance = np.sqrt((unit**2).sum(axis=0)) + 1e-6
        cosines = np.tensordot(self.poles, unit / distance, 1)
        swelling = np.zeros_like(distance)
        for cosine, degree, height in zip(cosines, DEGREES, self.heights, strict=True):
            swelling += height * legendre.legval(cosine, np.eye(5)[degree])
        surface = 1 + MOST_SWELLING * np.tanh(swelling / MOST_SWELLING)
        return region, (1 - distance / surface).astype(np.float32)


def make_star(
    rng: np.random.Generator, centre: npt.ArrayLike, radii: npt.ArrayLike, *, swelling: float
) -> Star:
    """Return a star whose surface swells by about `swelling` of a radius either way."""
    (x, y, z), (along, across, height) = (
        np.asarray(v, np.float64).tolist() for v in (centre, radii)
    )
    poles = rng.standard_normal((len(DEGREES), 3))
    poles /= np.linalg.norm(poles, axis=1, keepdims=True)
    heights = swelling * rng.standard_normal(len(DEGREES)) / DEGREES
    turn = float(rng.uniform(0.0, np.pi))
    return Star((x, y, z), (along, across, height), turn, poles, heights)
