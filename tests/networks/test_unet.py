from __future__ import annotations

import pytest
import torch
from torch import nn

from medcyclegan.networks import UnetGenerator
from medcyclegan.networks.layers import Norm, Upsampling


@pytest.mark.parametrize(
    ("filters", "depth", "count"),
    [
        # stem, down, up, merge, head of widths 2, 4, 8
        (2, 2, 18 + (72 + 288) + (288 + 72) + (288 + 72) + 19),
        # of widths 1, 2, 4, 8, 8, 8: they stop doubling at eight times the first
        (1, 5, 9 + 9 * 170 + 9 * 170 + 9 * 298 + 10),
    ],
)
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_it_has_as_many_weights_as_by_hand(
    filters: int, depth: int, count: int, upsampling: Upsampling
) -> None:
    network = UnetGenerator(filters=filters, depth=depth, upsampling=upsampling)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("depth", [1, 3])
def test_maps_keep_the_shape_of_stacks(depth: int, norm: Norm, upsampling: Upsampling) -> None:
    network = UnetGenerator(3, filters=2, depth=depth, norm=norm, upsampling=upsampling)
    assert network.multiple == 2**depth
    stacks = torch.randn(2, 3, 2 * network.multiple, 3 * network.multiple)
    assert network(stacks).shape == stacks.shape


def test_skip_connections_carry_detail_past_the_bottleneck() -> None:
    torch.manual_seed(0)
    network = UnetGenerator(filters=4, depth=2)
    for parameter in network.up.parameters():
        nn.init.zeros_(parameter)  # nothing comes up from below
    slices = torch.randn(1, 1, 16, 16, requires_grad=True)
    network(slices)[0, 0, 8, 8].backward()
    assert slices.grad is not None
    assert float(slices.grad[0, 0, 8, 8].abs()) > 0
