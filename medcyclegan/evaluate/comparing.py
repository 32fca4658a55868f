"""Methods side by side on the same patients: measured one by one, tabulated, summed up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from medcyclegan.metrics.baselines import BASELINES, Transform, fit_baselines
from medcyclegan.metrics.reference import Hu, Reference
from medcyclegan.metrics.table import Measured, measure, plain, tabulate

SECOND = "second_acquisition"
CEILING = "information_ceiling"
TITLES = {name: baseline.title for name, baseline in BASELINES.items()} | {
    CEILING: "the best that can be done from the label map and what is usual, without knowing the "
    "patient's dose",
    SECOND: "the truth itself, acquired again with noise of its own",
}
ABSOLUTE = ("dose_slope",)  # signs of organs must not cancel in a summary

Say = Callable[[str], None]


class Subject(NamedTuple):
    """One patient and the outputs that are at hand for him.

    Args:
        reference: what outputs are held against.
        outputs: name of a method -> its output, HU, (S, H, W), read or made when asked for.
    """

    reference: Reference
    outputs: Mapping[str, Callable[[], Hu]]


def compare_methods(
    subjects: Iterable[Subject], titles: Mapping[str, str], *, seed: int, say: Say
) -> dict[str, Any]:
    """Return the figures of all outputs at hand beside every baseline that can be fitted.

    Args:
        subjects: patients with the same methods' outputs each, the method in question first. They
            are walked through several times: one that reads files anew needs room for one.
        titles: name -> what it is, of the outputs at hand.
        seed: of the draws behind the intervals.
        say: told, one line each, what is done.

    Returns:
        What `tabulate` gives, with `methods` (name -> `title`, what it was `fitted_on`),
        `left_out` (baselines that could not be fitted -> what they need), rows set `aside`,
        `summary` and `cases` (patient -> `dose`, `methods`: method -> metric -> row -> parts).
    """
    baselines = fit_baselines(_References(subjects))
    for name, needs in baselines.left_out.items():
        say(f"left out: {name}, which takes {needs}")
    measured: dict[str, list[Measured]] = {}
    aside: set[str] = set()
    doses: dict[str, float | None] = {}
    for reference, outputs in subjects:
        say(f"measuring {reference.patient}")
        aside |= reference.tissues.aside
        doses[reference.patient] = reference.dose
        for name, output in outputs.items():
            measured.setdefault(name, []).append(measure(reference, output()))
        for name, transform in baselines.transforms.items():
            measured.setdefault(name, []).append(measure(reference, transform(reference)))
        if reference.second is not None:
            measured.setdefault(SECOND, []).append(measure(reference, reference.second))
    ordered = _in_order(measured, baselines.transforms)
    table = tabulate(ordered, seed=seed)
    table["methods"] = {
        name: {
            "title": titles.get(name) or TITLES[name],
            "fitted_on": baselines.fitted_on.get(name),
        }
        for name in ordered
    }
    table["left_out"] = dict(baselines.left_out)
    table["aside"] = sorted(aside)
    table["summary"] = summarise(table, aside)
    table["cases"] = _cases(ordered, doses)
    return table


@dataclass(frozen=True)
class _References:
    """The references of subjects, read anew at each walk as the subjects are."""

    subjects: Iterable[Subject]

    def __iter__(self) -> Iterator[Reference]:
        return (subject.reference for subject in self.subjects)


def _in_order(
    measured: Mapping[str, list[Measured]], baselines: Mapping[str, Transform]
) -> dict[str, list[Measured]]:
    """Return the outputs at hand, then the baselines, then the ceilings."""
    last = [name for name in (CEILING, SECOND) if name in measured]
    first = [name for name in measured if name not in baselines and name not in last]
    return {name: measured[name] for name in [*first, *baselines, *last]}


def summarise(table: Mapping[str, Any], aside: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return each method's mean over rows of each metric, and the worst gap closed of any organ.

    Rows set aside do not count, nor does one of which nothing can be said for any method. What
    cannot be said of one method alone leaves None in its summary.

    Args:
        table: as `tabulate` gives it.
        aside: rows that do not count.
    """
    figures: dict[str, dict[str, Any]] = {}
    for metric, found in table["metrics"].items():
        rows = [row["methods"] for name, row in found["rows"].items() if name not in aside]
        rows = [row for row in rows if any(each["value"] is not None for each in row.values())]
        methods = list(rows[0]) if rows else []
        for method in methods:
            values = [row[method]["value"] for row in rows]
            summary = figures.setdefault(method, {})
            known = None not in values
            if metric == "gap_closed":
                summary["gap_closed_worst"] = min(values) if known else None
            if metric in ABSOLUTE and known:
                values = [abs(value) for value in values]
            summary[metric] = float(f"{np.mean(values):.6g}") if known else None
    return figures


def _cases(
    measured: Mapping[str, Sequence[Measured]], doses: Mapping[str, float | None]
) -> dict[str, dict[str, Any]]:
    """Return what each patient adds to the figures, as JSON has it."""
    cases: dict[str, dict[str, Any]] = {
        patient: {"dose": dose, "methods": {}} for patient, dose in doses.items()
    }
    for method, of_patients in measured.items():
        for one in of_patients:
            cases[one.patient]["methods"][method] = {
                metric: {row: [plain(part) for part in parts] for row, parts in rows.items()}
                for metric, rows in one.parts.items()
            }
    return cases
