"""A discriminator that has won, or that says the same of all, is told of once."""

from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.validation import DiscriminatorWatch


def told(*losses: float) -> list[tuple[str, ...]]:
    watch = DiscriminatorWatch()
    return [
        watch.watch(50 * step, {"discriminator_b": loss, "adversarial_b": 0.9, "cycle_b": 0.0})
        for step, loss in enumerate(losses, 1)
    ]


def test_one_that_has_won_is_told_of_once_until_it_recovers() -> None:
    said = told(*[0.3] * 3, *np.linspace(0.04, 0.01, 14), 0.2, *np.linspace(0.04, 0.01, 10))
    where = [place for place, lines in enumerate(said) if lines]
    assert where == [12, 27]
    assert said[12] == (
        "collapse: discriminator_b is at most 0.0400: it tells every fake, and its generator "
        "learns nothing over 10 lines up to step 650",
    )


def test_one_that_says_the_same_of_every_image() -> None:
    said = [line for lines in told(*[0.25] * 10) for line in lines]
    assert len(said) == 1
    assert "stays at 0.2500" in said[0]


@pytest.mark.parametrize("mean", [0.25, 0.12])
def test_a_healthy_one_is_not_told_of(mean: float) -> None:
    rng = np.random.default_rng(0)
    assert not any(told(*(mean + rng.normal(0, 0.008, 200))))


def test_nine_lines_are_too_few() -> None:
    assert not any(told(*[0.0] * 9))
