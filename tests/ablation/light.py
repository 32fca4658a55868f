"""A light generator that is tried: pixel shuffle and depthwise convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FACTOR = 4  # pixels are put together and taken apart by this much
BLOCKS = 6
HEAD = 4  # channels at full resolution


class LightBlock(nn.Module):
    """A depthwise 3x3 convolution and two pointwise ones, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (B, C, H, W)."""
        return features + self.layers(features)


class LightGenerator(nn.Module):
    """Works at a quarter of the resolution; fine detail joins at the end.

    Args:
        in_channels: slices in a stack, in and out.
        channels: at a quarter of the resolution.
    """

    multiple = FACTOR

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        packed = in_channels * FACTOR**2
        self.coarse = nn.Sequential(
            nn.Conv2d(packed, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            *(LightBlock(channels) for _ in range(BLOCKS)),
            nn.Conv2d(channels, HEAD * FACTOR**2, 1, bias=False),
            nn.PixelShuffle(FACTOR),
            nn.BatchNorm2d(HEAD),
            nn.ReLU(inplace=True),
        )
        self.fine = nn.Sequential(
            nn.Conv2d(in_channels, HEAD, 3, padding=1, bias=False), nn.BatchNorm2d(HEAD), nn.ReLU()
        )
        self.joined = nn.Sequential(
            nn.Conv2d(2 * HEAD, HEAD, 3, padding=1, bias=False), nn.BatchNorm2d(HEAD), nn.ReLU()
        )
        self.head = nn.Conv2d(HEAD, in_channels, 3, padding=1)

    def forward(self, slices: Tensor) -> Tensor:
        """Return an unbounded map of the same shape as `slices` (B, C, H, W)."""
        coarse = self.coarse(functional.pixel_unshuffle(slices, FACTOR))
        result: Tensor = self.head(self.joined(torch.cat([coarse, self.fine(slices)], dim=1)))
        return result
