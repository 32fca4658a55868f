"""Tables of methods side by side: every metric, every row, an interval with each figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medcyclegan.errors import GeometryError
from medcyclegan.metrics import METRICS
from medcyclegan.metrics.bootstrap import RESAMPLES, Estimate, bootstrap
from medcyclegan.metrics.metric import Metric, Parts, Values
from medcyclegan.metrics.reference import Hu, Need, Reference

IDENTITY = "identity"  # the method that gives the source back
DIGITS = 6

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """What was measured of one method's output for one patient.

    Args:
        patient: his key.
        parts: metric -> row -> his parts of the figure.
        lacking: metric that could not be measured -> what is not known of the patient.
    """

    patient: str
    parts: Mapping[str, Parts]
    lacking: Mapping[str, tuple[Need, ...]]


def measure(reference: Reference, output: Hu, metrics: Mapping[str, Metric] = METRICS) -> Measured:
    """Return one patient's parts of every metric that what is known of him allows.

    Args:
        reference: the patient.
        output: what a method made of his source, HU, (S, H, W).
        metrics: name -> metric.

    Raises:
        GeometryError: the output differs from the source in shape.
    """
    shape = reference.source.hu.shape
    if output.shape != shape:
        raise GeometryError(f"source and output differ in shape: {shape}, {output.shape}")
    parts: dict[str, Parts] = {}
    lacking: dict[str, tuple[Need, ...]] = {}
    for name, metric in metrics.items():
        missing = tuple(sorted(need for need in metric.needs if not reference.has(need)))
        if missing:
            lacking[name] = missing
        else:
            parts[name] = metric.measure(reference, output)
    return Measured(reference.patient, parts, lacking)


def tabulate(
    methods: Mapping[str, Sequence[Measured]],
    metrics: Mapping[str, Metric] = METRICS,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all figures of all methods with 95 % intervals, as plain values ready for JSON.

    A row's figures are of the same patients for every method: those in whom each could be
    measured. None stands for what cannot be said.

    Args:
        methods: name -> what was measured, one entry for each patient in the same order; the
            first is the one in question, the others are what it is held against, "identity"
            among them where gaps closed are shown: no closure is told without it.
        metrics: name -> metric.
        resamples: draws of patients behind each interval; see `Bootstrap`.
        seed: of the draws.

    Returns:
        `patients`, their number; `metrics`: name -> `title`, `rows_are` (the kind of row),
        `ideal` (None where more is always better), `rows`: name -> `patients`, their number,
        `methods`: name -> `value`, `low`, `high`, and `differences`: name of each method but the
        first -> the same of how far the first lies above it, patient by patient;
        `not_measured`: name -> what was not known of any patient.

    Raises:
        ValueError: no methods, methods of different patients, or gaps closed without identity.
    """
    patients = _patients(methods)
    all_measured = [measured for each in methods.values() for measured in each]
    shown = {name for measured in all_measured for name in measured.parts}
    if "gap_closed" in shown & set(metrics) and IDENTITY not in methods:
        raise ValueError(f'gaps closed are shown beside baselines, "{IDENTITY}" among them')
    lacking = {
        name: sorted({need for measured in all_measured for need in measured.lacking.get(name, ())})
        for name in metrics
        if name not in shown
    }
    tables: dict[str, Row] = {}
    for name, metric in metrics.items():
        if name in shown:
            tables[name] = {
                "title": metric.title,
                "rows_are": metric.rows,
                "ideal": plain(metric.ideal),
                "rows": {
                    row: _figures(values, metric, resamples, seed)
                    for row, values in _rows(methods, name)
                },
            }
    return {"patients": len(patients), "metrics": tables, "not_measured": lacking}


def _patients(methods: Mapping[str, Sequence[Measured]]) -> list[str]:
    patients = {name: [each.patient for each in measured] for name, measured in methods.items()}
    if not patients:
        raise ValueError("no methods to tabulate")
    first, *others = patients.items()
    for name, theirs in others:
        if theirs != first[1]:
            raise ValueError(f"{name} and {first[0]} were not measured in the same patients")
    return first[1]


def _rows(
    methods: Mapping[str, Sequence[Measured]], metric: str
) -> Iterator[tuple[str, dict[str, Values]]]:
    """Yield each row with each method's parts of the patients that have it, (P, parts)."""
    parts = {
        name: [measured.parts.get(metric, {}) for measured in each]
        for name, each in methods.items()
    }
    rows = dict.fromkeys(row for each in parts.values() for rows in each for row in rows)
    for row in rows:
        having = [
            number
            for number, of_patient in enumerate(zip(*parts.values(), strict=True))
            if all(row in each for each in of_patient)
        ]
        if having:
            yield (
                row,
                {
                    name: np.array([each[number][row] for number in having], dtype=np.float64)
                    for name, each in parts.items()
                },
            )


def _figures(values: Mapping[str, Values], metric: Metric, resamples: int, seed: int) -> Row:
    figures = {
        name: bootstrap(each, metric.combine, resamples=resamples, seed=seed)
        for name, each in values.items()
    }
    first, *others = figures
    ours = figures[first]
    return {
        "patients": ours.patients,
        "methods": {name: _plain_all(figure.estimate) for name, figure in figures.items()},
        "differences": {name: _plain_all((ours - figures[name]).estimate) for name in others},
    }


def _plain_all(figures: Estimate) -> Row:
    return {key: plain(value) for key, value in figures._asdict().items()}


def plain(value: float | None) -> float | None:
    """Return a number as JSON has it, rounded; None for what it has not."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")
