"""Marks: what findings are painted with, and how they are listed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.painter import LabelMap, Painter
from medcyclegan.phantom.parameters import LABELS
from medcyclegan.phantom.setting import Finding
from medcyclegan.phantom.shapes import Grid, Point, ellipsoid

ORGANS_OF: dict[str, str] = {  # where each finding lies
    "calcified_plaque": "aorta",
    "kidney_stone": "kidneys",
    "gallstone": "gallbladder",
    "oral_contrast": "stomach and bowel",
    "clip": "gallbladder bed",
    "kidney_cyst": "kidneys",
    "liver_cyst": "liver",
    "ascites": "abdominal cavity",
    "unopacified_cava": "vena_cava",
    "kidney_bed": "kidneys",
    "fatty_liver": "liver",
    "atrophic_kidney": "kidneys",
    "opacified_pelvis": "kidneys",
    "hypo_lesion": "liver",
    "hyper_lesion": "liver",
}
FILLING = (  # those that fill an organ or a space, known by their labels alone
    "oral_contrast",
    "ascites",
    "unopacified_cava",
    "kidney_bed",
    "fatty_liver",
    "opacified_pelvis",
)


@dataclass(frozen=True)
class Ball:
    """A round finding, painted over the tissues `over` inside the abdominal cavity; mm."""

    name: str
    centre: Point
    radii: Point
    over: tuple[str, ...]

    def paint(self, painter: Painter) -> None:
        """Paint it."""
        region, field = ellipsoid(painter.grid, self.centre, self.radii)
        free = painter.is_any(region, *self.over) & (painter.cavity[region] > 0)
        painter.paint(self.name, region, (field > 0) & free)


@dataclass(frozen=True)
class Filling:
    """A finding that takes the place of the tissues `of` between two corners (x, y, z), mm.

    Args:
        name: its label.
        of: the tissues.
        low: corner.
        high: corner.
        depth: how far in from the wall of the abdominal cavity it reaches, a share of the
            cavity's half width.
    """

    name: str
    of: tuple[str, ...]
    low: Point = (-math.inf, -math.inf, -math.inf)
    high: Point = (math.inf, math.inf, math.inf)
    depth: float = 1.0

    def paint(self, painter: Painter) -> None:
        """Paint it."""
        region = painter.grid.box(self.low, self.high)
        cavity = painter.cavity[region]
        near = (cavity > 0) & (cavity <= self.depth)
        painter.paint(self.name, region, painter.is_any(region, *self.of) & near)


Mark = Ball | Filling


def as_finding(ball: Ball) -> Finding:
    """Return a round finding in world coordinates."""
    x, y, z = ball.centre
    return Finding(ball.name, ORGANS_OF[ball.name], (-x, -y, z), ball.radii[0] + ball.radii[1])


def list_findings(
    labels: LabelMap, grid: Grid, spacing_mm: Point, balls: Sequence[Finding]
) -> tuple[Finding, ...]:
    """Return the findings that a scan shows.

    Args:
        labels: (S, H, W).
        grid: of the scan.
        spacing_mm: of slices, rows and columns, mm.
        balls: the round findings of the patient, which may lie beyond the scan.
    """
    reach = float(np.linalg.norm(spacing_mm)) / 2
    places = {name: _places(labels, grid, name) for name in {ball.name for ball in balls}}
    shown = []
    for ball in balls:
        distance = np.linalg.norm(places[ball.name] - ball.centre_mm, axis=1)
        if (distance <= ball.diameter_mm / 2 + reach).any():
            shown.append(ball)
    for name in FILLING:
        there = _places(labels, grid, name)
        if len(there):
            x, y, z = there.mean(axis=0).tolist()
            diameter = (6.0 / math.pi * len(there) * math.prod(spacing_mm)) ** (1.0 / 3.0)
            shown.append(Finding(name, ORGANS_OF[name], (x, y, z), diameter))
    return tuple(shown)


def _places(labels: LabelMap, grid: Grid, name: str) -> npt.NDArray[np.float64]:
    """Return where in the world the voxels of a label lie, (n, 3), mm."""
    z, y, x = np.nonzero(labels == LABELS[name])
    return np.c_[-grid.x[x], -grid.y[y], grid.z[z]].astype(np.float64)
