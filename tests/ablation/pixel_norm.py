"""A normalisation that is tried: of each pixel by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class PixelNorm(nn.Module):
    """Each pixel's channels over their root mean square, then scaled and shifted by channel.

    Karras et al. 2018 (arXiv:1710.10196), section 4.2; Zhang and Sennrich 2019 (arXiv:1910.07467).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (B, C, H, W)."""
        scale = torch.rsqrt(features.square().mean(dim=1, keepdim=True) + EPSILON)
        return torch.addcmul(self.bias, features * scale, self.weight)


def replace_norms(network: nn.Module) -> None:
    """Put a `PixelNorm` in the place of every batch norm below `network`."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, PixelNorm(child.num_features))
        else:
            replace_norms(child)
