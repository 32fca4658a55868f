"""Muscles of the back, spine and ribs of a phantom patient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.painter import Painter
from medcyclegan.phantom.shapes import EVERYTHING, column

SPINE_Y = 52.0  # of the vertebral bodies' middle, before scaling to the patient, mm
CORTEX_MM = 2.6
END_PLATE_MM = 2.5  # half a slice: what a slice that holds the plate shows


def paint_muscles(painter: Painter) -> None:
    """Paint psoas and the long muscles of the back."""
    grid, scale, rng = painter.grid, painter.scale, painter.rng
    z = grid.z.astype(np.float64)
    bulk = rng.normal(1.0, 0.08)
    thick = np.clip((30.0 - z) / 80.0, 0.0, 1.0) * bulk
    for side in (-1.0, 1.0):
        places = np.c_[side * (30.0 + 10.0 * thick), np.full_like(z, SPINE_Y + 6.0)] * scale[:2]
        region, field = column(grid, places, np.c_[19.0 * thick, 23.0 * thick])
        free = ~painter.is_any(region, "kidney_cortex", "kidney_medulla", "aorta", "vena_cava")
        painter.paint("muscle", region, (field > 0) & free)
        back = np.c_[np.full_like(z, side * 35.0), np.full_like(z, 87.0)] * scale[:2]
        region, field = column(grid, back, np.full_like(back, 1.0) * (33.0 * bulk, 18.0 * bulk))
        free = ~painter.is_any(region, "kidney_cortex", "kidney_medulla", "background", "skin")
        painter.paint("muscle", region, (field > 0) & free)


def paint_spine(painter: Painter) -> None:
    """Paint vertebral bodies, discs, arches, spinous and transverse processes, and the canal."""
    grid, rng = painter.grid, painter.rng
    z = grid.z.astype(np.float64)
    level = rng.uniform(0.0, 38.0)
    period = rng.uniform(34.0, 38.0)
    phase = (z + level) % period
    disc = phase < 8.0
    end_plate = (phase < 8.0 + END_PLATE_MM) | (phase > period - END_PLATE_MM)
    radii = np.array([23.5, 18.0]) * rng.normal(1.0, 0.04)
    middle = np.array([0.0, SPINE_Y * painter.scale[1]])
    waist = 1.0 - 0.08 * np.sin(np.clip((phase - 8.0) / (period - 8.0), 0.0, 1.0) * np.pi)
    arch = np.add(middle, (0.0, radii[1] + 8.0))
    _arches(painter, arch, z, phase, period)
    region, field = column(
        grid, np.broadcast_to(middle, (len(z), 2)), radii * waist[:, None], power=2.4
    )
    painter.paint("cortical_bone", region, field > 0)
    core = field > CORTEX_MM / radii[1]
    painter.paint("spongy_bone", region, core)
    painter.paint("end_plate", region, core & end_plate[:, None, None])
    painter.paint("disc", region, (field > 0) & disc[:, None, None])
    region, field = column(
        grid, np.broadcast_to(arch, (len(z), 2)), np.full((len(z), 2), (11.0, 8.5))
    )
    painter.paint("spinal_canal", region, field > 0)


def _arches(
    painter: Painter,
    arch: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    phase: npt.NDArray[np.float64],
    period: float,
) -> None:
    grid = painter.grid
    lamina = (phase > 0.35 * period)[:, None]
    centre = np.broadcast_to(arch, (len(z), 2))
    parts = (
        (centre, np.array([17.0, 14.0])),
        (np.add(centre, (0.0, 20.0)), np.array([5.0, 15.0])),
        (np.add(centre, (24.0, 0.0)), np.array([17.0, 5.0])),
        (np.subtract(centre, (24.0, 0.0)), np.array([17.0, 5.0])),
    )
    for shell in (0.0, 2.2):
        for place, size in parts:
            region, field = column(grid, place, np.where(lamina, size - shell, 0.0))
            painter.paint("spongy_bone" if shell else "cortical_bone", region, field > 0)


def paint_ribs(painter: Painter) -> None:
    """Paint the lower ribs, which fall from the spine to the front inside the wall."""
    grid, body, rng = painter.grid, painter.body, painter.rng
    middle = np.array(body.cavity) + 0.5 * body.wall
    x, y, z = grid.axes(EVERYTHING)
    level = np.abs(x / middle[0]) ** body.power + np.abs(y / middle[1]) ** body.power
    depth = (level ** (1.0 / body.power) - 1.0) * np.hypot(x, y) / 4.6
    around = np.arctan2(np.abs(x), y)  # 0 at the back, pi at the front
    fall = 95.0 * np.sin(np.clip(around, 0.0, 1.9) / 2.0) ** 2
    start, step = rng.uniform(20.0, 34.0), rng.uniform(24.0, 28.0)
    reach = (1.5, 1.9, 2.2, 2.2, 2.2, 2.2)
    for number, end in enumerate(reach):
        height = (z - (start + number * step - fall)) / 6.5
        square = depth**2 + height**2
        along = (around > 0.42) & (around < end) & (level > 0.4)
        painter.paint("cortical_bone", EVERYTHING, (square < 1.0) & along)
        painter.paint("spongy_bone", EVERYTHING, (square < 0.36) & along)
