"""Setting: one way to make patients, which is a painter of anatomy and a table of HU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medcyclegan.phantom.painter import LabelMap
from medcyclegan.phantom.parameters import DOSE_RANGE, DOSE_SD, LABELS, Tissue
from medcyclegan.phantom.population import Population
from medcyclegan.phantom.shapes import Grid, Point

Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Finding:
    """Something that not every patient has.

    Args:
        name: its label.
        organ: the organ or space it lies in.
        centre_mm: its middle in the world, RAS+, mm.
        diameter_mm: of the round ones as drawn, in the slice; of a whole organ or a pool of fluid
            that of a ball of its volume.
    """

    name: str
    organ: str
    centre_mm: Point
    diameter_mm: float


@dataclass(frozen=True)
class Painted:
    """One patient painted on a grid.

    Args:
        labels: (S, H, W), values of `LABELS`.
        findings: the round ones he has, on the grid or beyond it; those that fill an organ or a
            space are known by their labels alone.
    """

    labels: LabelMap
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Setting:
    """One way to make patients.

    Args:
        name: its key in `SETTINGS`.
        tissues: HU of every tissue; the names and their order are those of `LABELS`.
        paint: (grid, streams, population) -> the patient. `streams(name)` gives one of the
            patient's sources of random numbers from its start, however often it is asked:
            "anatomy" for the body, "findings" for what only some have. Equal streams give an
            equal patient on any grid.
        dose_sd: spread of the logarithm of patients' dose of iodine per body size.
        dose_range: least and greatest dose; 1 is usual.

    Raises:
        ValueError: `tissues` has other names than `LABELS`.
    """

    name: str
    tissues: Mapping[str, Tissue]
    paint: Callable[[Grid, Streams, Population], Painted]
    dose_sd: float = DOSE_SD
    dose_range: tuple[float, float] = DOSE_RANGE

    def __post_init__(self) -> None:
        if list(self.tissues) != list(LABELS):
            raise ValueError(f"the tissues of setting {self.name} are not those of LABELS")
