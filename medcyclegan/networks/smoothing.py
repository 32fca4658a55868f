"""A small filter against noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Smoothing(nn.Module):
    """A 3 x 3 binomial filter; edges are repeated."""

    def __init__(self) -> None:
        super().__init__()
        side = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filter", (side[:, None] * side)[None, None], persistent=False)

    def forward(self, slices: Tensor) -> Tensor:
        """Return stacks of the same shape (B, C, H, W)."""
        weight = self.get_buffer("filter").expand(slices.shape[1], 1, 3, 3)
        padded = functional.pad(slices, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, weight.to(slices), groups=slices.shape[1])
