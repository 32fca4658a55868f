"""The table of a translation beside its baselines: per organ, per tissue that must not move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def compare(
    cases: Sequence[TwinnedCase],
    translated: Sequence[Volume],
    baselines: Mapping[str, Sequence[Volume]],
    *,
    organs: Tissues,
    null_tissues: Tissues,
) -> dict[str, Any]:
    """Return how near each method comes to the truth, as plain values ready for JSON.

    Args:
        cases: test cases with their twins.
        translated: one output for each case, on its grid.
        baselines: name -> outputs of another method for the same cases.
        organs: name -> label values of what is to change.
        null_tissues: name -> label values of what must not.

    Returns:
        `patients`; `organs`: for each, mean over patients of `input_hu`, `output_hu`, `twin_hu`,
        the `gap_closed` and that of each of `baselines`; `null_tissues`: for each, `input_hu`,
        `output_hu`, `twin_hu`, `shift_hu`, `change_hu` (see `null_shift` and `null_change`) and
        the shift of each of `baselines`; `summary` and each of its `baselines`: `worst`, `median`
        and `mean` gap closed and the `largest_shift_hu`. None stands for what cannot be said.

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
    closed, shifts, changes = gap_closed(ours), null_shift(ours), null_change(ours)
    others = {name: trials(outputs) for name, outputs in baselines.items()}
    others_closed = {name: gap_closed(those) for name, those in others.items()}
    others_shifts = {name: null_shift(those) for name, those in others.items()}
    organ_rows = {
        name: {
            **means,
            "gap_closed": _number(closed[name]),
            "baselines": {other: _number(rows[name]) for other, rows in others_closed.items()},
        }
        for name, means in _mean_rows(ours, "organs").items()
    }
    null_rows = {
        name: {
            **means,
            "shift_hu": _number(shifts[name]),
            "change_hu": _number(changes[name]),
            "baselines": {other: _number(rows[name]) for other, rows in others_shifts.items()},
        }
        for name, means in _mean_rows(ours, "null_tissues").items()
    }
    summary = _summary(closed, shifts)
    summary["baselines"] = {
        other: _summary(others_closed[other], others_shifts[other]) for other in others
    }
    return {
        "patients": len(cases),
        "organs": organ_rows,
        "null_tissues": null_rows,
        "summary": summary,
    }


def _mean_rows(trials: Sequence[Trial], kind: Kind) -> dict[str, dict[str, Any]]:
    source, output, truth = (
        tissue_means(trials, kind, which) for which in ("source", "output", "truth")
    )
    return {
        name: {
            "patients": len(source[name]),
            "input_hu": _number(np.mean(source[name])),
            "output_hu": _number(np.mean(output[name])),
            "twin_hu": _number(np.mean(truth[name])),
        }
        for name in source
    }


def _summary(closed: Mapping[str, float], shifts: Mapping[str, float]) -> dict[str, Any]:
    gaps = [value for value in closed.values() if np.isfinite(value)]
    return {
        "worst": _number(min(gaps)) if gaps else None,
        "median": _number(np.median(gaps)) if gaps else None,
        "mean": _number(np.mean(gaps)) if gaps else None,
        "largest_shift_hu": _number(max(shifts.values())) if shifts else None,
    }


def _number(value: float | np.floating[Any]) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
