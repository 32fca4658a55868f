"""A run's curves: losses, what validations found, speed."""

from __future__ import annotations

import io
from collections.abc import Container, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from medcyclegan.report.evaluate_plots import COLORS
from medcyclegan.report.series import Series
from medcyclegan.validation.score import REJECTED

WIDTH_INCHES = 11.0
COLUMNS = 3
LOG_FROM = 8.0  # largest over smallest smoothed value from which on a scale is logarithmic
SAME = 1e-6  # relative difference of values that are shown as one
DOMAIN_ENDINGS = ("_a", "_b")
MOST_PLOTS = 36  # in one picture


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Return names by what stands before their domain: `cycle_a` and `cycle_b` belong together.

    >>> grouped(["cycle_a", "cycle_b", "learning_rate"])
    {'cycle': ['cycle_a', 'cycle_b'], 'learning rate': ['learning_rate']}
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        stem = next((name[:-2] for ending in DOMAIN_ENDINGS if name.endswith(ending)), name)
        groups.setdefault(stem.replace("_", " "), []).append(name)
    return groups


def draw_figures(
    series: Mapping[str, Series], domains: tuple[str, str], *, log: Container[str] = ()
) -> bytes:
    """Return a PNG with a plot for each group of figures, those of the two domains together.

    Each curve is a running mean; behind it, paler, are the values it was made from.

    Args:
        series: name -> values.
        domains: names of domain a and b.
        log: names of those whose scale is logarithmic where they lie above 0 and change eightfold.
    """
    groups = list(grouped(list(series)).items())[:MOST_PLOTS]
    figure = _figure(-(-len(groups) // COLUMNS))
    rows = -(-len(groups) // COLUMNS)
    for place, (title, names) in enumerate(groups):
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        for name in names:
            of = DOMAIN_ENDINGS.index(name[-2:]) if name.endswith(DOMAIN_ENDINGS) else None
            _curve(
                axes,
                series[name],
                color=COLORS[1 if of is None else of],
                label=None if of is None else domains[of],
            )
        _set_scale(axes, [series[name] for name in names], log=names[0] in log)
        axes.set_title(title, fontsize=9)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=7)
    return _png(figure)


def draw_score(series: Series, chosen: int, beside: Mapping[str, float]) -> bytes:
    """Return a PNG of the validation score over the steps, with the step that was chosen.

    Scores of what was rejected are shown at the upper edge; where all were, they are shown alone.

    Args:
        series: the scores.
        chosen: the step of the best.
        beside: title -> score of what is no checkpoint: changing nothing, for example.
    """
    figure = _figure(1.4)
    axes = figure.add_subplot()
    scores = [(point.step, point.low) for point in series.points]
    known = [*(score for _, score in scores), *beside.values()]
    accepted = any(score < REJECTED for _, score in scores)
    shown = [score for score in known if (score < REJECTED) == accepted]
    room = 0.08 * (max(shown) - min(shown)) or 0.5
    edge = max(shown) + 1.5 * room
    axes.set_ylim(min(shown) - room, edge + 0.5 * room)
    placed = [(step, min(score, edge)) for step, score in scores]
    axes.plot(*zip(*placed, strict=True), color="#999999", linewidth=0.8)
    for name, color, marker, rejected in (
        ("accepted", COLORS[1], "o", False),
        ("rejected", COLORS[0], "x", True),
    ):
        of = [
            place
            for place, (_, score) in zip(placed, scores, strict=True)
            if (score >= REJECTED) == rejected
        ]
        if of:
            axes.plot(*zip(*of, strict=True), marker, color=color, markersize=4, label=name)
    for number, (title, score) in enumerate(beside.items()):
        if score < REJECTED and not accepted:
            continue  # far below all others
        label = f"{title}: {score:.2f}" + (" (rejected)" if score >= REJECTED else "")
        color = COLORS[2 + number % 8]
        axes.axhline(min(score, edge), color=color, linestyle="--", linewidth=1, label=label)
    axes.axvline(chosen, color="#444444", linestyle=":", linewidth=1, label=f"chosen: {chosen}")
    axes.set_xlabel("step", fontsize=8)
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return _png(figure)


def _curve(axes: Axes, series: Series, *, color: str, label: str | None) -> None:
    steps = [point.step for point in series.points]
    low, high = ([getattr(p, key) for p in series.points] for key in ("low", "high"))
    axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(steps, [p.mean for p in series.points], color=color, alpha=0.3, linewidth=0.7)
    marker = "." if len(steps) < 40 else None
    axes.plot(steps, series.smoothed(), marker=marker, color=color, linewidth=1.3, label=label)


def _set_scale(axes: Axes, curves: Sequence[Series], *, log: bool) -> None:
    smooth = [value for series in curves for value in series.smoothed()]
    low = min(point.low for series in curves for point in series.points)
    high = max(point.high for series in curves for point in series.points)
    if log and low > 0 and max(smooth) > LOG_FROM * min(smooth):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif high - low <= SAME * max(abs(low), abs(high)):  # else rounding noise fills the plot
        room = 0.1 * max(abs(low), abs(high)) or 1.0
        axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.tick_params(labelsize=7)
    axes.margins(x=0.01)


def _plain(value: float, _place: int | None) -> str:
    return f"{value:.10g}"


def _figure(rows: float) -> Figure:
    return Figure(figsize=(WIDTH_INCHES, 0.3 + 2.1 * rows), layout="constrained", facecolor="white")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    unsigned: dict[str, Any] = {"Software": None}  # the bytes depend on the plot alone
    figure.savefig(buffer, format="png", dpi=100, metadata=unsigned)
    return buffer.getvalue()
