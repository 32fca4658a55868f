"""One step: the gradients of all networks first, then their update, which takes no time.

Generators and discriminators are updated together at the end of a step, which is the same as one
after the other: the discriminators judge fakes that were made before the generators' update. So a
step that is broken off changed no weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medcyclegan.domains import Pair
from medcyclegan.errors import ConfigError, MedCycleGANError
from medcyclegan.losses import Losses, total
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.device import out_of_memory
from medcyclegan.training.engine import Engine
from medcyclegan.training.schedule import Schedule
from medcyclegan.training.state import TrainingState

REMEDY = "go on from the last checkpoint with --resume and a lower training.learning_rate"


def compute_gradients(
    state: TrainingState, real: Pair[Tensor], engine: Engine, schedule: Schedule
) -> dict[str, float]:
    """Leave the gradients of a step in the weights and return the weighted losses.

    The random state depends on the schedule's seed and the step alone.

    Args:
        state: whose model's weights get gradients; its image pools and buffers go on.
        real: this process's stacks (B, C, H, W) of both domains.
        engine: where it is computed; losses and gradients are means over its processes.
        schedule: seed, and in how many parts the batch is taken.

    Raises:
        ConfigError: the batch does not divide into these parts.
        MedCycleGANError: a loss is not finite, or memory is short.
    """
    torch.manual_seed(_step_seed(schedule.seed, state.step))
    real = Pair(*(images.to(engine.device, non_blocking=True) for images in real))
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    try:
        losses = _backward(state.model, _parts(real, schedule.accumulate), engine)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        count, _, height, width = real.a.shape
        raise MedCycleGANError(
            f"out of memory with {count} slices of {height} x {width} of each domain in "
            f"{schedule.accumulate} part(s): raise training.accumulate, set "
            "training.activation_checkpointing: true, or lower training.batch_size"
        ) from error
    networks = (state.model.generators, state.model.discriminators)
    gradients = [w.grad for each in networks for w in each.parameters() if w.grad is not None]
    means = torch.stack([loss.detach().float() for loss in losses.values()])
    engine.average([*gradients, means])
    values = dict(zip(losses, means.tolist(), strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise MedCycleGANError(f"loss {name} is {value} at step {state.step + 1}; {REMEDY}")
    return values


def learning_rates(schedule: Schedule, step: int) -> tuple[float, float]:
    """Return the learning rates of generators and discriminators in the step after `step`."""
    factor = schedule.factor(step)
    return factor * schedule.learning_rate, factor * schedule.discriminator_learning_rate


def _backward(model: TranslationModel, parts: Sequence[Pair[Tensor]], engine: Engine) -> Losses:
    """Add up the gradients of all parts; return their mean losses, detached."""
    sums: Losses = {}
    fakes: list[Pair[Tensor]] = []
    model.discriminators.requires_grad_(False)
    for real in parts:
        with engine.autocast():
            losses, fake = model.generator_losses(real)
        _add(sums, losses, len(parts))
        fakes.append(Pair(*(images.detach() for images in fake)))
    model.discriminators.requires_grad_(True)
    for real, fake in zip(parts, fakes, strict=True):
        with engine.autocast():
            judged = model.discriminator_losses(real, fake)
        _add(sums, judged, len(parts))
    return sums


def _add(sums: Losses, losses: Losses, parts: int) -> None:
    (total(losses) / parts).backward()
    for name, loss in losses.items():
        sums[name] = sums.get(name, torch.zeros_like(loss)) + loss.detach() / parts


def _parts(real: Pair[Tensor], count: int) -> list[Pair[Tensor]]:
    """Return a batch in `count` equal parts: the mean over them is that over the batch."""
    size = len(real.a)
    if size % count:
        raise ConfigError(
            f"training.accumulate: {size} slices of a batch do not divide into {count} parts"
        )
    return [Pair(*part) for part in zip(*(images.chunk(count) for images in real), strict=True)]


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
