from __future__ import annotations

import pytest
import torch
from torch import nn

from medcyclegan.networks import ResnetGenerator
from medcyclegan.networks.layers import Norm, Upsampling


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("norm", "upsampling", "count"),
    [
        # two of 7x7, four of 3x3 that halve or double, 18 of 3x3 in the blocks, one bias
        ("instance", "transposed", 49 * 128 + 18 * (64 * 128 + 128 * 256 + 256 * 256 * 9) + 1),
        ("instance", "resize", 11_360_385),
        ("batch", "resize", 11_360_385 + 2 * (64 + 128 + 256 + 18 * 256 + 128 + 64)),
    ],
)
def test_the_published_network_has_as_many_weights_as_by_hand(
    norm: Norm, upsampling: Upsampling, count: int
) -> None:
    with torch.device("meta"):
        assert parameters(ResnetGenerator(norm=norm, upsampling=upsampling)) == count


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_maps_keep_the_shape_of_stacks(norm: Norm, upsampling: Upsampling) -> None:
    network = ResnetGenerator(3, filters=2, blocks=1, norm=norm, upsampling=upsampling)
    assert network.multiple == 4
    stacks = torch.randn(2, 3, 20, 28)
    assert network(stacks).shape == stacks.shape
    assert network(torch.randn(2, 3, 22, 28)).shape != (2, 3, 22, 28)  # 22 is no multiple of 4


def test_residual_blocks_add_to_their_input() -> None:
    network = ResnetGenerator(filters=2, blocks=1)
    block = network.get_submodule("layers.1")
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    features = torch.randn(1, 8, 6, 6)
    assert torch.equal(block(features), features)


def far_change(norm: Norm) -> float:
    """Return by how much a map changes far from where its input does, in units of its spread."""
    torch.manual_seed(0)
    network = ResnetGenerator(filters=4, blocks=1, norm=norm)
    before = torch.randn(1, 1, 96, 96)
    network(before)
    network.eval()
    after = before.clone()
    after[..., :24, :24] = 3.0
    with torch.inference_mode():
        maps = network(before), network(after)
    assert float((maps[0] - maps[1])[..., :24, :24].abs().max()) > 0.1 * float(maps[0].std())
    return float((maps[0] - maps[1])[..., 56:, 56:].abs().max() / maps[0].std())


def test_batch_norm_keeps_a_voxel_independent_of_the_rest_and_instance_norm_does_not() -> None:
    assert far_change("batch") < 1e-5
    assert far_change("instance") > 0.01
