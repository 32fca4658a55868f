"""The learning rate over time."""

from __future__ import annotations


def constant_then_linear(step: int, steps: int, constant_fraction: float) -> float:
    """Return the factor on the learning rate at `step`: 1, then linearly toward 0.

    Zhu et al. 2017, section 7.1: half of the training each.

    >>> [constant_then_linear(step, 4, 0.5) for step in range(4)]
    [1.0, 1.0, 1.0, 0.5]
    """
    constant = int(steps * constant_fraction)
    return 1.0 if step < constant else (steps - step) / max(1, steps - constant)
