"""The training loop: the same for every method."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from medcyclegan.domains import Pair
from medcyclegan.errors import CheckpointError, Interrupted, MedCycleGANError
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.checkpoint import load_newest, save_checkpoint
from medcyclegan.training.engine import Engine
from medcyclegan.training.logs import RunLog
from medcyclegan.training.schedule import Schedule
from medcyclegan.training.state import Best, TrainingState
from medcyclegan.training.step import REMEDY, compute_gradients, learning_rates
from medcyclegan.training.stopping import Signals, Stopped, hearing

SCORE = "score"  # of the figures of a validation, the one that chooses the best; lower is better

Batches = Callable[[int], Generator[Pair[Tensor], None, None]]


class Validated(NamedTuple):
    """What a validation found.

    Args:
        figures: name -> number, `score` among them, lower is better.
        warnings: for people, a line each.
    """

    figures: Mapping[str, float]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Observers:
    """What a loop calls to show, judge and keep what it makes; all but `say` have the step first.

    Args:
        say: takes lines for people.
        progress: the losses and the seconds of each step.
        draw: the model, every `sample_every` steps and at the end; returns a PNG.
        export: the model and the name to keep it under: "model-last" with every checkpoint,
            "model" when it is the best, or as long as none was validated.
        watch: the losses of each logged step; returns warnings.
        validate: the model, every `validate_every` steps and at the end; None: nothing validates.
    """

    say: Callable[[str], None]
    progress: Callable[[int, Mapping[str, float], float], None]
    draw: Callable[[int, TranslationModel], bytes]
    export: Callable[[int, TranslationModel, str], None]
    watch: Callable[[int, Mapping[str, float]], Sequence[str]]
    validate: Callable[[int, TranslationModel], Validated] | None


class Loop:
    """Trains a model and keeps its run folder.

    Args:
        model: what is trained, made ready by `engine`.
        batches: called with a step, gives this process's real stacks (B, C, H, W) of both domains
            for that step and each after it; what they are depends on the step alone.
        schedule: how long and how often.
        folder: run folder; checkpoints/ and the logs are kept in it.
        engine: where training runs, and in how many processes; the first alone writes.
        observers: what is called on the way.
    """

    def __init__(
        self,
        model: TranslationModel,
        batches: Batches,
        schedule: Schedule,
        folder: Path,
        *,
        engine: Engine,
        observers: Observers,
    ) -> None:
        self.batches, self.schedule, self.folder = batches, schedule, folder
        self.engine, self.observers = engine, observers
        for networks in (model.generators, model.discriminators):
            networks.train()
        self.state = TrainingState(model, schedule)
        self._kept: tuple[int, int] | None = None  # the step, and the one observed, on the disk

    def resume(self) -> bool:
        """Take up the newest checkpoint; where there is none, begin at step 0 and say so.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: the run's checkpoints are of another version, or of other networks.
        """
        found = load_newest(self.folder / "checkpoints", self.observers.say)
        if found is None:
            self.observers.say(f"{self.folder}: no complete checkpoint; beginning at step 0")
        else:
            try:
                self.state.load_state_dict(*found)
            except CheckpointError as error:
                raise CheckpointError(f"{self.folder}: {error}") from error
            self._kept = self.state.step, self.state.observed
            self.observers.say(f"{self.folder}: going on from step {self.state.step}")
        if self.engine.of_first(self.state.step) != self.state.step:
            raise CheckpointError(
                f"{self.folder}: not all processes see the same checkpoints there; "
                "set output to a folder on a disk that all machines share"
            )
        return found is not None

    def run(self) -> None:
        """Train from the current step to the last, or until validations get no better.

        Raises:
            MedCycleGANError: a loss is not finite; the term and the step are named.
            Interrupted: SIGTERM or SIGUSR1 came; a checkpoint was written.
            KeyboardInterrupt: Ctrl-C came; a checkpoint was written.
        """
        self.observers.say(f"training on {self.engine.describe()}, {self.schedule.steps} steps")
        signals = Signals()
        with signals.collected():
            if min(self.state.step, self.state.observed) < self.schedule.steps:
                with self._log() as log, contextlib.suppress(Stopped), self._hearing():
                    self._train(log, signals)
            if self._kept != (self.state.step, self.state.observed):
                self.save()
            else:
                self._export()  # a run may be killed when it has saved and not yet exported
        if self.engine.any(signals.caught is not None):
            line = f"{self.folder}: stopped at step {self.state.step}; go on with --resume"
            if signals.caught == signal.SIGINT:
                raise KeyboardInterrupt(line)
            raise Interrupted(line)

    def train_step(self, real: Pair[Tensor]) -> dict[str, float]:
        """Update generators and discriminators once; return the weighted losses.

        Args:
            real: this process's stacks (B, C, H, W) of both domains.

        Raises:
            MedCycleGANError: a loss is not finite, or memory is short; no weight was changed.
        """
        self._update(self._gradients(real))
        return self.state.losses

    def save(self) -> None:
        """Write a checkpoint and export the model; the first process alone does.

        Raises:
            MedCycleGANError: a weight is not finite; the checkpoints before stay as they are.
        """
        state = self.state
        if not self.engine.first:
            return
        if bad := state.not_finite():
            raise MedCycleGANError(
                f"{self.folder}: weight {bad} is not finite at step {state.step}; {REMEDY}"
            )
        best = None if state.best is None else state.best.step
        save_checkpoint(
            self.folder / "checkpoints",
            state.step,
            state.state_dict(),
            best=best,
            every=self.schedule.keep_every,
        )
        self._kept = state.step, state.observed
        self._export()

    def _export(self) -> None:
        state = self.state
        names = ("model-last", "model") if state.best is None else ("model-last",)
        for name in names if self.engine.first else ():
            self.observers.export(state.step, state.average, name)

    def _log(self) -> AbstractContextManager[RunLog | None]:
        """Return the log of what is not yet observed, in the one process that writes it."""
        if self.engine.first:
            return RunLog(self.folder, self.state.observed + 1)
        return contextlib.nullcontext()

    def _train(self, log: RunLog | None, signals: Signals) -> None:
        state, at_once = self.state, self._at_once(signals)
        saved = time.monotonic()
        for step, losses in log.losses() if log is not None else ():
            self.observers.watch(step, losses)  # as if the run had not been stopped
        with contextlib.suppress(Stopped):
            self._observe(log, signals)  # what a stop came between
        batches = self.batches(state.step)
        with contextlib.closing(batches):
            while state.step < self.schedule.steps:
                if self.engine.any(signals.caught is not None or self._is_stale()):
                    break
                began = time.monotonic()
                passing = state.passing() if self.engine.processes == 1 else {}
                try:
                    with at_once():
                        losses = self._gradients(next(batches))
                except Stopped:
                    state.take_back(passing)
                    raise
                self._update(losses)
                self.observers.progress(state.step, state.losses, time.monotonic() - began)
                with contextlib.suppress(Stopped):  # no other process waits for it
                    self._observe(log, signals)
                if self._is_to_be_saved(time.monotonic() - saved):
                    self.save()
                    saved = time.monotonic()

    def _at_once(self, signals: Signals) -> Callable[[], AbstractContextManager[None]]:
        """Return what lets signals break off a step; of several processes none may do so alone."""
        return signals.at_once if self.engine.processes == 1 else contextlib.nullcontext

    def _hearing(self) -> AbstractContextManager[None]:
        """Return what lets a step be broken off in its backward pass, where that takes long."""
        model, engine = self.state.model, self.engine
        if engine.device.type != "cpu" or engine.options.compile:
            return contextlib.nullcontext()
        return hearing((model.generators, model.discriminators))

    def _is_to_be_saved(self, seconds: float) -> bool:
        """Return whether a checkpoint is due, `seconds` after the last one."""
        step, every = self.state.step, self.schedule.keep_every
        best = self.state.best is not None and self.state.best.step == step
        kept = every > 0 and step % every == 0
        return best or kept or seconds > 60 * self.schedule.checkpoint_minutes

    def _is_stale(self) -> bool:
        return 0 < self.schedule.early_stop <= self.state.stale

    def _gradients(self, real: Pair[Tensor]) -> dict[str, float]:
        try:
            return compute_gradients(self.state, real, self.engine, self.schedule)
        except MedCycleGANError as error:
            raise type(error)(f"{self.folder}: {error}") from error

    def _update(self, losses: dict[str, float]) -> None:
        state, schedule = self.state, self.schedule
        rates = learning_rates(schedule, state.step)
        state.update(rates, schedule.decay(state.step))
        state.losses = losses | {"learning_rate": rates[0]}

    def _observe(self, log: RunLog | None, signals: Signals) -> None:
        """Log, draw and validate what is due at this step; once, however often it is resumed.

        What takes time comes first and may be broken off; what is written then is written whole.
        """
        state, observers = self.state, self.observers
        if log is None or state.observed == state.step:
            return
        schedule, validate = self.schedule, observers.validate
        logged, drawn = self._is_due(schedule.log_every), self._is_due(schedule.sample_every)
        due = self._is_due(schedule.validate_every)
        with signals.at_once():
            warnings = observers.watch(state.step, state.losses) if logged else ()
            picture = observers.draw(state.step, state.average) if drawn else None
            found = validate(state.step, state.average) if validate and due else None
        if logged:
            log.write(state.step, state.losses)
            self._warn(log, warnings)
        if picture is not None:
            log.picture(state.step, picture)
        if found is not None:
            self._validate(log, found)
        state.observed = state.step

    def _is_due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self.schedule.steps

    def _validate(self, log: RunLog, found: Validated) -> None:
        """Log a validation and keep the model if it is the best so far."""
        state = self.state
        log.write(state.step, {f"validation/{name}": x for name, x in found.figures.items()})
        self._warn(log, found.warnings)
        score = found.figures[SCORE]
        if state.best is None or score < state.best.score:
            self.observers.export(state.step, state.average, "model")
            state.best, state.stale = Best(state.step, score), 0
        else:
            state.stale += 1

    def _warn(self, log: RunLog, warnings: Sequence[str]) -> None:
        for line in warnings:
            log.warn(self.state.step, line)
            self.observers.say(f"warning: step {self.state.step}: {line}")
