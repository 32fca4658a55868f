"""Convolutions to few channels, as one matrix product over all pixels.

The last 7x7 convolution of a generator takes 64 channels to one. Each pixel is multiplied first by
all places of the kernel, which is a matrix product of (49, 64) and (64, pixels), and the 49 small
images are then laid over each other, shifted (folding).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from medcyclegan.networks.normed import Source, kept, restored


class ReflectedToThin(torch.autograd.Function):
    """Convolution to few channels, stride 1, padded by reflection; keeps input and weights."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, source: Source | None) -> Tensor:
        """Return (B, K, H, W) of images (B, C, H, W) and weights (K, C, k, k)."""
        ctx.save_for_backward(kept(images, source), weight)
        ctx.source = source
        batch, _, height, width = images.shape
        kernel = weight.shape[2]
        half = kernel // 2
        planes = (_by_place(weight) @ images.flatten(2)).view(batch, -1, height, width)
        planes = functional.pad(planes, [half] * 4, mode="reflect").flatten(2)
        size = (height + 2 * half, width + 2 * half)
        laid = functional.fold(planes, size, kernel, padding=half)
        return laid[:, :, half : half + height, half : half + width].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of images and weights, of the gradient (B, K, H, W)."""
        images, weight = ctx.saved_tensors
        batch, _, height, width = images.shape
        kernel = weight.shape[2]
        half = kernel // 2
        planes = functional.unfold(functional.pad(gradient, [half] * 4), kernel, padding=half)
        planes = planes.view(batch, -1, height + 2 * half, width + 2 * half)
        planes = _reflected_back(planes, half).flatten(2)  # (B, K * k * k, H * W)
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = (_by_place(weight).t() @ planes).view_as(images)
        if ctx.needs_input_grad[1]:
            images = restored(images, ctx.source)
            by_place = torch.bmm(planes, images.flatten(2).transpose(1, 2)).sum(0)
            turned = by_place.view(-1, kernel, kernel, weight.shape[1]).permute(0, 3, 1, 2)
            of_weight = turned.flip(2, 3)
        return of_images, of_weight, None


def _by_place(weight: Tensor) -> Tensor:
    """Return (K * k * k, C) of weights (K, C, k, k), each kernel turned by half a turn."""
    return weight.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, weight.shape[1])


def _reflected_back(padded: Tensor, half: int) -> Tensor:
    """Return the gradient of images (B, C, H, W), of that of their padding; changes `padded`."""
    height, width = (length - 2 * half for length in padded.shape[2:])
    for i in range(half):
        padded[:, :, 2 * half - i] += padded[:, :, i]
        padded[:, :, height - 1 + i] += padded[:, :, height + 2 * half - 1 - i]
    for i in range(half):
        padded[..., 2 * half - i] += padded[..., i]
        padded[..., width - 1 + i] += padded[..., width + 2 * half - 1 - i]
    return padded[:, :, half : half + height, half : half + width]
