"""A U-Net generator: skip connections carry detail past the bottleneck."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from medcyclegan.networks.heap import give_back
from medcyclegan.networks.layers import Norm, Upsampling, convolution, initialize, upsampling_layers
from medcyclegan.networks.recomputing import Segment

MAX_WIDTH = 8  # channels stop doubling at 8 x filters, as in pix2pix


class UnetGenerator(nn.Module):
    """Encoder and decoder with a skip connection at each resolution.

    Ronneberger et al. 2015; as a generator Isola et al. 2017 (pix2pix), section 6.1.1.

    Args:
        in_channels: slices in a stack, with all their views.
        out_channels: slices in a stack; None: as many as come in.
        filters: channels at full resolution.
        depth: number of halvings.
        norm: "instance" or "batch".
        upsampling: "resize" or "transposed".
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        out_channels: int | None = None,
        filters: int = 64,
        depth: int = 4,
        norm: Norm = "instance",
        upsampling: Upsampling = "resize",
    ) -> None:
        super().__init__()
        self.multiple = 2**depth  # height and width must be multiples of this
        widths = [filters * min(2**level, MAX_WIDTH) for level in range(depth + 1)]
        self.stem = _activated(convolution(in_channels, widths[0], 3, norm=norm))
        self.down = nn.ModuleList(
            _activated(convolution(wide, wider, 3, stride=2, norm=norm))
            for wide, wider in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            _activated(upsampling_layers(wider, wide, kind=upsampling, norm=norm))
            for wide, wider in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.merge = nn.ModuleList(
            _activated(convolution(2 * wide, wide, 3, norm=norm)) for wide in widths[-2::-1]
        )
        self.head = nn.Sequential(
            *convolution(widths[0], out_channels or in_channels, 3, norm="none")
        )
        initialize(self)

    def forward(self, slices: Tensor) -> Tensor:
        """Return an unbounded map (B, out_channels, H, W) of `slices` (B, in_channels, H, W)."""
        features = self.stem(slices)
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([up(features), skips.pop()], dim=1))
        result: Tensor = self.head(features)
        give_back(result)
        return result


def _activated(layers: list[nn.Module]) -> Segment:
    return Segment(*layers, nn.ReLU(inplace=True))
