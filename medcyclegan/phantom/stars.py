"""A second setting: organs as random star-shaped bodies, strewn over a body, with HU of their own.

Nothing of it is like a patient but the names of the tissues: what was tuned on the abdomen and
holds here was not learnt from one anatomy and one table. It is for testing, never for tuning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.painter import LabelMap
from medcyclegan.phantom.parameters import FINDINGS, LABELS, TISSUES, Tissue
from medcyclegan.phantom.population import Population
from medcyclegan.phantom.setting import Finding, Painted, Setting, Streams
from medcyclegan.phantom.shapes import EVERYTHING, Field, Grid, Point
from medcyclegan.phantom.star_shape import Star, make_star

STAR_TISSUES: dict[str, Tissue] = {
    **TISSUES,
    "liver": Tissue(44.0, 5.0, arterial=32.0, venous=72.0, delayed=52.0, texture_hu=4.0),
    "spleen": Tissue(58.0, 3.0, arterial=52.0, venous=88.0, delayed=60.0, texture_hu=3.5),
    "kidney_cortex": Tissue(38.0, 4.0, arterial=105.0, venous=125.0, delayed=90.0, texture_hu=3.5),
    "kidney_medulla": Tissue(27.0, 4.0, arterial=60.0, venous=98.0, delayed=125.0, texture_hu=3.5),
    "renal_pelvis": Tissue(12.0, 4.0, delayed=350.0, texture_hu=2.0),
    "aorta": Tissue(35.0, 5.0, arterial=190.0, venous=142.0, delayed=95.0, uneven=0.04),
    "vena_cava": Tissue(35.0, 5.0, arterial=75.0, venous=122.0, delayed=95.0, uneven=0.04),
    "portal_vein": Tissue(35.0, 5.0, arterial=25.0, venous=95.0, delayed=90.0, uneven=0.04),
    "pancreas": Tissue(33.0, 5.0, arterial=92.0, venous=40.0, delayed=24.0, texture_hu=5.0),
    "gallbladder": Tissue(18.0, 5.0, texture_hu=2.0),
    "lesion": Tissue(27.0, 5.0, arterial=15.0, venous=34.0, delayed=40.0, texture_hu=3.0),
    "stomach_wall": Tissue(36.0, 4.0, arterial=60.0, venous=34.0, delayed=28.0, texture_hu=3.0),
    "stomach_content": Tissue(32.0, 8.0, texture_hu=8.0),
    "bowel_wall": Tissue(36.0, 4.0, arterial=55.0, venous=36.0, delayed=28.0, texture_hu=3.0),
    "bowel_content": Tissue(5.0, 8.0, texture_hu=10.0),
    "muscle": Tissue(46.0, 5.0, arterial=12.0, venous=22.0, delayed=20.0, texture_hu=4.0),
    "fat": Tissue(-88.0, 6.0, texture_hu=5.0),
    "skin": Tissue(5.0, 5.0),
    "cortical_bone": Tissue(600.0, 60.0, texture_hu=30.0),
    "spongy_bone": Tissue(140.0, 20.0, texture_hu=18.0),
    "lung": Tissue(-780.0, 25.0, texture_hu=25.0),
    "unopacified_cava": Tissue(35.0, 5.0),
    "kidney_bed": Tissue(-88.0, 6.0, texture_hu=5.0),
    "fatty_liver": Tissue(8.0, 8.0, arterial=26.0, venous=60.0, delayed=44.0, texture_hu=4.0),
    "hypo_lesion": Tissue(25.0, 4.0, arterial=10.0, venous=26.0, delayed=32.0, texture_hu=3.0),
    "hyper_lesion": Tissue(38.0, 4.0, arterial=95.0, venous=60.0, delayed=36.0, texture_hu=3.0),
}

Places = npt.NDArray[np.floating]

BODIES: tuple[tuple[str, Point], ...] = (  # usual radii, mm; those of 400 run through all slices
    ("aorta", (11.0, 11.0, 400.0)),
    ("vena_cava", (13.0, 11.0, 400.0)),
    ("bone", (19.0, 19.0, 400.0)),
    ("liver", (54.0, 47.0, 64.0)),
    ("kidney", (27.0, 28.0, 48.0)),
    ("kidney", (27.0, 28.0, 48.0)),
    ("spleen", (30.0, 27.0, 46.0)),
    ("stomach", (32.0, 29.0, 40.0)),
    ("pancreas", (30.0, 16.0, 34.0)),
    ("portal_vein", (9.0, 9.0, 90.0)),
    ("gallbladder", (16.0, 16.0, 28.0)),
    ("bone", (15.0, 15.0, 80.0)),
    ("lung", (34.0, 32.0, 44.0)),
    ("muscle", (20.0, 17.0, 120.0)),
    ("bowel", (17.0, 17.0, 200.0)),
    ("bowel", (17.0, 17.0, 34.0)),
    ("bowel", (17.0, 17.0, 34.0)),
    ("bowel", (17.0, 17.0, 34.0)),
)
SHELLS: dict[str, tuple[tuple[str, float], ...]] = {  # label and its depth below the surface, mm
    "bone": (("cortical_bone", 0.0), ("spongy_bone", 3.5)),
    "kidney": (("kidney_cortex", 0.0), ("kidney_medulla", 8.0), ("renal_pelvis", 17.0)),
    "stomach": (("stomach_wall", 0.0), ("stomach_content", 4.5)),
    "bowel": (("bowel_wall", 0.0), ("bowel_content", 3.5)),
}


@dataclass(frozen=True)
class Spot:
    """A round finding.

    Args:
        body: what of `BODIES` it lies in.
        organ: what that is called.
        covers: labels that it may cover.
        radius_mm: least and greatest.
        most: of its kind in one patient.
    """

    body: str
    organ: str
    covers: tuple[str, ...]
    radius_mm: tuple[float, float]
    most: int


LIVER, KIDNEY = ("liver", "fatty_liver"), ("kidney_cortex", "kidney_medulla")
SPOTS = {
    "lesion": Spot("liver", "liver", LIVER, (5.0, 16.0), 4),
    "hypo_lesion": Spot("liver", "liver", LIVER, (5.0, 14.0), 3),
    "hyper_lesion": Spot("liver", "liver", LIVER, (5.0, 12.0), 2),
    "liver_cyst": Spot("liver", "liver", LIVER, (5.0, 12.0), 2),
    "kidney_cyst": Spot("kidney", "kidneys", KIDNEY, (5.0, 12.0), 2),
    "kidney_stone": Spot("kidney", "kidneys", (*KIDNEY, "renal_pelvis"), (3.0, 5.0), 1),
    "calcified_plaque": Spot("aorta", "aorta", ("aorta",), (3.0, 5.0), 3),
    "gallstone": Spot("gallbladder", "gallbladder", ("gallbladder",), (4.0, 7.0), 2),
}
FILLED = {  # findings that take the place of a whole tissue
    "oral_contrast": "stomach_content",
    "fatty_liver": "liver",
    "opacified_pelvis": "renal_pelvis",
    "unopacified_cava": "vena_cava",
}
LOWEST_MM, HIGHEST_MM = -45.0, 75.0  # of the bodies' middles
AIR_MM = 8.0  # above the stomach's middle begins the air
TRIES = 30
CANDIDATES = 60  # places tried for each body; the one farthest from all others is taken


@dataclass(frozen=True)
class Trunk:
    """A patient's outline, the same in every slice: superellipses about one middle.

    Args:
        cavity: half width and half depth of the cavity, mm.
        wall: thickness of the muscle about it, mm.
        fat: thickness of the fat about that, mm.
        power: exponent of the superellipse.
    """

    cavity: tuple[float, float]
    wall: float
    fat: float
    power: float

    def field(self, x: Places, y: Places, more_mm: float = 0.0) -> Field:
        """Return the field of the cavity grown by `more_mm`: positive inside, 1 in the middle."""
        width, depth = (half + more_mm for half in self.cavity)
        level = np.abs(x / width) ** self.power + np.abs(y / depth) ** self.power
        return np.asarray(1 - level ** (1 / self.power), np.float32)


def paint_stars(grid: Grid, streams: Streams, population: Population) -> Painted:
    """Return the patient of star-shaped organs that the streams draw; see `Setting.paint`.

    Of the population's findings he may have those in `SPOTS` and `FILLED`; without findings he
    has lesions of the one kind "lesion".
    """
    rng = streams("anatomy")
    trunk = _make_trunk(rng, population.habitus)
    labels = _outline(grid, trunk)
    stars: list[tuple[str, Star]] = []
    for name, radii in BODIES:
        star = _place(radii, trunk, [star for _, star in stars], rng)
        stars.append((name, star))
        _paint_body(labels, grid, trunk, name, star)
    sources = streams("findings").spawn(2)
    shares = population.findings or {"lesion": 1.0}
    for name, whole in FILLED.items():
        if sources[0].random() < shares.get(name, 0.0):
            labels[labels == LABELS[whole]] = LABELS[name]
    return Painted(labels, tuple(_paint_spots(labels, grid, stars, shares, sources[1])))


def _make_trunk(rng: np.random.Generator, habitus: float) -> Trunk:
    width = rng.uniform(114.0, 132.0) + 8.0 * habitus
    return Trunk(
        cavity=(width, width * rng.uniform(0.7, 0.85)),
        wall=rng.uniform(7.0, 13.0),
        fat=max(6.0, rng.uniform(9.0, 20.0) + 8.0 * habitus),
        power=rng.uniform(2.0, 3.2),
    )


def _outline(grid: Grid, trunk: Trunk) -> LabelMap:
    labels = np.zeros(grid.shape, np.uint8)
    x, y, _ = grid.axes(EVERYTHING)
    skin = trunk.wall + trunk.fat
    for name, more_mm in (
        ("skin", skin),
        ("fat", skin - 3.0),
        ("muscle", trunk.wall),
        ("fat", 0.0),
    ):
        inside = np.broadcast_to(trunk.field(x, y, more_mm) > 0, grid.shape)
        labels[inside] = LABELS[name]
    return labels


def _place(radii: Point, trunk: Trunk, others: Sequence[Star], rng: np.random.Generator) -> Star:
    """Return a star where it keeps clear of the others as far as possible."""
    size = np.array(radii) * rng.uniform(0.85, 1.15, 3)
    width, depth = trunk.cavity
    places = rng.uniform((-width, -depth, LOWEST_MM), (width, depth, HIGHEST_MM), (CANDIDATES, 3))
    clear = trunk.field(places[:, 0], places[:, 1]) * depth - size[:2].max()
    for other in others:
        across = np.hypot(*(places[:, :2] - other.centre[:2]).T) - size[:2].max()
        along = np.abs(places[:, 2] - other.centre[2]) - size[2] - other.radii[2]
        clear = np.minimum(clear, np.maximum(across - max(other.radii[:2]), along))
    return make_star(rng, places[clear.argmax()], size, swelling=0.3)


def _paint_body(labels: LabelMap, grid: Grid, trunk: Trunk, name: str, star: Star) -> None:
    """Paint a body and its shells where there was fat of the cavity."""
    region, field = star.field(grid)
    x, y, _ = grid.axes(region)
    free = (labels[region] == LABELS["fat"]) & (trunk.field(x, y) > 0)
    for shell, depth_mm in SHELLS.get(name, ((name, 0.0),)):
        labels[region][free & (field > depth_mm / min(star.radii[:2]))] = LABELS[shell]
    if name == "stomach":
        air = (labels[region] == LABELS["stomach_content"]) & (y < star.centre[1] - AIR_MM)
        labels[region][air] = LABELS["stomach_air"]


def _paint_spots(
    labels: LabelMap,
    grid: Grid,
    stars: Sequence[tuple[str, Star]],
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> Iterator[Finding]:
    """Paint the round findings and yield each; one kind's draws do not depend on another's."""
    for (name, spot), own in zip(SPOTS.items(), rng.spawn(len(SPOTS)), strict=True):
        if own.random() >= shares.get(name, 0.0):
            continue
        hosts = [number for number, (body, _) in enumerate(stars) if body == spot.body]
        for _ in range(int(own.integers(1, spot.most + 1))):
            number = int(own.choice(hosts))
            radius = float(own.uniform(*spot.radius_mm))
            centre = _inside(stars, number, own)
            if centre is None:
                continue
            star = make_star(own, centre, (radius, radius, radius), swelling=0.1)
            region, field = star.field(grid)
            cover = np.isin(labels[region], [LABELS[part] for part in spot.covers])
            labels[region][cover & (field > 0)] = LABELS[name]
            if name not in FINDINGS:
                continue  # lesions that every patient has
            x, y, z = centre
            yield Finding(name, spot.organ, (-x, -y, z), 2 * radius)


def _inside(
    stars: Sequence[tuple[str, Star]], number: int, rng: np.random.Generator
) -> Point | None:
    """Return a place inside one body and outside those painted before; None if none is found."""
    host = stars[number][1]
    for _ in range(TRIES):
        offset = rng.uniform(-0.7, 0.7, 3) * np.minimum(host.radii, 60.0)
        x, y, z = (np.array(host.centre) + offset).tolist()
        here = Grid(*(np.array([value], np.float32) for value in (z, y, x)))
        depths = [star.field(here)[1] for _, star in stars[: number + 1]]
        held = [bool((depth > 0).any()) for depth in depths]
        if held[-1] and not any(held[:-1]):
            return x, y, z
    return None


STARS = Setting("stars", STAR_TISSUES, paint_stars, dose_sd=0.28, dose_range=(0.55, 1.7))
