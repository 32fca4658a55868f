from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from medcyclegan.networks import winograd
from medcyclegan.networks.winograd import ReflectedWinograd


def step(images: Tensor, weight: Tensor) -> list[Tensor]:
    images, weight = images.detach().requires_grad_(), weight.detach().requires_grad_()
    made = ReflectedWinograd.apply(images, weight, None)  # type: ignore[no-untyped-call]
    return [made.detach(), *torch.autograd.grad(made.square().sum(), [images, weight])]


def test_a_batch_done_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images = torch.randn(5, 3, 9, 6, dtype=torch.float64)
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    whole = step(images, weight)
    monkeypatch.setattr(winograd, "PART", 36 * 6 * 4 * 2)  # two images at a time
    for mine, theirs in zip(step(images, weight), whole, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_threads_do_not_share_scratch_memory() -> None:
    torch.manual_seed(0)
    work = [(torch.randn(1, 8, 40, 40), torch.randn(8, 8, 3, 3)) for _ in range(4)]
    expected = [step(*one) for one in work]
    wrong: list[int] = []

    def check(index: int) -> None:
        for _ in range(10):
            found = step(*work[index])
            if not all(torch.equal(a, b) for a, b in zip(found, expected[index], strict=True)):
                wrong.append(index)

    threads = [threading.Thread(target=check, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_training_goes_on_after_inference_on_larger_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(winograd, "_threads", threading.local())
    for remembered in (winograd._matrices, winograd._places):
        remembered.cache_clear()
    weight = torch.randn(2, 2, 3, 3)
    with torch.inference_mode():
        ReflectedWinograd.apply(torch.randn(1, 2, 24, 24), weight, None)  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(x).all() for x in step(torch.randn(1, 2, 8, 8), weight))


def test_only_wanted_gradients_are_computed() -> None:
    images = torch.randn(1, 2, 8, 8)
    weight = torch.randn(2, 2, 3, 3, requires_grad=True)
    ReflectedWinograd.apply(images, weight, None).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    frozen = weight.detach()
    images.requires_grad_()
    ReflectedWinograd.apply(images, frozen, None).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
