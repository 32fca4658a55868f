from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from medcyclegan.networks import LightGenerator, ResnetGenerator
from medcyclegan.networks.layers import Norm
from medcyclegan.networks.recomputing import recompute_activations


def flops(network: torch.nn.Module) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 1, 128, 128))
    return counter.get_total_flops()


def test_it_takes_less_than_an_eighth_of_the_published_generator_s_arithmetic() -> None:
    with torch.device("meta"):
        light, published = LightGenerator(filters=128, blocks=9), ResnetGenerator(norm="batch")
    assert 8 * flops(light) < flops(published)


def test_it_has_as_many_weights_as_by_hand() -> None:
    network = LightGenerator(filters=8, blocks=2)
    stem = 9 * 16 * 8 + 2 * 8
    block = (9 * 8 + 2 * 8) + (8 * 16 + 2 * 16) + (16 * 8 + 2 * 8)
    far = 8 * 16 + 2 * 16
    ending = (9 * 8 + 2 * 8) + (9 * (16 + 2 * 8) * 8 + 2 * 8) + 9 * 8 + 1
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == stem + 2 * block + far + ending


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_maps_have_the_shape_that_is_asked_for(norm: Norm) -> None:
    network = LightGenerator(6, out_channels=3, filters=4, blocks=1, norm=norm)
    assert network(torch.randn(2, 6, 16, 24)).shape == (2, 3, 16, 24)


def test_a_pixel_depends_on_itself_and_on_what_is_far() -> None:
    torch.manual_seed(0)
    network = LightGenerator(filters=8, blocks=3).eval()
    slices = torch.randn(1, 1, 64, 64, requires_grad=True)
    network(slices)[0, 0, 32, 32].backward()
    assert slices.grad is not None
    seen = slices.grad[0, 0] != 0
    assert seen[32, 32]
    rows = seen.any(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 >= 4 * (1 + 2 * 4)


def test_recomputed_activations_give_the_same_gradients() -> None:
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = LightGenerator(filters=4, blocks=2)
        if recompute:
            recompute_activations(network)
        network(torch.randn(2, 1, 16, 16)).square().mean().backward()
        gradients.append([weight.grad for weight in network.parameters()])
    for kept, again in zip(*gradients, strict=True):
        assert kept is not None
        assert torch.equal(kept, again)
