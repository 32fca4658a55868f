"""How long, how fast and how often: the plan of a training run."""

from __future__ import annotations

from dataclasses import dataclass


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
        accumulate: parts in which a batch passes the networks, to save memory.
        log_every: steps between lines of metrics.jsonl.
        sample_every: steps between pictures.
        validate_every: steps between validations.
        early_stop: validations in a row without a better one that end training; 0: none do.
        keep_every: steps between checkpoints that are kept for good; 0: none are.
        checkpoint_minutes: longest time between checkpoints.
    """

    steps: int
    learning_rate: float
    discriminator_learning_rate: float
    constant_fraction: float = 0.5
    seed: int = 0
    ema: float = 0.0
    accumulate: int = 1
    log_every: int = 50
    sample_every: int = 1000
    validate_every: int = 1000
    early_stop: int = 0
    keep_every: int = 0
    checkpoint_minutes: float = 5.0

    def factor(self, step: int) -> float:
        """Return what the learning rates are multiplied with in the step after `step` steps."""
        return constant_then_linear(step, self.steps, self.constant_fraction)

    def decay(self, step: int) -> float:
        """Return the running average's decay, shorter at first: it forgets the first weights."""
        return min(self.ema, (1 + step) / (10 + step))


def constant_then_linear(step: int, steps: int, constant_fraction: float) -> float:
    """Return the factor on the learning rate at `step`: 1, then linearly toward 0.

    Zhu et al. 2017, section 7.1: half of the training each.

    >>> [constant_then_linear(step, 4, 0.5) for step in range(4)]
    [1.0, 1.0, 1.0, 0.5]
    """
    constant = int(steps * constant_fraction)
    return 1.0 if step < constant else (steps - step) / max(1, steps - constant)
