from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.networks import PatchDiscriminator, ResnetGenerator, UnetGenerator
from medcyclegan.networks.convolution import (
    Algorithm,
    Convolution,
    UpsampledConvolution,
    choose_convolutions,
)
from medcyclegan.networks.layers import Norm

KINKS = 0.02  # rounding puts a few activations on the other side of a ReLU's kink
WAYS: tuple[Algorithm, ...] = ("plain", "lean", "winograd")


class Results(NamedTuple):
    """What a layer gives, and the gradients of its input and its weights."""

    images: Tensor
    of_input: Tensor
    of_weights: Tensor


def results(layer: nn.Module, images: Tensor, gradient: Tensor) -> Results:
    images = images.detach().requires_grad_()
    made = layer(images)
    of_input, *of_weights = torch.autograd.grad(made, [images, *layer.parameters()], gradient)
    return Results(made.detach(), of_input, together(of_weights))


def together(tensors: list[Tensor]) -> Tensor:
    """Return all in one: of a bias that a norm removes the gradient alone is rounding."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def truth(layer: Convolution, images: Tensor, gradient: Tensor) -> Results:
    """Return the same in float64, by torch's own padding, upsampling and convolution."""
    plain = nn.Sequential(
        *([nn.Upsample(scale_factor=2)] if isinstance(layer, UpsampledConvolution) else []),
        nn.ReflectionPad2d(layer.kernel_size[0] // 2),
        nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size[0],
            stride=layer.stride[0],
            bias=layer.bias is not None,
        ),
    ).double()
    for mine, theirs in zip(layer.parameters(), plain.parameters(), strict=True):
        theirs.data.copy_(mine.data)
    return results(plain, images.double(), gradient.double())


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm().clamp(min=1e-30))


def check(layer: Convolution, images: Tensor, forward: float, backward: float) -> None:
    layer.to(images.dtype)
    with torch.no_grad():
        gradient = torch.randn_like(layer(images))
    found, exact = results(layer, images, gradient), truth(layer, images, gradient)
    assert found.images.shape == exact.images.shape
    assert error(found.images, exact.images) <= forward
    assert error(found.of_input, exact.of_input) <= backward
    assert error(found.of_weights, exact.of_weights) <= backward


sizes = st.integers(2, 19)
few = st.integers(1, 5)


@settings(max_examples=60)
@given(few, few, sizes, sizes, st.integers(1, 3), st.booleans(), st.sampled_from(WAYS))
def test_every_way_is_the_same_mathematics(
    channels: int,
    new_channels: int,
    height: int,
    width: int,
    batch: int,
    bias: bool,
    way: Algorithm,
) -> None:
    torch.manual_seed(height * 31 + width)
    layer = Convolution(channels, new_channels, 3, bias=bias)
    layer.algorithm = way
    images = torch.randn(batch, channels, height, width)
    check(layer, images.double(), 1e-12, 1e-12)
    check(layer, images, 1e-5, 5e-5)


@settings(max_examples=30)
@given(few, few, st.integers(4, 15), st.integers(4, 15), st.sampled_from([1, 2]), st.booleans())
def test_a_lean_convolution_is_the_same_at_any_stride_and_kernel(
    channels: int, new_channels: int, height: int, width: int, stride: int, bias: bool
) -> None:
    for kernel in (3, 5, 7):
        layer = Convolution(channels, new_channels, kernel, stride=stride, bias=bias)
        layer.algorithm = "lean"
        check(layer, torch.randn(2, channels, height, width), 1e-5, 5e-5)


@settings(max_examples=30)
@given(st.integers(1, 2), st.integers(4, 15), st.integers(4, 15), st.sampled_from([3, 7]))
def test_few_channels_of_many_are_the_same_mathematics(
    new_channels: int, height: int, width: int, kernel: int
) -> None:
    layer = Convolution(32, new_channels, kernel)
    layer.algorithm = "lean"
    check(layer, torch.randn(2, 32, height, width), 1e-5, 5e-5)
    check(layer, torch.randn(1, 32, height, width, dtype=torch.float64), 1e-12, 1e-12)


@settings(max_examples=40)
@given(few, few, st.integers(1, 12), st.integers(1, 12), st.booleans(), st.sampled_from(WAYS))
def test_convolving_the_small_image_is_upsampling_and_convolving(
    channels: int, new_channels: int, height: int, width: int, bias: bool, way: Algorithm
) -> None:
    layer = UpsampledConvolution(channels, new_channels, bias=bias)
    layer.algorithm = way
    check(layer, torch.randn(2, channels, height, width), 1e-5, 5e-5)
    check(layer, torch.randn(1, channels, height, width, dtype=torch.float64), 1e-12, 1e-12)


def test_a_residual_convolution_at_full_width_is_within_the_bounds() -> None:
    torch.manual_seed(0)
    layer = Convolution(256, 256, 3, bias=False)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    layer.algorithm = "winograd"
    check(layer, torch.randn(2, 256, 32, 32).relu(), 1e-5, 5e-5)


def padded_copies(work: Callable[[], Tensor], size: int) -> int:
    """Return how many tensors larger than the image are kept for the backward pass."""
    larger = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal larger
        larger += tensor.dim() == 4 and tensor.shape[2] > size
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        work()
    return larger


@pytest.mark.parametrize("way", WAYS)
def test_no_padded_copy_is_kept_but_in_the_plain_way(way: Algorithm) -> None:
    layer = Convolution(3, 3, 3)
    layer.algorithm = way
    images = torch.randn(1, 3, 16, 16, requires_grad=True)
    assert padded_copies(lambda: layer(images), 16) == (way == "plain")


def test_winograd_is_taken_where_it_pays_and_strangers_are_left_alone() -> None:
    network = nn.Sequential(
        Convolution(64, 64, 3),
        Convolution(8, 8, 3),
        Convolution(64, 64, 7),
        Convolution(64, 64, 3, stride=2),
        nn.Conv2d(64, 64, 3),
    )
    choose_convolutions(network, "winograd")
    assert [getattr(layer, "algorithm", None) for layer in network] == [
        "winograd",
        *["lean"] * 3,
        None,
    ]
    choose_convolutions(network, "plain")
    assert {getattr(layer, "algorithm", None) for layer in network} == {"plain", None}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [Convolution, UpsampledConvolution])
def test_autocast_gets_what_it_asked_for(
    kind: type[Convolution], way: Algorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = kind(4, 4, *([3] if kind is Convolution else []))
    layer.algorithm = way
    images = torch.randn(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(images)
    assert made.dtype == torch.bfloat16
    made.float().sum().backward()
    assert images.grad is not None
    assert images.grad.dtype == torch.float32


def gradients(network: nn.Module, images: Tensor) -> Tensor:
    loss = network(images).square().sum()
    return together(list(torch.autograd.grad(loss, list(network.parameters()))))


def check_gradients(network: nn.Module, images: Tensor) -> None:
    found = gradients(network, images)
    assert error(found, gradients(network.double(), images.double())) < KINKS


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_whole_networks_are_those_of_float64(norm: Norm, batch: int) -> None:
    torch.manual_seed(0)
    for network in (
        ResnetGenerator(filters=16, blocks=1, norm=norm),
        UnetGenerator(filters=16, depth=2, norm=norm),
    ):
        choose_convolutions(network, "winograd")
        check_gradients(network, torch.randn(batch, 1, 32, 32))
    check_gradients(PatchDiscriminator(filters=8), torch.randn(batch, 1, 48, 48))


def norm_gradient(channels_last: bool) -> Tensor:
    torch.manual_seed(0)
    images = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    gradient = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    if channels_last:
        gradient = gradient.contiguous(memory_format=torch.channels_last)
    images.requires_grad_()
    return torch.autograd.grad(functional.instance_norm(images), images, gradient)[0]


def test_layers_hand_instance_norm_no_gradient_with_channels_last() -> None:
    """Torch's instance norm is silently wrong then, on a CPU with batch 1; see what it is handed.

    If the first assertion fails torch was repaired, and channels_last may be allowed on a CPU.
    """
    assert error(norm_gradient(channels_last=True), norm_gradient(channels_last=False)) > 0.1
    for way in WAYS:
        network = nn.Sequential(
            nn.InstanceNorm2d(64), Convolution(64, 64, 3), nn.InstanceNorm2d(64),
            UpsampledConvolution(64, 4), nn.InstanceNorm2d(4), Convolution(4, 1, 7),
        )  # fmt: skip
        choose_convolutions(network, way)
        check_gradients(network, torch.randn(1, 64, 8, 8, requires_grad=True))
