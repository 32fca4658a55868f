"""The short table of a translation beside its baselines: organs, and tissue that must not move."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medcyclegan.metrics import METRICS
from medcyclegan.metrics.organ_hu import mean_hu
from medcyclegan.metrics.reference import Hu, Reference
from medcyclegan.metrics.table import Measured, measure

COLUMNS: dict[str, dict[str, str]] = {  # kind of tissue -> column -> metric
    "organs": {"gap_closed": "gap_closed"},
    "null_tissues": {"shift_hu": "null_shift", "change_hu": "null_change"},
}

Row = dict[str, Any]


def compare(
    references: Sequence[Reference],
    translated: Sequence[Hu],
    baselines: Mapping[str, Sequence[Hu]],
) -> dict[str, Any]:
    """Return how near each method comes to the truth, as plain values ready for JSON.

    Every figure is of a tissue's core: see `Region`. None stands for what cannot be said, and no
    tissue is passed over: one whose figure is None leaves None in the summary too. Only what the
    references set aside is: an organ always, a null tissue where no patient has it; it has no part
    in the summary's means.

    Args:
        references: patients with labels and truth, all of one table of tissues.
        translated: one output for each patient, HU, (S, H, W).
        baselines: name -> outputs of another method for the same patients.

    Returns:
        `patients`; `organs` and `null_tissues`: for each tissue, in how many `patients` it is,
        means over these of `input_hu`, `output_hu`, `twin_hu`, the figures of `COLUMNS`, and
        `baselines`: name -> the same figures of each; `summary` and each of its `baselines`:
        `worst`, `median` and `mean` gap closed and the `mean_shift_hu`, all over tissues not set
        aside, the `largest_shift_hu` over all and the tissue it is `largest_shift_in`.

    Raises:
        GeometryError: an output differs from its source in shape.
    """
    wanted = [metric for columns in COLUMNS.values() for metric in columns.values()]
    metrics = {name: METRICS[name] for name in wanted}

    def measured(outputs: Sequence[Hu]) -> list[Measured]:
        pairs = zip(references, outputs, strict=True)
        return [measure(reference, output, metrics) for reference, output in pairs]

    ours = measured(translated)
    others = {name: measured(outputs) for name, outputs in baselines.items()}
    rows: dict[str, dict[str, Row]] = {
        kind: {
            name: {
                **_means(references, translated, kind, name),
                **_figures(ours, columns, name),
                "baselines": {
                    other: _figures(theirs, columns, name) for other, theirs in others.items()
                },
            }
            for name in _shown(references, kind)
        }
        for kind, columns in COLUMNS.items()
    }
    aside = frozenset(name for reference in references for name in reference.tissues.aside)
    summary = _summary(rows, aside)
    summary["baselines"] = {
        other: _summary(
            {
                kind: {name: row["baselines"][other] for name, row in of_kind.items()}
                for kind, of_kind in rows.items()
            },
            aside,
        )
        for other in others
    }
    return {"patients": len(references), **rows, "summary": summary}


def _shown(references: Sequence[Reference], kind: str) -> Iterable[str]:
    """Return the tissues with a row: of those set aside, null tissues that a patient has."""
    return dict.fromkeys(
        name
        for reference in references
        for name in getattr(reference.tissues, kind)
        if name not in reference.tissues.aside
        or (kind == "null_tissues" and name in reference.null_tissues)
    )


def _means(references: Sequence[Reference], translated: Sequence[Hu], kind: str, name: str) -> Row:
    having = [
        (reference, output, getattr(reference, kind)[name].core)
        for reference, output in zip(references, translated, strict=True)
        if name in getattr(reference, kind)
    ]
    return {
        "patients": len(having),
        "input_hu": _mean([mean_hu(each.source.hu, core) for each, _, core in having]),
        "output_hu": _mean([mean_hu(output, core) for _, output, core in having]),
        "twin_hu": _mean(
            [mean_hu(each.truth, core) for each, _, core in having if each.truth is not None]
        ),
    }


def _figures(measured: Sequence[Measured], columns: Mapping[str, str], name: str) -> Row:
    figures: Row = {}
    for column, metric in columns.items():
        rows = [each.parts[metric] for each in measured]
        values = np.array([row[name] for row in rows if name in row], dtype=np.float64)
        figures[column] = _number(METRICS[metric].combine(values)) if len(values) else None
    return figures


def _summary(rows: Mapping[str, Mapping[str, Row]], aside: Collection[str]) -> Row:
    gaps = [row["gap_closed"] for name, row in rows["organs"].items() if name not in aside]
    shifts = {name: row["shift_hu"] for name, row in rows["null_tissues"].items()}
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
