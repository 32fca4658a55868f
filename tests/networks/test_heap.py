from __future__ import annotations

import pytest
import torch

from medcyclegan.networks import ResnetGenerator, heap


@pytest.mark.parametrize(
    ("size", "training", "times"), [(256, True, 2), (256, False, 0), (64, True, 0)]
)
def test_large_images_give_holes_back_after_each_pass(
    size: int, training: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(heap, "_trim", lambda: calls.append)
    network = ResnetGenerator(filters=1, blocks=1)
    with torch.set_grad_enabled(training):
        made = network(torch.zeros(1, 1, size, size))
    if training:
        made.sum().backward()
    assert calls == [0] * times


def test_it_works_here_or_does_nothing() -> None:
    heap.give_back(torch.zeros(heap.LARGE, requires_grad=True))
