"""An evaluation's plots: figures of all methods with their intervals, and errors against dose."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcyclegan.report.evaluate_tables import words

PLOTTED = (
    "gap_closed",
    "organ_error",
    "null_shift",
    "lesions_kept",
    "lesions_lost",
    "flicker",
    "texture",
    "organ_distribution",
    "taken_over",
    "null_by_source_hu",
)
COLORS = (  # told apart by colour-blind people, too (Okabe and Ito 2008)
    "#d55e00",
    "#0072b2",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#7f7f7f",
    "#000000",
    "#8c564b",
    "#4b0082",
    "#b8a400",
    "#17a398",
    "#8a9a5b",
)
MARKERS = "osD^vP<>XdHp*"
BESIDE = ("identity", "label_shift", "information_ceiling")  # of the method, against dose
WIDTH_INCHES = 9.0
COLUMNS = 3


def draw_plots(result: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> PNG of every plot that can be drawn.

    Args:
        result: what `evaluate` writes to metrics.json.
    """
    plots = {
        name: _dots(result, name) for name in PLOTTED if result["metrics"].get(name, {}).get("rows")
    }
    if "dose_slope" in result["metrics"]:
        plots["error_against_dose"] = _against_dose(result)
    return plots


def _dots(result: Mapping[str, Any], metric: str) -> bytes:
    """Return a plot of one metric: rows one below the other, a mark for each method."""
    found, methods = result["metrics"][metric], list(result["methods"])
    rows = found["rows"]
    high = 1.0 + len(rows) * (0.12 + 0.075 * len(methods))
    drawn = Figure(figsize=(WIDTH_INCHES, high), layout="constrained", facecolor="white")
    axes = drawn.add_subplot()
    offsets = np.linspace(-0.34, 0.34, len(methods))
    for number, method in enumerate(methods):
        _marks(axes, rows, method, offsets[number], number)
    if found["ideal"] is not None:
        axes.axvline(found["ideal"], color="#444444", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(rows)), [f"{words(row)} ({rows[row]['patients']})" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for edge in range(1, len(rows)):
        axes.axhline(edge - 0.5, color="#dddddd", linewidth=0.6)
    axes.set_xlabel(found["title"])
    _clip(axes, rows)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return _png(drawn)


def _marks(axes: Axes, rows: Mapping[str, Any], method: str, offset: float, number: int) -> None:
    places, values, low, high = [], [], [], []
    for place, row in enumerate(rows.values()):
        figure = row["methods"][method]
        if figure["value"] is None:
            continue
        value = figure["value"]
        places.append(place + offset)
        values.append(value)
        low.append(max(0.0, value - (value if figure["low"] is None else figure["low"])))
        high.append(max(0.0, (value if figure["high"] is None else figure["high"]) - value))
    axes.errorbar(
        values,
        places,
        xerr=(low, high),
        fmt=MARKERS[number % len(MARKERS)],
        color=COLORS[number % len(COLORS)],
        markersize=4,
        linewidth=1.0,
        label=words(method),
    )


def _clip(axes: Axes, rows: Mapping[str, Any]) -> None:
    """Keep one method that is far out from pressing all others together."""
    values = [
        figure["value"]
        for row in rows.values()
        for figure in row["methods"].values()
        if figure["value"] is not None
    ]
    if len(values) < 4:
        return
    low, middle, high = np.percentile(values, [10, 50, 90])
    reach = 2.5 * max(high - middle, middle - low)
    left, right = axes.get_xlim()
    if reach > 0:
        axes.set_xlim(max(left, middle - reach), min(right, middle + reach))


def _against_dose(result: Mapping[str, Any]) -> bytes:
    """Return a plot of each organ's signed error against the patient's dose."""
    methods = list(result["methods"])
    beside = [name for name in BESIDE if name in methods and name != result["method"]]
    shown = [result["method"], *beside]
    organs = [
        row for row in result["metrics"]["dose_slope"]["rows"] if row not in result["aside"]
    ] or list(result["metrics"]["dose_slope"]["rows"])
    lines = -(-len(organs) // COLUMNS)
    drawn = Figure(
        figsize=(WIDTH_INCHES, 0.6 + 2.3 * lines), layout="constrained", facecolor="white"
    )
    for place, organ in enumerate(organs):
        axes = drawn.add_subplot(lines, COLUMNS, place + 1)
        for method in shown:
            number = methods.index(method)
            points = _points(result, method, organ)
            axes.plot(
                *points,
                MARKERS[number % len(MARKERS)],
                color=COLORS[number % len(COLORS)],
                markersize=4,
                label=words(method),
            )
        axes.axhline(0.0, color="#444444", linewidth=0.8, linestyle=":")
        axes.set_title(words(organ), fontsize=9)
        axes.tick_params(labelsize=8)
    drawn.supxlabel("dose of iodine, 1 is usual", fontsize=9)
    drawn.supylabel("output less truth, HU", fontsize=9)
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return _png(drawn)


def _points(result: Mapping[str, Any], method: str, organ: str) -> tuple[list[float], list[float]]:
    doses, errors = [], []
    for case in result["cases"].values():
        parts = case["methods"][method].get("dose_slope", {}).get(organ)
        if parts is not None and None not in parts:
            doses.append(parts[0])
            errors.append(parts[1])
    return doses, errors


def _png(drawn: Figure) -> bytes:
    buffer = io.BytesIO()
    unsigned: dict[str, Any] = {"Software": None}  # the bytes depend on the plot alone
    drawn.savefig(buffer, format="png", dpi=110, metadata=unsigned)
    return buffer.getvalue()
