"""The figures of a row: what its outputs for the test patients are, held against their twins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from medcyclegan.cohort import phantom_reference
from medcyclegan.evaluate.comparing import CEILING, summarise
from medcyclegan.intensity import Window
from medcyclegan.metrics import METRICS
from medcyclegan.metrics.reference import Hu, Reference
from medcyclegan.metrics.table import IDENTITY, Measured, measure, tabulate
from medcyclegan.phantom import PhantomCase
from medcyclegan.phantom.parameters import LOOKALIKES
from medcyclegan.proof.cheats import ceiling_of

WINDOW = Window(-200.0, 600.0)  # for measuring, whatever a variant's networks see
MEASURED = {
    name: METRICS[name]
    for name in (
        "gap_closed",
        "organ_error",
        "rim_error",
        "dose_slope",
        "noise_corrected_error",
        "null_shift",
        "null_change",
        "lesions_kept",
        "lesions_lost",
        "lesions_invented",
        "flicker",
        "texture",
    )
}

Method = Callable[[PhantomCase, Reference], Hu]


class Worst(NamedTuple):
    """A tissue and its figure, HU."""

    name: str
    hu: float


class Figures(NamedTuple):
    """What a table shows of one method; None is what cannot be said.

    Args:
        organs: mean over organs of the error of the mean above the ceiling's, HU.
        worst_organ: where that is largest.
        gap_worst: smallest gap closed of any organ.
        null: mean shift of tissue that must not move, HU.
        worst_null: where that is largest.
        lookalikes: mean shift of look-alikes of contrast medium, HU.
        worst_lookalike: where that is largest.
        dose: mean over organs of the size of the error's slope on dose, as a share of that of
            doing nothing.
        lesions: those kept, and all.
        invented: lesions per patient.
        flicker: mean over organs, as a multiple of the true change's.
    """

    organs: float | None
    worst_organ: Worst | None
    gap_worst: float | None
    null: float | None
    worst_null: Worst | None
    lookalikes: float | None
    worst_lookalike: Worst | None
    dose: float | None
    lesions: tuple[int, int]
    invented: float | None
    flicker: float | None

    @property
    def total(self) -> float | None:
        """The figure that decides, HU; less is better."""
        parts = (self.organs, self.null, self.lookalikes)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


class Found(NamedTuple):
    """What was measured of some methods in the same patients.

    Args:
        table: as `tabulate` gives it.
        measured: method -> what was measured, patient by patient.
        aside: rows that do not count in summaries.
    """

    table: Mapping[str, Any]
    measured: Mapping[str, list[Measured]]
    aside: Collection[str]

    def figures(self, method: str) -> Figures:
        """Return what a table shows of a method."""
        organs, ceiling = (self._values("organ_error", one) for one in (method, CEILING))
        above = {name: hu - ceiling[name] for name, hu in self._counted(organs).items()}
        shifts = self._values("null_shift", method)
        null = self._counted(shifts)
        alike = {name: hu for name, hu in shifts.items() if name in LOOKALIKES}
        slopes, still = (self._values("dose_slope", one) for one in (method, IDENTITY))
        slope, untouched = (_mean_size(self._counted(each)) for each in (slopes, still))
        summary = summarise(self.table, self.aside)[method]
        return Figures(
            organs=_mean(above),
            worst_organ=_worst(above),
            gap_worst=summary["gap_closed_worst"],
            null=_mean(null),
            worst_null=_worst(null),
            lookalikes=_mean(alike),
            worst_lookalike=_worst(alike),
            dose=slope / untouched if slope is not None and untouched else None,
            lesions=self._lesions(method),
            invented=summary["lesions_invented"],
            flicker=summary["flicker"],
        )

    def _values(self, metric: str, method: str) -> dict[str, float]:
        """Return a metric's figures by row, those that can be said."""
        rows = self.table["metrics"][metric]["rows"].items()
        values = {name: row["methods"][method]["value"] for name, row in rows}
        return {name: value for name, value in values.items() if value is not None}

    def _counted(self, values: Mapping[str, float]) -> dict[str, float]:
        return {name: value for name, value in values.items() if name not in self.aside}

    def _lesions(self, method: str) -> tuple[int, int]:
        parts = [
            part for one in self.measured[method] for part in one.parts["lesions_kept"].values()
        ]
        kept, every = (int(sum(part[number] for part in parts)) for number in (0, 1))
        return kept, every


def find(patients: Iterable[PhantomCase], methods: Mapping[str, Method]) -> Found:
    """Measure methods, doing nothing and the ceiling in patients, who are walked through once."""
    every = {**methods, IDENTITY: _identity, CEILING: _ceiling}
    measured: dict[str, list[Measured]] = {name: [] for name in every}
    aside: set[str] = set()
    for case in patients:
        reference = phantom_reference(case, WINDOW)
        aside |= reference.tissues.aside
        for name, method in every.items():
            measured[name].append(measure(reference, method(case, reference), MEASURED))
    return Found(tabulate(measured, MEASURED), measured, aside)


def _identity(case: PhantomCase, reference: Reference) -> Hu:
    del case
    return reference.source.hu


def _ceiling(case: PhantomCase, reference: Reference) -> Hu:
    del reference
    return ceiling_of(case)


def _mean(values: Mapping[str, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def _mean_size(values: Mapping[str, float]) -> float | None:
    return _mean({name: abs(value) for name, value in values.items()})


def _worst(values: Mapping[str, float]) -> Worst | None:
    if not values:
        return None
    name = max(values, key=values.__getitem__)
    return Worst(name, values[name])
