"""What is to be done: rows to train, and references to measure; each is done once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file

from medcyclegan.cohort import phantom_reference
from medcyclegan.domains import Pair
from medcyclegan.errors import InputError, Interrupted, MedCycleGANError
from medcyclegan.evaluate.comparing import CEILING
from medcyclegan.files import write_json
from medcyclegan.intensity import Window
from medcyclegan.metrics.baselines import Transform, fit_baselines
from medcyclegan.metrics.reference import Hu, Reference, slices_like
from medcyclegan.metrics.table import IDENTITY
from medcyclegan.models.artefact import WEIGHTS
from medcyclegan.networks.convolution import choose_convolutions
from medcyclegan.phantom import PhantomCase
from medcyclegan.translator import Translator
from tests.ablation.document import COLUMNS, Cells, Key, add_rows, cells, read_keys
from tests.ablation.figures import WINDOW, find
from tests.ablation.locks import claimed
from tests.ablation.patients import targets, unseen, write_training
from tests.ablation.rows import REFERENCES, Cohort, Row, Stage, fingerprint, rows_of
from tests.ablation.training import train_row

RIVALS = ("histogram_matching", "best_curve", "label_shift")
SHOWN = {
    IDENTITY: "identity",
    **{name: name.replace("_", " ") for name in RIVALS},
    CEILING: "ceiling",
}
FIGURES = "figures.json"

Say = Callable[[str], None]


class Job(Protocol):
    """One claim of work, and the rows that it gives."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> str: ...

    @property
    def keys(self) -> set[Key]: ...

    def run(self, out: Path) -> list[Cells]:
        """Do it, and return the rows."""
        ...


@dataclass(frozen=True)
class Training:
    """A row to train and to measure."""

    row: Row

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def table(self) -> str:
        return self.row.stage.name

    @property
    def keys(self) -> set[Key]:
        return {self._key}

    @property
    def _key(self) -> Key:
        return Key(self.row.variant, self.row.seed, fingerprint(self.row.tried))

    def run(self, out: Path) -> list[Cells]:
        """Train and measure, unless that was done and only the table does not have it."""
        row, cohort = self.row, self.row.stage.cohort
        write_training(cohort, out)
        if known := _known(out / row.name / FIGURES, row.tried | {"columns": list(COLUMNS)}):
            return [tuple(known["cells"])]
        trained = train_row(row, out)
        translator = _translator(row, trained.folder)
        found = find(unseen(cohort), {row.name: partial(_translated, translator)})
        figures = found.figures(row.name)
        generator = translator.model.generators["a_to_b"]
        parameters = sum(one.numel() for one in generator.parameters())
        shown = cells(
            self._key,
            figures,
            steps=str(trained.steps),
            parameters=f"{parameters / 1000:.0f}",
        )
        record = row.tried | {
            "columns": COLUMNS,
            "steps": trained.steps,
            "cpu_seconds_a_step": trained.seconds_a_step,
            "cpu_seconds": trained.seconds,
            "parameters": parameters,
            "total": figures.total,
            "figures": figures._asdict(),
            "cells": shown,
            "metrics": found.table["metrics"],
        }
        write_json(trained.folder / FIGURES, record)
        return [shown]


@dataclass(frozen=True)
class Measuring:
    """The references of a cohort; the seed that tables show is the cohort's."""

    cohort: Cohort

    @property
    def name(self) -> str:
        return f"{REFERENCES}-{self.cohort.seed}"

    @property
    def table(self) -> str:
        return REFERENCES

    @property
    def keys(self) -> set[Key]:
        return {self._key(shown) for shown in SHOWN.values()}

    def _key(self, shown: str) -> Key:
        return Key(shown, self.cohort.seed, fingerprint(self.cohort._asdict()))

    def run(self, out: Path) -> list[Cells]:
        """Fit the rivals to the test patients and the training patients of domain b; measure."""
        scans = targets(self.cohort)
        cases = list(unseen(self.cohort))
        fitted = fit_baselines([phantom_reference(case, WINDOW, targets=scans) for case in cases])
        found = find(
            cases, {name: partial(_transformed, fitted.transforms[name]) for name in RIVALS}
        )
        figures = {name: found.figures(name) for name in SHOWN}
        record = {
            "cohort": self.cohort._asdict(),
            "fitted_on": dict(fitted.fitted_on),
            "figures": {name: one._asdict() for name, one in figures.items()},
            "metrics": found.table["metrics"],
        }
        write_json(out / self.name / FIGURES, record)
        return [cells(self._key(SHOWN[name]), one) for name, one in figures.items()]


def jobs_of(stages: Sequence[Stage]) -> Iterator[Job]:
    """Yield all that is to be done, references first."""
    for cohort in dict.fromkeys(stage.cohort for stage in stages):
        yield Measuring(cohort)
    for stage in stages:
        yield from map(Training, rows_of(stage))


def is_done(job: Job, document: Path) -> bool:
    """Return whether the document has a job's rows.

    Raises:
        InputError: the document has no table for them.
    """
    return job.keys <= read_keys(document, job.table)


def work(jobs: Sequence[Job], out: Path, document: Path, say: Say) -> int:
    """Do what the document does not have and nobody else is at; return how many jobs failed.

    Raises:
        InputError: the document has no table for a job; nothing was done.
        Interrupted: a signal asked to stop; what was begun is begun anew another time.
    """
    waiting = [job for job in jobs if not is_done(job, document)]
    failed = 0
    for job in waiting:
        with claimed(out / "locks" / job.name) as held:
            if not held:
                say(f"{job.name}: another program is at it")
                continue
            if is_done(job, document):
                continue
            say(f"{job.name}: begun")
            try:
                rows = job.run(out)
            except (Interrupted, InputError):
                raise
            except MedCycleGANError as error:  # a variant that cannot be trained is a finding, too
                say(f"{job.name}: FAILED: {error}")
                failed += 1
                continue
            add_rows(document, job.table, rows)
            say("\n".join(f"{job.name}: {' | '.join(row)}" for row in rows))
    return failed


def _known(path: Path, tried: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was found of a row when it was tried as it is now; None else."""
    with suppress(FileNotFoundError):
        record: dict[str, Any] = json.loads(path.read_bytes())
        if all(record.get(key) == value for key, value in tried.items()):
            return record
    return None


def _translator(row: Row, run: Path) -> Translator:
    """Return what a run has trained; its own card cannot name a candidate's networks."""
    config, model = row.config(Path(), run, steps=1), row.model()
    model.generators.load_state_dict(load_file(run / "model" / WEIGHTS))
    choose_convolutions(model.generators, "winograd")
    return Translator(
        model,
        window=Window(config.window.low_hu, config.window.high_hu),
        spacing_mm=config.slices.spacing_mm,
        neighbors=config.slices.neighbors,
        domains=Pair(config.domains.a.name, config.domains.b.name),
        output="direct" if config.model.output == "direct" else "residual",
        size=config.slices.size,
    )


def _translated(translator: Translator, case: PhantomCase, _reference: Reference) -> Hu:
    return slices_like(translator.translate(case.image, "a_to_b"), case.image)


def _transformed(transform: Transform, _case: PhantomCase, reference: Reference) -> Hu:
    return transform(reference)
