"""How a generator's map becomes an image: as a bounded change of its input, or directly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANGE_BOUND = 2.0  # on the [-1, 1] scale: the whole width of the window
FIRST_CHANGE = 0.02  # spread of the head's first answers: near the identity, not stuck at it


class ResidualOutput(nn.Module):
    """Input plus a bounded change: stack + 2 tanh(network(stack)), clamped to [-1, 1].

    The bound is the window's width, since an opacified vessel may have to lose most of it. The
    head begins with small weights, so that training begins near the identity.

    Args:
        network: maps (B, C, H, W) to an unbounded map of that shape; its last layer is `head`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        begin_near_identity(network)

    def forward(self, slices: Tensor) -> Tensor:
        """Return stacks of the other domain, (B, C, H, W) in [-1, 1], of such stacks."""
        return within_window(slices + CHANGE_BOUND * torch.tanh(self.network(slices)))


class DirectOutput(nn.Module):
    """The whole stack: tanh(network(stack)), as published (Zhu et al. 2017)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, slices: Tensor) -> Tensor:
        """Return stacks of the other domain, (B, C, H, W) in [-1, 1], of such stacks."""
        return torch.tanh(self.network(slices))


def begin_near_identity(network: nn.Module) -> None:
    """Give a generator's last layer, `head`, weights so small that little changes at first."""
    for layer in network.get_submodule("head").modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, 0.0, FIRST_CHANGE / fan_in**0.5)


def within_window(images: Tensor) -> Tensor:
    """Return images (B, C, H, W) clamped to [-1, 1].

    The clamp lets gradients through as if it were not there (straight-through, Bengio et al. 2013),
    so that a voxel pushed past the window's edge can still be pulled back.
    """
    return images + (images.detach().clamp(-1.0, 1.0) - images.detach())
