"""A training run's page: one HTML file that holds its pictures and needs nothing from anywhere."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from medcyclegan import files
from medcyclegan.errors import InputError
from medcyclegan.report.evaluate_tables import figure, words
from medcyclegan.report.run_curves import draw_figures, draw_score
from medcyclegan.report.run_reading import Run, read_run
from medcyclegan.validation.score import REJECTED

TEMPLATE = "run.html.j2"
MOST_ROWS = 100
MOST_LETTERS = 300  # of a cell
CANDIDATES = {
    "identity_score": "changing nothing",
    "histogram_matching_score": "histogram matching",
}
TARGETS = "target_patients_distance"  # what real patients of the target domain would score
CONSTANTS = {*CANDIDATES, TARGETS}  # the same in every validation


def write_run_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of the run in `folder`, running, stopped or finished; return where it is.

    Args:
        folder: what `train` writes to.
        out: the HTML file; None is `report.html` in the run folder.

    Raises:
        CheckpointError: there is no run.
        InputError: `out` is a folder.
        MedCycleGANError: the page cannot be written.
    """
    target = folder / "report.html" if out is None else out
    if target.is_dir():
        raise InputError(f"{target}: is a folder; give a file, such as {target / 'report.html'}")
    files.write_bytes(target, make_page(read_run(folder)).encode())
    return target


def make_page(run: Run) -> str:
    """Return the page as HTML; no text of the run is taken for markup."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": figure, "words": words, "png": _embedded}
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        run=run,
        state=_state(run),
        plots=_plots(run),
        candidates=_known(run, CANDIDATES),
        least_rejected=REJECTED,
        validated=_validated(run),
        environment=_rows(run.environment),
        seconds=statistics.median(p.mean for p in run.pace.points) if run.pace.points else None,
    )


def _state(run: Run) -> str:
    of = "" if run.planned is None else f" of {run.planned}"
    if run.finished:
        early = run.planned is not None and run.step < run.planned
        return f"finished at step {run.step}{of}" + (", early" if early else "")
    return f"not finished: step {run.step}{of} is the last that was logged"


def _plots(run: Run) -> dict[str, bytes]:
    """Return name -> PNG of what there is to draw."""
    plots = {}
    losses = [name for name in run.figures if name != "learning_rate"]
    if run.figures:
        names = [*losses, *(name for name in run.figures if name not in losses)]
        figures = {name: run.figures[name] for name in names}
        plots["losses"] = draw_figures(figures, run.domains, log=losses)
    found = run.validations
    if found.best is not None:
        beside = _known(run, CANDIDATES | {TARGETS: f"real patients of {run.domains[1]}"})
        plots["score"] = draw_score(found.series["score"], found.best[0], beside)
        others = {n: s for n, s in found.series.items() if n not in {"score", *CONSTANTS}}
        if others:
            plots["validations"] = draw_figures(others, run.domains)
    if run.pace.points:
        plots["speed"] = draw_figures({"seconds a step": run.pace}, run.domains)
    return plots


def _known(run: Run, names: Mapping[str, str]) -> dict[str, float]:
    """Return title -> figure of what every validation tells alike, from the last."""
    last = run.validations.last
    known: Mapping[str, float] = {} if last is None else last[1]
    return {title: known[name] for name, title in names.items() if name in known}


def _validated(run: Run) -> list[tuple[str, float | None, float | None]]:
    """Return each figure at the chosen step and at the last validation."""
    best, last = run.validations.best, run.validations.last
    if best is None or last is None:
        return []
    names = [name for name in run.validations.series if name not in CONSTANTS]
    return [(words(name), best[1].get(name), last[1].get(name)) for name in names]


def _rows(found: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return nested values as rows of name and text."""
    rows: list[tuple[str, str]] = []
    for key, value in list(found.items())[:MOST_ROWS]:
        name = f"{above}{words(str(key))}"[:MOST_LETTERS]
        if isinstance(value, Mapping) and not above:
            rows += _rows(value, f"{name}: ")
        elif isinstance(value, list):
            rows.append((name, (", ".join(map(_text, value[:MOST_ROWS])) or "none")[:MOST_LETTERS]))
        elif value is not None:
            rows.append((name, _text(value)))
    return rows[:MOST_ROWS]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values())[:MOST_LETTERS]
    return str(value)[:MOST_LETTERS]


def _embedded(data: bytes) -> str:
    """Return the address of a picture that the page holds itself."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
