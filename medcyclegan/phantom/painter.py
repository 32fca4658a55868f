"""The painter: a patient's build, and the label map that organs are painted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.parameters import LABELS
from medcyclegan.phantom.shapes import Field, Grid, Lumps, Point, Region

LabelMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Body:
    """A patient's build, drawn once; everything is mm.

    Args:
        cavity: half width and half depth of the abdominal cavity.
        wall: thickness of the muscles around it.
        fat: thickness of the fat under the skin at the side, front and back.
        power: exponent of the outline's superellipse.
        sway: how far the outline narrows toward the feet, a share of it.
        dome: height of the right half of the diaphragm; the left lies lower.
    """

    cavity: tuple[float, float]
    wall: float
    fat: tuple[float, float, float]
    power: float
    sway: float
    dome: float


def make_body(rng: np.random.Generator, habitus_shift: float = 0.0) -> Body:
    """Draw a patient's build: 300 to 370 mm wide, 200 to 260 mm deep.

    Args:
        rng: drawn from.
        habitus_shift: of his population; 1 adds 8 mm of fat and 8 mm to the cavity's half width.
    """
    habitus = rng.uniform(-1.0, 1.0) + habitus_shift
    fat = max(4.0, 16.0 + 8.0 * habitus + rng.uniform(-2.0, 2.0))
    return Body(
        cavity=(
            124.0 + 8.0 * habitus + rng.uniform(-4, 4),
            84.0 + 5.0 * habitus + rng.uniform(-3, 3),
        ),
        wall=rng.uniform(10.0, 14.0),
        fat=(fat, fat * rng.uniform(0.7, 1.0), fat * rng.uniform(0.8, 1.1)),
        power=rng.uniform(2.2, 2.6),
        sway=rng.uniform(0.0, 0.06),
        dome=rng.uniform(80.0, 92.0),
    )


class Painter:
    """Paints labels of one patient, from the skin inward.

    Args:
        grid: voxel centres in the patient's frame.
        rng: the patient's own source of shapes; the same seed paints the same patient on any grid.
        body: his build.

    Attributes:
        labels: what is painted so far, (S, H, W).
        cavity: positive inside the abdominal cavity, (S, H, W): a share of its half width.
    """

    def __init__(self, grid: Grid, rng: np.random.Generator, body: Body) -> None:
        self.grid = grid
        self.rng = rng
        self.body = body
        self.labels: LabelMap = np.zeros(grid.shape, np.uint8)
        self.cavity: Field = np.zeros(grid.shape, np.float32)
        self.lumps = Lumps(rng, 32.0)
        self.fine_lumps = Lumps(rng, 14.0)
        self.scale = np.array([body.cavity[0] / 128.0, body.cavity[1] / 86.0, 1.0])

    def at(self, x: float, y: float, z: float, wander: float = 4.0) -> Point:
        """Return a place in the cavity, scaled to the patient and off by about `wander` mm."""
        place = np.array([x, y, z]) * self.scale + self.rng.normal(0.0, wander / 2, 3)
        return float(place[0]), float(place[1]), float(place[2])

    def size(self, *radii: float, spread: float = 0.08) -> Point:
        """Return radii that vary between patients by about `spread`."""
        x, y, z = (
            np.array(radii) * self.rng.normal(1.0, spread / 2, 3) * self.rng.normal(1, spread / 2)
        )
        return float(x), float(y), float(z)

    def paint(self, name: str, region: Region, inside: npt.NDArray[np.bool_]) -> None:
        """Give a tissue's label to the voxels of `region` that are `inside`."""
        self.labels[region][inside] = LABELS[name]

    def is_any(self, region: Region, *names: str) -> npt.NDArray[np.bool_]:
        """Return where a region so far holds one of the named tissues."""
        return np.isin(self.labels[region], [LABELS[name] for name in names])
