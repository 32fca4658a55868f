"""Where each tissue lies: one patient's body painted on a voxel grid, organ after organ.

The frame is the patient's own, mm: x toward his left, y toward his back, z toward his head, 0 in
the middle of the abdomen at the level of the second lumbar vertebra. Organs are placed by their
usual topography and scaled to the abdominal cavity; later paint covers earlier paint.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom import skeleton
from medcyclegan.phantom.painter import Painter, make_body
from medcyclegan.phantom.shapes import EVERYTHING, Field, Grid, column, ellipsoid, spline, tube


def paint_patient(grid: Grid, rng: np.random.Generator, *, habitus_shift: float = 0.0) -> Painter:
    """Return the painter that has painted the patient that `rng` draws.

    Args:
        grid: where; a finer grid shows the same patient more finely.
        rng: drawn from in a fixed order, so that equal seeds give equal patients.
        habitus_shift: of the patient's build, that of his population.
    """
    painter = Painter(grid, rng, make_body(rng, habitus_shift))
    inside = painter.cavity = _outline(painter)
    _liver_and_spleen(painter, inside)
    _stomach(painter, inside)
    _bowel(painter, inside)
    _kidneys(painter, inside)
    _lungs(painter, inside)
    _gallbladder(painter)
    _lesions(painter)
    _pancreas(painter)
    _vessels(painter)
    skeleton.paint_muscles(painter)
    skeleton.paint_spine(painter)
    skeleton.paint_ribs(painter)
    return painter


def _outline(painter: Painter) -> Field:
    """Paint skin, fat, wall and visceral fat; return the cavity's field, (S, H, W)."""
    body, grid = painter.body, painter.grid
    x, y, z = grid.axes(EVERYTHING)
    narrow = 1.0 - body.sway * np.clip(0.5 - z / 120.0, 0.0, 1.0)

    def ring(width: float, front: float, back: float) -> Field:
        depth = np.where(y < 0, front, back)
        level = np.abs(x / (narrow * width)) ** body.power + np.abs(y / depth) ** body.power
        return (1.0 - level ** (1.0 / body.power)).astype(np.float32)

    width, depth = body.cavity
    wall_width, wall_depth = width + body.wall, depth + body.wall
    outer = (wall_width + body.fat[0], wall_depth + body.fat[1], wall_depth + body.fat[2])
    wobble = 0.012 * painter.lumps(grid, EVERYTHING)
    painter.paint("skin", EVERYTHING, ring(*outer) + wobble > 0)
    painter.paint("fat", EVERYTHING, ring(outer[0] - 3, outer[1] - 3, outer[2] - 3) + wobble > 0)
    painter.paint("muscle", EVERYTHING, ring(wall_width, wall_depth, wall_depth) + wobble > 0)
    cavity = ring(width, depth, depth) + wobble
    painter.paint("fat", EVERYTHING, cavity > 0)
    return cavity


def _liver_and_spleen(painter: Painter, inside: Field) -> None:
    grid, rng = painter.grid, painter.rng
    room = inside > 0.02
    right, field = ellipsoid(
        grid, painter.at(-66, -2, 22), painter.size(70, 78, 66),
        turn_deg=rng.uniform(-10, 10), lumps=painter.lumps, lumpiness=0.06,
    )  # fmt: skip
    painter.paint("liver", right, (field > 0) & room[right])
    left, field = ellipsoid(
        grid, painter.at(0, -48, 38), painter.size(64, 30, 34),
        turn_deg=rng.uniform(-5, 12), lumps=painter.lumps, lumpiness=0.08,
    )  # fmt: skip
    painter.paint("liver", left, (field > 0) & room[left])
    spleen, field = ellipsoid(
        grid, painter.at(90, 34, 24), painter.size(28, 44, 48, spread=0.16),
        turn_deg=rng.uniform(15, 35), lumps=painter.lumps, lumpiness=0.08,
    )  # fmt: skip
    painter.paint("spleen", spleen, (field > 0) & room[spleen])


def _stomach(painter: Painter, inside: Field) -> None:
    grid, rng = painter.grid, painter.rng
    centre, radii = painter.at(62, -30, 36, 8.0), painter.size(40, 32, 40, spread=0.2)
    region, field = ellipsoid(
        grid, centre, radii, turn_deg=rng.uniform(-35, -5), lumps=painter.lumps, lumpiness=0.08
    )
    free = (inside[region] > 0.03) & ~painter.is_any(region, "spleen")
    painter.paint("stomach_wall", region, (field > 0) & free)
    lumen = (field > 4.5 / radii[1]) & free & (inside[region] > 0.07)
    painter.paint("stomach_content", region, lumen)
    level = centre[1] - radii[1] * rng.uniform(0.05, 0.45)
    painter.paint("stomach_air", region, lumen & (grid.axes(region)[1] < level))


def _bowel(painter: Painter, inside: Field) -> None:
    rng, at = painter.rng, painter.at
    loops = []
    for _ in range(14):
        start = np.array(at(rng.uniform(-55, 75), rng.uniform(-55, 0), rng.uniform(-70, -16), 0.0))
        turns = rng.normal(0.0, 1.0, (4, 3)) * (26.0, 16.0, 10.0)
        loops.append((spline([start, *(start + np.cumsum(turns, axis=0))], 5.0), (8.0, 12.0), 0.15))
    right, left = at(-92, 2, -20), at(104, 5, 4)  # the colon's two bends
    across = [at(-60, -62, -34, 8.0), at(0, -66, -46, 8.0), at(60, -60, -20, 8.0)]
    colon = [
        [at(-100, 12, -90), at(-100, 14, -50), right],
        [right, *across, left],
        [left, at(108, 26, -40), at(106, 28, -90)],
    ]
    loops += [(spline(points, 6.0), (15.0, 21.0), 0.5) for points in colon]
    for points, radii, gas in loops:
        _loop(painter, inside, points, radii, gas)


def _loop(
    painter: Painter,
    inside: Field,
    points: npt.NDArray[np.float64],
    radii: tuple[float, float],
    gas: float,
) -> None:
    """Paint one stretch of bowel, part of it filled with gas where it lies frontmost."""
    rng = painter.rng
    radius = rng.uniform(*radii) * (1.0 + 0.12 * np.sin(np.arange(len(points)) * 1.3))
    gassy = rng.random() < gas
    share = rng.uniform(-0.3, 0.6)
    region, field = tube(painter.grid, points, radius)
    if not field.size:
        return
    free = (inside[region] > 0.04) & painter.is_any(region, "fat", "bowel_content", "bowel_wall")
    painter.paint("bowel_wall", region, (field > 0) & free)
    lumen = (field > 3.5 / radius.mean()) & free
    painter.paint("bowel_content", region, lumen)
    if gassy:
        y = painter.grid.axes(region)[1]
        level = np.interp(painter.grid.x[region[2]], *_sorted(points[:, 0], points[:, 1]))
        top = y < (level - share * radius.mean())[None, None, :]
        painter.paint("bowel_gas", region, lumen & top)


def _sorted(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    order = np.argsort(x)
    return x[order], y[order]


def _kidneys(painter: Painter, inside: Field) -> None:
    grid, rng = painter.grid, painter.rng
    for side, height in ((-1.0, -24.0), (1.0, -16.0)):
        centre, radii = painter.at(side * 62, 42, height, 8.0), painter.size(27, 30, 54)
        turn, tilt = side * rng.uniform(20, 45), -side * rng.uniform(6, 14)
        shell, field = ellipsoid(
            grid, centre, (radii[0] + 8, radii[1] + 8, radii[2] + 8), turn_deg=turn, tilt_deg=tilt
        )
        painter.paint("fat", shell, (field > 0) & (inside[shell] > 0.02))
        region, field = ellipsoid(
            grid, centre, radii, turn_deg=turn, tilt_deg=tilt, lumps=painter.lumps, lumpiness=0.05
        )
        free = inside[region] > 0.02
        painter.paint("kidney_cortex", region, (field > 0) & free)
        pyramids = painter.fine_lumps(grid, region) * 0.12
        painter.paint("kidney_medulla", region, (field + pyramids > 0.33) & (field > 0.2) & free)
        hilum = (centre[0] - side * 10.0, centre[1] - 3.0, centre[2])
        sinus, field = ellipsoid(
            grid, hilum, (radii[0] * 0.62, 9.0, radii[2] * 0.42), turn_deg=turn
        )
        near = painter.is_any(sinus, "kidney_cortex", "kidney_medulla")
        painter.paint("fat", sinus, (field > 0) & near)
        painter.paint("renal_pelvis", sinus, (field > 0.5) & near)


def _lungs(painter: Painter, inside: Field) -> None:
    """Paint the bases of the lungs above a diaphragm of two domes."""
    grid, body = painter.grid, painter.body
    drop = painter.rng.uniform(2, 10)
    fall = painter.rng.uniform(48, 66)
    x, y, z = grid.axes(EVERYTHING)
    middle = np.where(x < 0, -0.42, 0.42) * body.cavity[0]
    square = ((x - middle) / (0.62 * body.cavity[0])) ** 2 + ((y + 8) / body.cavity[1]) ** 2
    spine = 90.0 * np.exp(-((x / 26.0) ** 2)) * np.clip(y / 30.0 + 1.2, 0.5, 1.5)
    dome = body.dome - np.where(x < 0, 0.0, drop) - fall * square + spine
    diaphragm = (z > np.maximum(dome - 4.0, 20.0)) & (z <= dome)
    painter.paint("muscle", EVERYTHING, diaphragm & (inside > 0.0))
    painter.paint("lung", EVERYTHING, (z > dome) & (inside > 0.015))


def _gallbladder(painter: Painter) -> None:
    region, field = ellipsoid(
        painter.grid, painter.at(-52, -46, -14, 6.0), painter.size(15, 20, 27, spread=0.15),
        turn_deg=painter.rng.uniform(-30, 30), lumps=painter.lumps, lumpiness=0.05,
    )  # fmt: skip
    painter.paint("gallbladder", region, (field > 0) & ~painter.is_any(region, "muscle", "skin"))


def _lesions(painter: Painter) -> None:
    """Paint 1 to 4 lesions of 5 to 16 mm radius in the right half of the liver."""
    rng = painter.rng
    for _ in range(int(rng.integers(1, 5))):
        place = painter.at(rng.uniform(-105, -45), rng.uniform(-35, 35), rng.uniform(-5, 50), 0.0)
        radius = rng.uniform(5.0, 16.0)
        radii = painter.size(radius, radius, radius, spread=0.2)
        region, field = ellipsoid(
            painter.grid, place, radii, lumps=painter.fine_lumps, lumpiness=0.1
        )
        painter.paint("lesion", region, (field > 0) & painter.is_any(region, "liver"))


def _pancreas(painter: Painter) -> None:
    at = painter.at
    lift = painter.rng.normal(0.0, 5.0)
    path = [
        at(-34, -6, -16 + lift), at(-28, -10, 2 + lift), at(0, -14, 10 + lift),
        at(32, 0, 16 + lift), at(66, 18, 24 + lift),
    ]  # fmt: skip
    points = spline(path, 4.0)
    along = np.linspace(0.0, 1.0, len(points))
    radii = np.interp(along, [0.0, 0.25, 0.5, 1.0], [14.0, 13.0, 10.0, 9.5])
    region, field = tube(painter.grid, points, radii * painter.size(1, 1, 1)[0])
    free = ~painter.is_any(
        region, "kidney_cortex", "kidney_medulla", "spleen", "gallbladder", "lung"
    )
    lobules = 0.12 * painter.fine_lumps(painter.grid, region)
    painter.paint("pancreas", region, (field + lobules > 0) & free)


def _vessels(painter: Painter) -> None:
    grid, rng, at = painter.grid, painter.rng, painter.at
    portal = [at(-6, -2, 4), at(-18, -4, 18), at(-38, -6, 30), at(-62, -8, 36)]
    branches = [
        (portal, 7.5),
        ([portal[0], at(4, -8, -14), at(6, -16, -40), at(6, -18, -70)], 6.0),  # mesenteric vein
        ([portal[0], at(30, 8, 12), at(60, 22, 22), at(80, 30, 28)], 4.5),  # splenic vein
        ([portal[3], at(-80, 12, 38), at(-96, 20, 44)], 4.5),
        ([portal[3], at(-74, -28, 34), at(-92, -38, 30)], 4.5),
        ([portal[2], at(-28, -40, 42), at(8, -52, 44)], 4.5),
        ([at(-20, 12, 62), at(-48, -14, 66), at(-70, -30, 58)], 4.5),  # hepatic veins
        ([at(-20, 12, 62), at(-62, 14, 62), at(-90, 18, 54)], 4.5),
    ]
    for path, radius in branches:
        points = spline(path, 3.0)
        region, field = tube(grid, points, np.full(len(points), radius))
        painter.paint("portal_vein", region, (field > 0) & ~painter.is_any(region, "lung"))
    z = grid.z.astype(np.float64)
    bend = rng.normal(0.0, 3.0, 2)
    wave = np.c_[bend[0] * np.sin(z / 60.0), bend[1] * np.cos(z / 70.0)]
    slope = np.c_[np.zeros_like(z), 0.06 * z]
    for name, place, radii in (
        ("vena_cava", at(-22, 20, 0), painter.size(13.5, 10.5, 1, spread=0.12)),
        ("aorta", at(10, 20, 0), painter.size(10.5, 10.5, 1, spread=0.12)),
    ):
        centre = np.array(place[:2]) + wave + slope * (1.0 if name == "aorta" else -0.6)
        region, field = column(grid, centre, np.broadcast_to(radii[:2], centre.shape))
        painter.paint(name, region, field > 0)
