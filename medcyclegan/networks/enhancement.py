"""An output that can do no more than contrast medium: dense tissue gains HU, or loses some."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.networks.output import CHANGE_BOUND, begin_near_identity, within_window

DENSE = 2.0  # times the ramp above the floor: how dense soft tissue is without contrast medium


class _Between(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, size: Tensor, most: Tensor) -> Tensor:
        ctx.save_for_backward(size, most)
        return torch.minimum(size.clamp(min=0.0), most)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        size, most = ctx.saved_tensors
        outward = ((size < 0) & (slope > 0)) | ((size > most) & (slope < 0))
        return slope.masked_fill(outward, 0.0), None


def between(size: Tensor, most: Tensor) -> Tensor:
    """Return `size` clamped to [0, most]; gradients pass but what would push it further out.

    A clamp lets none pass, and what begins outside never comes back.
    """
    clamped: Tensor = _Between.apply(size, most)  # type: ignore[no-untyped-call]
    return clamped


class EnhancementOutput(nn.Module):
    """Input plus a change of one sign, near what is above a floor; what is lost ends there.

    Contrast medium makes nothing darker, and what is no denser than water takes up none of it: to
    take it out can turn no liver into lung and no muscle into fat. What decides is the input after
    a 3 x 3 binomial filter, so that noise does not. At an edge a pixel is part this and part that:
    it loses down to the least of its neighbours, if that is below the floor, and if any of them is
    above, and gains in the share of it that is dense. The head begins as that of `ResidualOutput`.

    Args:
        network: maps (B, C, H, W) to an unbounded map of that shape; its last layer is `head`.
        floor: what stays as it is, on the scale of [-1, 1].
        ramp: above it, over which a change becomes free.
        sign: 1 puts contrast medium in, -1 takes it out.
    """

    def __init__(self, network: nn.Module, *, floor: float, ramp: float, sign: int) -> None:
        super().__init__()
        self.network = network
        begin_near_identity(network)
        self.floor = floor
        self.ramp = ramp
        self.sign = sign
        side = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filter", (side[:, None] * side)[None, None], persistent=False)

    def forward(self, slices: Tensor) -> Tensor:
        """Return stacks of the other domain, (B, C, H, W) in [-1, 1], of such stacks."""
        smooth = self._smooth(slices)
        least, most = -_greatest(-smooth), _greatest(smooth)
        free = ((most - self.floor) / self.ramp).clamp(0.0, 1.0)
        size = self.sign * CHANGE_BOUND * torch.tanh(self.network(slices).to(slices.dtype))
        if self.sign < 0:
            lowest = least.clamp(max=self.floor)
            image = slices - between(size, free * (smooth - lowest))
        else:
            bound = torch.full_like(size, CHANGE_BOUND)
            image = slices + free * self._share(slices, least, most) * between(size, bound)
        return within_window(image)

    def _smooth(self, slices: Tensor) -> Tensor:
        weight = self.get_buffer("filter").expand(slices.shape[1], 1, 3, 3)
        padded = functional.pad(slices, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, weight.to(slices), groups=slices.shape[1])

    def _share(self, slices: Tensor, least: Tensor, most: Tensor) -> Tensor:
        """Return the share of a pixel that is dense tissue, 1 where no fat or gas is near.

        At an edge a pixel is part this and part that, and takes up contrast medium in that part.

        Args:
            slices: stacks (B, C, H, W) in [-1, 1].
            least: of each pixel's neighbours, after the filter.
            most: likewise.
        """
        dense = most.clamp(self.floor + self.ramp, self.floor + DENSE * self.ramp)
        share = ((slices - least) / (dense - least).clamp(min=self.ramp)).clamp(0.0, 1.0)
        edge = ((self.floor - least) / self.ramp).clamp(0.0, 1.0)
        return 1.0 - edge * (1.0 - share)


def _greatest(images: Tensor) -> Tensor:
    """Return the greatest of each pixel's 3 x 3 neighbours, of images (B, C, H, W)."""
    return functional.max_pool2d(images, 3, stride=1, padding=1)
