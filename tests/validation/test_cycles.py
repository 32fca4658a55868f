"""A source hidden in the translated image comes out under noise that nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medcyclegan.domains import Direction
from medcyclegan.phantom import PhantomCase
from medcyclegan.translator import Translator
from medcyclegan.validation.cycles import NOISE_HU, measure_cycles
from medcyclegan.validation.guards import MOST_EXCESS
from medcyclegan.validation.patients import Excerpt, cut_excerpt

FAINT = 0.02


def details(stacks: Tensor) -> Tensor:
    """Every second pixel, as a checkerboard has them."""
    rows, columns = (torch.arange(length) for length in stacks.shape[-2:])
    return stacks * ((rows[:, None] + columns) % 2)


def hiding(stacks: Tensor, direction: Direction) -> Tensor:
    """There, half of the pixels go down to a fiftieth of themselves; back, they come up again."""
    factor = FAINT if direction == "a_to_b" else 1 / FAINT
    return (stacks + (factor - 1) * details(stacks)).clamp(-1, 1)


def forgetting(stacks: Tensor, direction: Direction) -> Tensor:
    """There, the same pixels take on their neighbours' value; back, nothing is done."""
    if direction == "b_to_a":
        return stacks
    around = functional.avg_pool2d(stacks, 3, 1, 1, count_include_pad=False)
    return stacks + details(around - stacks)


@pytest.fixture(scope="module")
def excerpts(cases: Sequence[PhantomCase]) -> list[Excerpt]:
    return [cut_excerpt(case.image, neighbors=1, most=4) for case in cases[:2]]


def test_what_passes_noise_on_adds_just_that(
    generating: Callable[..., Translator], excerpts: list[Excerpt]
) -> None:
    same = measure_cycles(generating(lambda stacks, _: stacks), excerpts)
    assert same.error_hu == pytest.approx(0, abs=1e-3)
    assert same.with_noise_hu == pytest.approx(NOISE_HU, rel=0.05)
    assert same.excess == pytest.approx(1, rel=0.05)
    lossy = measure_cycles(generating(forgetting), excerpts)
    assert lossy.error_hu > 5
    assert lossy.excess == pytest.approx(1, rel=0.05)


def test_a_hidden_source_does_not_survive_the_noise(
    generating: Callable[..., Translator], excerpts: list[Excerpt]
) -> None:
    hidden = measure_cycles(generating(hiding), excerpts)
    assert hidden.error_hu < 10
    assert hidden.with_noise_hu > 20 * NOISE_HU
    assert hidden.excess > 3 * MOST_EXCESS


def test_equal_calls_give_equal_figures_and_draw_nothing(
    generating: Callable[..., Translator], excerpts: list[Excerpt]
) -> None:
    translator = generating(hiding)
    before = torch.random.get_rng_state()
    once, again = (measure_cycles(translator, excerpts) for _ in range(2))
    assert once == again
    assert torch.equal(before, torch.random.get_rng_state())
