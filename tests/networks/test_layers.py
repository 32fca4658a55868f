from __future__ import annotations

import pytest
import torch
from torch import nn

from medcyclegan.networks.layers import (
    Norm,
    Upsampling,
    convolution,
    initialize,
    norm_layer,
    upsampling_layers,
)


def test_instance_norm_takes_the_statistics_of_each_slice() -> None:
    slices = torch.randn(2, 3, 8, 8) * torch.tensor([1.0, 9.0]).view(2, 1, 1, 1) + 4
    normed = norm_layer("instance", 3).eval()(slices)
    torch.testing.assert_close(normed.mean(dim=(2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        normed.std(dim=(2, 3), correction=0), torch.ones(2, 3), atol=1e-3, rtol=0
    )


def test_batch_norm_takes_running_statistics_at_inference() -> None:
    layer = norm_layer("batch", 1)
    for _ in range(200):
        layer(torch.randn(4, 1, 8, 8) * 2 + 3)
    normed = layer.eval()(torch.full((1, 1, 8, 8), 7.0))
    assert float(normed.detach().mean()) == pytest.approx((7 - 3) / 2, abs=0.2)


def test_no_norm_passes_through() -> None:
    slices = torch.randn(1, 2, 4, 4)
    assert torch.equal(norm_layer("none", 2)(slices), slices)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize(("stride", "length"), [(1, 16), (2, 8)])
def test_convolution_pads_by_reflection(kernel: int, stride: int, length: int) -> None:
    layers = nn.Sequential(*convolution(1, 5, kernel, stride=stride, norm="none"))
    mapped = layers(torch.full((2, 1, 16, 16), 0.7))
    assert mapped.shape == (2, 5, length, length)
    spread = (mapped - mapped[..., :1, :1]).abs().max()
    assert spread.item() < 1e-5  # zeros would show at the rim


@pytest.mark.parametrize(
    ("norm", "biased"), [("instance", False), ("batch", False), ("none", True)]
)
@pytest.mark.parametrize("kind", ["resize", "transposed"])
def test_a_bias_is_there_only_where_no_norm_removes_it(
    norm: Norm, biased: bool, kind: Upsampling
) -> None:
    layers = [
        *convolution(1, 2, 3, norm=norm),
        *upsampling_layers(1, 2, kind=kind, norm=norm),
    ]
    found = [x for x in layers if isinstance(x, nn.Conv2d | nn.ConvTranspose2d)]
    assert [x.bias is not None for x in found] == [biased, biased]


def test_resizing_leaves_no_checkerboard_where_transposed_convolution_does() -> None:
    spread = {}
    kinds: tuple[Upsampling, ...] = ("resize", "transposed")
    for kind in kinds:
        layers = nn.Sequential(*upsampling_layers(2, 3, kind=kind, norm="none"))
        for parameter in layers.parameters():
            nn.init.ones_(parameter)
        mapped = layers(torch.ones(1, 2, 6, 6))
        assert mapped.shape == (1, 3, 12, 12)
        inner = mapped[..., 2:-2, 2:-2]
        spread[kind] = (inner.max() - inner.min()).item()
    assert spread["resize"] == 0
    assert spread["transposed"] > 1


def test_initial_weights_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(16, 64, 3), nn.ConvTranspose2d(64, 16, 3), nn.BatchNorm2d(4096)
    )
    initialize(network)
    for layer in list(network)[:2]:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        assert layer.bias is not None
        assert float(layer.weight.detach().mean()) == pytest.approx(0, abs=1e-3)
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()
    norm = network[2]
    assert isinstance(norm, nn.BatchNorm2d)
    assert float(norm.weight.detach().mean()) == pytest.approx(1, abs=1e-2)
    assert float(norm.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not norm.bias.any()
