"""Losses that are tried, as functions of tensors (B, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # neighbours that a descriptor compares


def variation(change: Tensor) -> Tensor:
    """Return the total variation: the mean size of differences of neighbouring pixels."""
    along = (change[..., 1:] - change[..., :-1]).abs().mean()
    return along + (change[..., 1:, :] - change[..., :-1, :]).abs().mean()


def mind_distance(one: Tensor, other: Tensor) -> Tensor:
    """Return E[|MIND(one) - MIND(other)|] (Heinrich et al. 2012), of the four next neighbours."""
    return (_mind(one) - _mind(other)).abs().mean()


def _mind(images: Tensor) -> Tensor:
    """Return exp(-D / V), (B, 4C, H, W), with D the mean squared difference of patches."""
    distances = [
        functional.avg_pool2d((images - images.roll(step, (-2, -1))).square(), 3, 1, 1)
        for step in STEPS
    ]
    stacked = torch.cat(distances, dim=1)
    spread = torch.stack(distances).mean(dim=0).repeat(1, len(STEPS), 1, 1)
    return torch.exp(-stacked / (spread + 1e-4))
