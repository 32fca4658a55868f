from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from medcyclegan.networks import convolution
from medcyclegan.networks.convolution import (
    Algorithm,
    Convolution,
    Layers,
    UpsampledConvolution,
    choose_convolutions,
)
from medcyclegan.networks.recomputing import Segment, recompute_activations


@pytest.fixture(autouse=True)
def _small_tensors_are_joined_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "JOINED", 1)


def make(kind: type[nn.Sequential], after: nn.Module) -> nn.Sequential:
    return kind(
        Convolution(64, 64, 3, bias=False),
        nn.InstanceNorm2d(64),
        nn.ReLU(inplace=True),
        after,
    )


AFTER: dict[str, Callable[[], nn.Module]] = {
    "winograd": lambda: Convolution(64, 64, 3),
    "lean": lambda: Convolution(64, 8, 3, stride=2),
    "thin": lambda: Convolution(64, 1, 7),
    "upsampled": lambda: UpsampledConvolution(64, 4),
}


def step(layers: nn.Module, images: Tensor) -> list[Tensor]:
    images = images.detach().requires_grad_()
    made = layers(images)
    return [
        made.detach(),
        *torch.autograd.grad(made.square().sum(), [images, *layers.parameters()]),
    ]


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("batch", [1, 2])
def test_norm_and_relu_made_again_change_no_result(after: str, batch: int) -> None:
    torch.manual_seed(0)
    plain, joined = make(nn.Sequential, AFTER[after]()), make(Layers, AFTER[after]())
    joined.load_state_dict(plain.state_dict())
    choose_convolutions(joined, "winograd")
    images = torch.randn(batch, 64, 12, 8, dtype=torch.float64)
    for mine, theirs in zip(
        step(joined.double(), images), step(plain.double(), images), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


def kept(layers: nn.Module, images: Tensor) -> int:
    """Return how many tensors of the images' size are kept for the backward pass."""
    places: set[int] = set()

    def note(tensor: Tensor) -> Tensor:
        if tensor.numel() == images.numel():
            places.add(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layers(images)
    return len(places)


@pytest.mark.parametrize(("way", "count"), [("winograd", 2), ("plain", 3)])
def test_the_result_of_norm_and_relu_is_not_kept(way: Algorithm, count: int) -> None:
    layers = make(Layers, Convolution(64, 64, 3))
    choose_convolutions(layers, way)
    images = torch.randn(1, 64, 16, 16, requires_grad=True)
    assert kept(layers, images) <= count
    if way == "plain":
        assert kept(layers, images) == count


def test_nothing_is_held_that_autograd_would_drop() -> None:
    """A graph that is recomputed must not hold what its first pass made."""
    held: list[weakref.ref[Tensor]] = []

    class Notes(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            held.append(weakref.ref(images.untyped_storage()))  # type: ignore[arg-type]
            return images

    layers = Segment(
        Convolution(64, 64, 3),
        Notes(),
        nn.InstanceNorm2d(64),
        nn.ReLU(inplace=True),
        Convolution(64, 64, 3),
    )
    choose_convolutions(layers, "winograd")
    recompute_activations(layers)
    made = layers(torch.randn(1, 64, 8, 8, requires_grad=True))
    gc.collect()
    assert held[0]() is None
    made.sum().backward()
    assert len(held) == 2
