"""Training a row for its CPU time: timed first, so that the schedule of rates is whole."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from medcyclegan.files import TEMPORARY_PREFIX
from medcyclegan.train import train
from tests.ablation.rows import Row

WARM_UP = 3  # steps
TIMED = 20


class Trained(NamedTuple):
    """A run, and what it took.

    Args:
        folder: of the run.
        steps: of training.
        seconds_a_step: of CPU time, as timed before.
        seconds: of CPU time, all of training: reading, logging and saving, too.
    """

    folder: Path
    steps: int
    seconds_a_step: float
    seconds: float


def train_row(row: Row, out: Path) -> Trained:
    """Train a row anew below `out`, where its cohort lies.

    Raises:
        MedCycleGANError: a loss is not finite, or the disk is full.
        Interrupted: a signal asked to stop.
    """
    folder = out / row.name
    shutil.rmtree(folder, ignore_errors=True)
    each = _seconds_a_step(row, out)
    steps = max(1, int(60 * row.stage.minutes / each))
    began = time.process_time()
    train(row.config(out, folder, steps), model=row.model(), say=_say_nothing)
    return Trained(folder, steps, each, time.process_time() - began)


def _seconds_a_step(row: Row, out: Path) -> float:
    """Return the CPU time of a step, from a short run that is thrown away."""
    updates: list[tuple[int, float]] = []

    def note(optimizer: Optimizer, *_: object) -> None:
        updates.append((id(optimizer), time.process_time()))

    noting = register_optimizer_step_post_hook(note)
    try:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=out) as name:
            config = row.config(out, Path(name) / "run", WARM_UP + TIMED)
            train(config, model=row.model(), say=_say_nothing)
    finally:
        noting.remove()
    ends = [seconds for optimizer, seconds in updates if optimizer == updates[0][0]]
    return (ends[-1] - ends[WARM_UP - 1]) / TIMED


def _say_nothing(line: str) -> None:
    """Leave it to the run's own logs."""
