from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from medcyclegan.networks import DirectOutput, ResidualOutput, ResnetGenerator, UnetGenerator


class Says(nn.Module):
    """A network whose map is what it was told."""

    def __init__(self, says: Tensor | float) -> None:
        super().__init__()
        self.head = nn.Identity()
        self.says = nn.Parameter(torch.as_tensor(says, dtype=torch.float32))

    def forward(self, slices: Tensor) -> Tensor:
        return self.says.expand_as(slices)


@pytest.mark.parametrize(
    "network",
    [
        ResnetGenerator(filters=64, blocks=1, norm="batch"),
        ResnetGenerator(filters=4, blocks=1),
        UnetGenerator(filters=16, depth=2),
    ],
    ids=["wide resnet", "narrow resnet", "unet"],
)
def test_a_residual_generator_begins_near_the_identity(network: nn.Module) -> None:
    torch.manual_seed(0)
    generator = ResidualOutput(network)
    slices = torch.rand(1, 1, 48, 48) * 2 - 1
    with torch.no_grad():
        change = (generator(slices) - slices).abs().mean()
    assert 1e-3 < float(change) < 5e-2


def test_the_change_is_bounded_by_the_width_of_the_window() -> None:
    ends = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3)
    assert torch.equal(ResidualOutput(Says(1e6))(ends), torch.ones(1, 1, 1, 3))
    assert torch.equal(ResidualOutput(Says(-1e6))(ends), -torch.ones(1, 1, 1, 3))
    # the bound itself, from below: 2 tanh(0.5) from the lower end
    half = ResidualOutput(Says(0.5))(ends)
    assert float(half[..., 0].detach()) == pytest.approx(-1 + 2 * math.tanh(0.5))


def test_fakes_never_leave_the_window() -> None:
    torch.manual_seed(0)
    slices = torch.rand(1, 1, 200, 200) * 2 - 1
    fakes = ResidualOutput(Says(torch.randn(200, 200) * 3))(slices)
    assert float(fakes.detach().max()) <= 1.0
    assert float(fakes.detach().min()) >= -1.0


def test_no_change_gives_the_input_bit_for_bit() -> None:
    slices = torch.rand(1, 2, 50, 50) * 2 - 1
    assert torch.equal(ResidualOutput(Says(0.0))(slices), slices)


def test_the_clamp_lets_gradients_through() -> None:
    network = Says(1.0)  # 0.9 + 2 tanh(1) = 2.42: past the window's edge
    slices = torch.full((1, 1, 1, 1), 0.9, requires_grad=True)
    fake = ResidualOutput(network)(slices)
    assert float(fake.detach()) == 1.0
    fake.sum().backward()
    assert network.says.grad is not None
    assert slices.grad is not None
    assert float(network.says.grad) == pytest.approx(2 * (1 - math.tanh(1.0) ** 2))
    assert float(slices.grad) == 1.0


def test_direct_output_is_the_whole_image() -> None:
    slices = torch.rand(1, 1, 2, 2)
    fake = DirectOutput(Says(0.3))(slices)
    torch.testing.assert_close(fake, torch.full((1, 1, 2, 2), math.tanh(0.3)))
