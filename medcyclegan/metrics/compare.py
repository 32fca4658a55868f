"""The table of a translation beside its baselines: per organ, per tissue that must not move."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medcyclegan.metrics.organ_hu import (
    Kind,
    gap_closed,
    null_change,
    null_shift,
    tissue_means,
)
from medcyclegan.metrics.trial import Tissues, Trial, TwinnedCase, make_regions, make_trial
from medcyclegan.volume import Volume

# What is measured in organs and in tissues that must not move: name -> tissue -> value.
METRICS: dict[Kind, dict[str, Callable[[Sequence[Trial]], dict[str, float]]]] = {
    "organs": {"gap_closed": gap_closed},
    "null_tissues": {"shift_hu": null_shift, "change_hu": null_change},
}

Row = dict[str, Any]


def compare(
    cases: Sequence[TwinnedCase],
    translated: Sequence[Volume],
    baselines: Mapping[str, Sequence[Volume]],
    *,
    organs: Tissues,
    null_tissues: Tissues,
    aside: Collection[str] = (),
) -> dict[str, Any]:
    """Return how near each method comes to the truth, as plain values ready for JSON.

    Every figure is of a tissue less a rim of one voxel where it is thick enough for that: see
    `make_regions`. None stands for what cannot be said, and no tissue is passed over: one whose
    figure is None leaves None in the summary too.

    Args:
        cases: test cases with their twins.
        translated: one output for each case, on its grid.
        baselines: name -> outputs of another method for the same cases.
        organs: name -> label values of what is to change.
        null_tissues: name -> label values of what must not.
        aside: null tissues kept out of the mean shift, such as air, which is trivially still.

    Returns:
        `patients`; `organs` and `null_tissues`: for each tissue, in how many `patients` it is,
        means over these of `input_hu`, `output_hu`, `twin_hu`, the figures of `METRICS`, and
        `baselines`: name -> the same figures of each; `summary` and each of its `baselines`:
        `worst`, `median` and `mean` gap closed, the `mean_shift_hu` over null tissues not set
        aside, the `largest_shift_hu` over all and the tissue it is `largest_shift_in`.

    Raises:
        GeometryError: an output is not on its source's grid.
    """
    regions = [
        (make_regions(case.labels, organs), make_regions(case.labels, null_tissues))
        for case in cases
    ]

    def trials(outputs: Sequence[Volume]) -> list[Trial]:
        return [
            make_trial(case, output, *masks)
            for case, output, masks in zip(cases, outputs, regions, strict=True)
        ]

    ours = trials(translated)
    others = {name: trials(outputs) for name, outputs in baselines.items()}
    organ_rows = _rows(ours, others, "organs", organs)
    null_rows = _rows(ours, others, "null_tissues", null_tissues)
    summary = _summary(organ_rows, null_rows, aside)
    summary["baselines"] = {
        other: _summary(_of_baseline(other, organ_rows), _of_baseline(other, null_rows), aside)
        for other in others
    }
    return {
        "patients": len(cases),
        "organs": organ_rows,
        "null_tissues": null_rows,
        "summary": summary,
    }


def _rows(
    ours: Sequence[Trial],
    others: Mapping[str, Sequence[Trial]],
    kind: Kind,
    names: Iterable[str],
) -> dict[str, Row]:
    source, output, truth = (
        tissue_means(ours, kind, which) for which in ("source", "output", "truth")
    )
    figures = _figures(ours, kind)
    others_figures = {other: _figures(trials, kind) for other, trials in others.items()}
    return {
        name: {
            "patients": len(source.get(name, [])),
            "input_hu": _mean(source.get(name, [])),
            "output_hu": _mean(output.get(name, [])),
            "twin_hu": _mean(truth.get(name, [])),
            **{key: _number(values.get(name)) for key, values in figures.items()},
            "baselines": {
                other: {key: _number(values.get(name)) for key, values in theirs.items()}
                for other, theirs in others_figures.items()
            },
        }
        for name in names
    }


def _figures(trials: Sequence[Trial], kind: Kind) -> dict[str, dict[str, float]]:
    return {key: metric(trials) for key, metric in METRICS[kind].items()}


def _of_baseline(other: str, rows: Mapping[str, Row]) -> dict[str, Row]:
    return {name: row["baselines"][other] for name, row in rows.items()}


def _summary(
    organ_rows: Mapping[str, Row], null_rows: Mapping[str, Row], aside: Collection[str]
) -> Row:
    gaps = [row["gap_closed"] for row in organ_rows.values()]
    shifts = {name: row["shift_hu"] for name, row in null_rows.items()}
    known_gaps = gaps and None not in gaps
    known_shifts = shifts and None not in shifts.values()
    largest = max(shifts, key=lambda name: shifts[name]) if known_shifts else None
    return {
        "worst": min(gaps) if known_gaps else None,
        "median": _number(np.median(gaps)) if known_gaps else None,
        "mean": _mean(gaps) if known_gaps else None,
        "mean_shift_hu": _mean([hu for name, hu in shifts.items() if name not in aside])
        if known_shifts
        else None,
        "largest_shift_hu": shifts[largest] if largest else None,
        "largest_shift_in": largest,
    }


def _mean(values: Sequence[float]) -> float | None:
    return _number(np.mean(values)) if values else None


def _number(value: float | np.floating[Any] | None) -> float | None:
    return round(float(value), 4) if value is not None and np.isfinite(value) else None
