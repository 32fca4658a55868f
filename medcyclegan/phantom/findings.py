"""Findings: what only some patients have, painted over a finished body.

Where a finding goes is planned on a coarse map of the patient that does not depend on the scan, so
that he has it at the same place on every grid. Each kind draws from a source of its own: a
population in which it is more frequent has it in the same patients and in further ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.marks import Ball, Filling, Mark
from medcyclegan.phantom.painter import Painter
from medcyclegan.phantom.shapes import EVERYTHING, Grid, Point, ellipsoid

KIDNEY = ("kidney_cortex", "kidney_medulla")
LIVER = ("liver", "fatty_liver")
INFRARENAL_MM = -10.0  # the cava below this height has not mixed with the renal veins' blood
MIDDLE_MM = (-45.0, 85.0)  # heights within which round findings are placed: most scans hold them

Plan = Callable[[Painter, np.random.Generator], list[Mark]]


def planning_grid() -> Grid:
    """Return the coarse grid on which findings are planned, about the widest abdominal cavity."""
    across, depth = (np.arange(-edge, edge + 1, 6.0, dtype=np.float32) for edge in (150.0, 108.0))
    return Grid(np.arange(-65.0, 106.0, 5.0, dtype=np.float32), depth, across)


def plan_findings(
    painter: Painter, rng: np.random.Generator, shares: Mapping[str, float]
) -> list[Mark]:
    """Return what to paint over a patient so that he has his findings.

    Args:
        painter: of the patient, on the planning grid; findings are painted on it, too.
        rng: drawn from, a child of it for each kind of finding.
        shares: of patients that have each finding; one left out is never found.
    """
    marks: list[Mark] = [Filling("liver", ("lesion",))]
    marks[0].paint(painter)
    for (name, plan), own in zip(PLANS.items(), rng.spawn(len(PLANS)), strict=True):
        if own.random() >= shares.get(name, 0.0):
            continue
        for mark in plan(painter, own):
            mark.paint(painter)
            marks.append(mark)
    return marks


def _points(painter: Painter, *names: str) -> npt.NDArray[np.float64]:
    """Return where tissues lie at the middle heights, (n, 3), each (x, y, z), mm."""
    z, y, x = np.nonzero(painter.is_any(EVERYTHING, *names))
    grid = painter.grid
    points = np.c_[grid.x[x], grid.y[y], grid.z[z]].astype(np.float64)
    return points[(points[:, 2] >= MIDDLE_MM[0]) & (points[:, 2] <= MIDDLE_MM[1])]


def _pick(points: npt.NDArray[np.float64], rng: np.random.Generator) -> Point:
    """Return one of the points, off by up to 3 mm."""
    x, y, z = (points[rng.integers(len(points))] + rng.uniform(-3.0, 3.0, 3)).tolist()
    return x, y, z


def _clear(
    painter: Painter,
    rng: np.random.Generator,
    points: npt.NDArray[np.float64],
    within: tuple[str, ...],
    radius: float,
) -> tuple[Point, float] | None:
    """Return a place where a ball lies wholly within some tissues, and how large it may be.

    Args:
        painter: on the planning grid.
        rng: drawn from.
        points: to choose the place from.
        within: the tissues.
        radius: wanted; half of it is good enough where there is no more room.
    """
    for size in np.linspace(radius, radius / 2, 40 if len(points) else 0):
        place = _pick(points, rng)
        region, field = ellipsoid(painter.grid, place, (size + 3.0, size + 3.0, size + 3.0))
        inside = (painter.cavity[region] > 0) & painter.is_any(region, *within)
        if inside[field > 0].all():
            return place, float(size)
    return None


def _fill(name: str, *of: str) -> Plan:
    """Return the plan of a finding that takes the place of whole tissues."""
    return lambda painter, rng: [Filling(name, of)]


def _balls(
    name: str, at: tuple[str, ...], within: tuple[str, ...], most: int, radii: tuple[float, float]
) -> Plan:
    """Return the plan of 1 to `most` balls with their middle in `at` and all of them `within`."""

    def plan(painter: Painter, rng: np.random.Generator) -> list[Mark]:
        marks: list[Mark] = []
        for _ in range(int(rng.integers(1, most + 1))):
            found = _clear(painter, rng, _points(painter, *at), within, rng.uniform(*radii))
            if found:
                place, size = found
                marks.append(Ball(name, place, (size, size, size), within))
                marks[-1].paint(painter)
        return marks

    return plan


def _side(rng: np.random.Generator) -> tuple[Point, Point]:
    """Return the corners of a patient's right or left half."""
    right = ((-math.inf, -math.inf, -math.inf), (0.0, math.inf, math.inf))
    left = ((0.0, -math.inf, -math.inf), (math.inf, math.inf, math.inf))
    return right if rng.random() < 0.5 else left


def _kidney_bed(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    return [Filling("kidney_bed", (*KIDNEY, "renal_pelvis"), *_side(rng))]


def _atrophic_kidney(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """A kidney of about half the usual size in the middle of the old one, where there are two."""
    if painter.is_any(EVERYTHING, "kidney_bed").any():
        return []
    low, high = _side(rng)
    points = _points(painter, *KIDNEY)
    x, y, z = points[(points[:, 0] > low[0]) & (points[:, 0] < high[0])].mean(axis=0).tolist()
    size = rng.uniform(0.8, 1.15)
    return [
        Filling("fat", (*KIDNEY, "renal_pelvis"), low, high),
        Ball("atrophic_kidney", (x, y, z), (15.0 * size, 17.0 * size, 30.0 * size), ("fat",)),
        Ball("renal_pelvis", (x, y - 4.0, z), (5.0, 5.0, 9.0), ("atrophic_kidney",)),
    ]


def _oral_contrast(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """In the stomach; in three patients of five it has reached the bowel, too."""
    of = ("stomach_content", "bowel_content")
    return [Filling("oral_contrast", of if rng.random() < 0.6 else of[:1])]


def _unopacified_cava(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    top = (math.inf, math.inf, INFRARENAL_MM)
    return [Filling("unopacified_cava", ("vena_cava",), high=top)]


def _ascites(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """Fluid between the wall and what lies inside, in front of the kidneys."""
    front = (math.inf, 25.0, math.inf)
    return [Filling("ascites", ("fat",), high=front, depth=rng.uniform(0.08, 0.16))]


def _plaque(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """2 to 5 plaques of 8 mm, half of each in the lumen of the aorta and half in its wall."""
    points = _points(painter, "aorta")
    marks: list[Mark] = []
    for _ in range(int(rng.integers(2, 6))):
        height = rng.uniform(*MIDDLE_MM)
        near = points[np.abs(points[:, 2] - height) < 12.0]
        x, y, _ = near.mean(axis=0).tolist()
        radius = math.sqrt(36.0 / math.pi * len(near) / len(np.unique(near[:, 2])))
        angle = rng.uniform(0.0, 2.0 * math.pi)
        place = (x + radius * math.cos(angle), y + radius * math.sin(angle), height)
        radii = (4.0, 4.0, rng.uniform(5.0, 12.0))
        marks.append(Ball("calcified_plaque", place, radii, ("aorta", "fat", "muscle")))
    return marks


def _kidney_stone(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """1 or 2 stones of 5 to 10 mm in the renal pelvis."""
    points = _points(painter, "renal_pelvis")
    over = (*KIDNEY, "renal_pelvis", "atrophic_kidney", "fat")
    return [
        _stone("kidney_stone", points, (2.7, 5.0), over, rng) for _ in range(rng.integers(1, 3))
    ]


def _gallstone(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """1 to 3 stones of 6 to 14 mm that have sunk to the back of the gallbladder."""
    points = _points(painter, "gallbladder")
    points = points[points[:, 1] >= np.quantile(points[:, 1], 0.6)]
    over = ("gallbladder",)
    return [_stone("gallstone", points, (3.0, 7.0), over, rng) for _ in range(rng.integers(1, 4))]


def _clip(painter: Painter, rng: np.random.Generator) -> list[Mark]:
    """2 to 4 surgical clips in the fat about the gallbladder."""
    points = _points(painter, "fat")
    middle = _points(painter, "gallbladder").mean(axis=0)
    points = points[np.argsort(np.linalg.norm(points - middle, axis=1))[:60]]
    over = ("fat", "gallbladder", *LIVER)
    return [_stone("clip", points, (2.7, 2.8), over, rng) for _ in range(rng.integers(2, 5))]


def _stone(
    name: str,
    points: npt.NDArray[np.float64],
    radii: tuple[float, float],
    over: tuple[str, ...],
    rng: np.random.Generator,
) -> Ball:
    """Return a small ball at one of the points, never so flat that it slips between slices."""
    radius = rng.uniform(*radii)
    return Ball(name, _pick(points, rng), (radius, radius, max(radius, 3.2)), over)


PLANS: dict[str, Plan] = {  # in the order of painting: what fills an organ first
    "fatty_liver": _fill("fatty_liver", "liver"),
    "kidney_bed": _kidney_bed,
    "atrophic_kidney": _atrophic_kidney,
    "oral_contrast": _oral_contrast,
    "unopacified_cava": _unopacified_cava,
    "ascites": _ascites,
    "liver_cyst": _balls("liver_cyst", LIVER, LIVER, most=3, radii=(6.0, 15.0)),
    "kidney_cyst": _balls("kidney_cyst", KIDNEY[:1], (*KIDNEY, "fat"), most=3, radii=(8.0, 16.0)),
    "hypo_lesion": _balls("hypo_lesion", LIVER, LIVER, most=4, radii=(5.0, 14.0)),
    "hyper_lesion": _balls("hyper_lesion", LIVER, LIVER, most=2, radii=(5.0, 14.0)),
    "calcified_plaque": _plaque,
    "kidney_stone": _kidney_stone,
    "gallstone": _gallstone,
    "clip": _clip,
    "opacified_pelvis": _fill("opacified_pelvis", "renal_pelvis"),
}
