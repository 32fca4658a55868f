from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medcyclegan.networks import ResnetGenerator, UnetGenerator
from medcyclegan.networks.layers import Norm
from medcyclegan.networks.recomputing import Segment, recompute_activations


def make(kind: str, norm: Norm) -> nn.Module:
    torch.manual_seed(0)
    if kind == "resnet":
        return ResnetGenerator(filters=4, blocks=2, norm=norm)
    return UnetGenerator(filters=4, depth=2, norm=norm)


def bytes_kept(network: nn.Module, slices: Tensor) -> int:
    kept = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(slices)
    return kept


@pytest.mark.parametrize("kind", ["resnet", "unet"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_recomputing_changes_nothing_but_what_is_kept(kind: str, norm: Norm) -> None:
    slices = torch.randn(2, 1, 32, 32)
    states, gradients, kept = [], [], []
    for recompute in (False, True):
        network = make(kind, norm)
        if recompute:
            recompute_activations(network)
        network(slices).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
        states.append(network.state_dict())
        kept.append(bytes_kept(network, slices))
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():  # running statistics count each batch once
        assert torch.equal(value, states[1][name]), name
    assert kept[1] < 0.6 * kept[0]


def test_nothing_is_recomputed_where_no_gradient_is_wanted() -> None:
    calls: list[int] = []

    class Counts(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            calls.append(1)
            return images.square()

    network = nn.Sequential(nn.Identity(), Segment(Counts()))
    recompute_activations(network)
    with torch.no_grad():
        network(torch.zeros(1))
    assert len(calls) == 1
    network(torch.zeros(1, requires_grad=True)).backward()
    assert len(calls) == 3
