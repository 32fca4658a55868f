"""The training loop: the same for every method."""

from __future__ import annotations

import contextlib
import copy
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medcyclegan.domains import Pair
from medcyclegan.errors import Interrupted, MedCycleGANError
from medcyclegan.losses import Losses, total
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.checkpoint import load_newest, save_checkpoint
from medcyclegan.training.device import describe_device
from medcyclegan.training.logs import MetricsLog
from medcyclegan.training.schedule import constant_then_linear

BETAS = (0.5, 0.999)  # Adam, Radford et al. 2016, section 4; Zhu et al. name none
REMEDY = "go on from the last checkpoint with --resume and a lower training.learning_rate"
WARM_UP_STEPS = 5  # not counted when the end is projected

Say = Callable[[str], None]
Observe = Callable[[int, TranslationModel], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how often.

    Args:
        steps: optimiser updates of generators and discriminators.
        learning_rate: Adam's, of the generators.
        discriminator_learning_rate: Adam's, of the discriminators.
        constant_fraction: share of the steps at these rates; then linear to 0.
        seed: of every draw; with the step it gives the random state of that step.
        ema: decay of the generators' running average that is used and exported; 0: the last ones.
        log_every: steps between lines of metrics.jsonl.
        sample_every: steps between pictures.
        checkpoint_minutes: longest time between checkpoints.
    """

    steps: int
    learning_rate: float
    discriminator_learning_rate: float
    constant_fraction: float
    seed: int
    ema: float
    log_every: int
    sample_every: int
    checkpoint_minutes: float


class Loop:
    """Trains a model and keeps its run folder.

    Args:
        model: what is trained; moved to `device`.
        batch: real stacks (B, C, H, W) of both domains for a step; depends on the step alone.
        schedule: how long and how often.
        folder: run folder; checkpoints/ and metrics.jsonl are kept in it.
        device: where.
        draw: called with step and model every `sample_every` steps.
        export: called with step and model whenever a checkpoint is written.
        say: takes lines for people.
        progress: called with the step and the losses after each step.
    """

    def __init__(
        self,
        model: TranslationModel,
        batch: Callable[[int], Pair[Tensor]],
        schedule: Schedule,
        folder: Path,
        *,
        device: torch.device,
        draw: Observe,
        export: Observe,
        say: Say,
        progress: Callable[[int, dict[str, float]], None],
    ) -> None:
        self.model, self.batch, self.schedule, self.folder = model, batch, schedule, folder
        self.device, self.draw, self.export = device, draw, export
        self.say, self.progress = say, progress
        for networks in (model.generators, model.discriminators):
            networks.to(device).train()
        self.average = copy.deepcopy(model) if schedule.ema else model
        self.optimizers = {
            "generators": torch.optim.Adam(
                model.generators.parameters(), schedule.learning_rate, BETAS
            ),
            "discriminators": torch.optim.Adam(
                model.discriminators.parameters(), schedule.discriminator_learning_rate, BETAS
            ),
        }
        self.step = 0

    def run(self) -> None:
        """Train from the current step to the last.

        Raises:
            MedCycleGANError: a loss is not finite; the term and the step are named.
            Interrupted: SIGTERM or SIGUSR1 came; a checkpoint was written.
            KeyboardInterrupt: Ctrl-C came; a checkpoint was written.
        """
        log = MetricsLog(self.folder / "metrics.jsonl", self.step + 1)
        started = saved = time.monotonic()
        first = self.step
        self.say(f"training on {describe_device(self.device)}, {self.schedule.steps} steps")
        with _signals() as caught:
            while self.step < self.schedule.steps:
                values = self.train_step()
                self.step += 1
                self.progress(self.step, values)
                if self.step % self.schedule.log_every == 0 or self.step == self.schedule.steps:
                    log.write(self.step, values)
                if self.step - first == WARM_UP_STEPS:
                    started = time.monotonic()
                if self.step - first == 2 * WARM_UP_STEPS:
                    self._say_end((time.monotonic() - started) / WARM_UP_STEPS)
                if self.step % self.schedule.sample_every == 0:
                    self.draw(self.step, self.average)
                if caught:
                    self._stop(caught[0])
                if time.monotonic() - saved > 60 * self.schedule.checkpoint_minutes:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def train_step(self) -> dict[str, float]:
        """Update generators, then discriminators, once; return the weighted losses."""
        torch.manual_seed(_step_seed(self.schedule.seed, self.step))
        factor = constant_then_linear(
            self.step, self.schedule.steps, self.schedule.constant_fraction
        )
        rate = factor * self.schedule.learning_rate
        real = Pair(*(images.to(self.device) for images in self.batch(self.step)))

        self.model.discriminators.requires_grad_(False)
        losses, fake = self.model.generator_losses(real)
        self._update(self.optimizers["generators"], losses, rate)
        self.model.discriminators.requires_grad_(True)
        judged = self.model.discriminator_losses(real, Pair(*(f.detach() for f in fake)))
        judged_rate = factor * self.schedule.discriminator_learning_rate
        self._update(self.optimizers["discriminators"], judged, judged_rate)

        if self.schedule.ema:
            _move_average(self.average.generators, self.model.generators, self._decay())
        return {name: loss.item() for name, loss in (losses | judged).items()} | {
            "learning_rate": rate
        }

    def _update(self, optimizer: torch.optim.Optimizer, losses: Losses, rate: float) -> None:
        for name, loss in losses.items():
            if not torch.isfinite(loss):
                raise MedCycleGANError(
                    f"{self.folder}: loss {name} is {loss.item()} at step {self.step}; {REMEDY}"
                )
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        total(losses).backward()
        optimizer.step()

    def _decay(self) -> float:
        """Return the average's decay, shorter at the start so that it forgets the first weights."""
        return min(self.schedule.ema, (1 + self.step) / (10 + self.step))

    def save(self) -> None:
        """Write a checkpoint and export the model.

        Raises:
            MedCycleGANError: a weight is not finite; the checkpoints before stay as they are.
        """
        for networks in (self.model.generators, self.model.discriminators):
            for name, values in [*networks.named_parameters(), *networks.named_buffers()]:
                if not torch.isfinite(values).all():
                    raise MedCycleGANError(
                        f"{self.folder}: weight {name} is not finite at step {self.step}; {REMEDY}"
                    )
        state = {
            "model": self.model.state_dict(),
            "average": self.average.generators.state_dict(),
            "optimizers": {name: one.state_dict() for name, one in self.optimizers.items()},
        }
        save_checkpoint(self.folder / "checkpoints", self.step, state)
        self.export(self.step, self.average)

    def resume(self) -> None:
        """Take up the newest checkpoint; where there is none, begin at step 0 and say so."""
        found = load_newest(self.folder / "checkpoints", self.say)
        if found is None:
            self.say(f"{self.folder}: no complete checkpoint; beginning at step 0")
            return
        self.step, state = found
        self.model.load_state_dict(state["model"])
        self.average.generators.load_state_dict(state["average"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.say(f"{self.folder}: going on from step {self.step}")

    def _say_end(self, seconds: float) -> None:
        left = seconds * (self.schedule.steps - self.step)
        end = time.strftime("%a %H:%M", time.localtime(time.time() + left))
        self.say(f"{seconds:.2g} s a step, done about {end} (in {left / 60:.0f} min)")

    def _stop(self, number: int) -> None:
        self.save()
        if number == signal.SIGINT:
            self.say(f"{self.folder}: stopped at step {self.step}; go on with --resume")
            raise KeyboardInterrupt
        raise Interrupted(f"{self.folder}: stopped at step {self.step}; go on with --resume")


def _move_average(average: nn.Module, current: nn.Module, decay: float) -> None:
    with torch.no_grad():
        pairs = zip(average.state_dict().values(), current.state_dict().values(), strict=True)
        for mean, value in pairs:
            if mean.is_floating_point():
                mean.lerp_(value, 1.0 - decay)
            else:
                mean.copy_(value)


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGTERM, SIGUSR1 and Ctrl-C instead of dying; only possible in the main thread."""
    caught: list[int] = []

    def note(number: int, _frame: Any) -> None:
        caught.append(number)

    try:
        old = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)}
    except ValueError:  # not the main thread: leave signals to whoever runs it
        old = {}
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
