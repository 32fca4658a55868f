from __future__ import annotations

import pytest
import torch

from medcyclegan.networks import PatchDiscriminator
from medcyclegan.networks.layers import Norm


@pytest.mark.parametrize(
    ("norm", "count"),
    [
        ("instance", 16 * (1 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1) + 64 + 1),
        ("none", 2_761_793 + 128 + 256 + 512),  # biases
    ],
)
def test_the_published_network_has_as_many_weights_as_by_hand(norm: Norm, count: int) -> None:
    with torch.device("meta"):
        network = PatchDiscriminator(norm=norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_filters_stop_doubling_at_eight_times_the_first() -> None:
    widest = max(p.shape[0] for p in PatchDiscriminator(filters=2, layers=5).parameters())
    assert widest == 16


@pytest.mark.parametrize(("size", "scores"), [(256, 30), (128, 14), (64, 6)])
def test_one_score_for_each_patch(size: int, scores: int) -> None:
    with torch.device("meta"):
        judged = PatchDiscriminator(3)(torch.empty(2, 3, size, size))
    assert judged.shape == (2, 1, scores, scores)


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_a_patch_of_the_published_size(layers: int, patch: int) -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(filters=4, layers=layers, norm="none").double()
    images = torch.randn(1, 1, 160, 160, dtype=torch.float64, requires_grad=True)
    scores = network(images)
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    assert images.grad is not None
    seen = images.grad[0, 0] != 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    assert int(rows.max() - rows.min()) + 1 == patch
    assert int(columns.max() - columns.min()) + 1 == patch


def test_without_norm_it_sees_absolute_values() -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 1, 48, 48)
    change = {}
    norms: tuple[Norm, ...] = ("instance", "none")
    for norm in norms:
        network = PatchDiscriminator(filters=4, layers=2, norm=norm)
        for name, parameter in network.named_parameters():
            if name == "layers.0.weight":
                parameter.data *= 100  # out of the kink of the first activation
        change[norm] = (network(images * 3) - network(images)).abs().max().item()
    assert change["none"] > 3 * change["instance"]
