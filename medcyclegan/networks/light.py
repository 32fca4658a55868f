"""A light generator: pixels put together, depthwise convolutions, bilinear interpolation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.networks.heap import give_back
from medcyclegan.networks.layers import Norm, norm_layer
from medcyclegan.networks.recomputing import Segment

FACTOR = 4  # rows and columns of pixels that become channels
WIDER = 2  # channels inside a block, as a multiple
COARSE, DETAIL = 16, 8  # channels at full resolution: of the blocks, and of pixels


class LightBlock(nn.Module):
    """A depthwise 3x3 convolution and two pointwise ones, added to their input.

    Depthwise first, then wider and narrow again, as in Liu et al. 2022 (arXiv:2201.03545, figure
    4); here with kernels of 3, twice as wide, ReLU, and a norm after each convolution.
    """

    def __init__(self, channels: int, *, norm: Norm) -> None:
        super().__init__()
        wide = WIDER * channels
        self.layers = nn.Sequential(
            *_convolution(channels, channels, 3, norm=norm, groups=channels),
            *_convolution(channels, wide, 1, norm=norm),
            nn.ReLU(inplace=True),
            *_convolution(wide, channels, 1, norm=norm),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (B, C, H, W)."""
        result: Tensor = features + self.layers(features)
        return result


class LightGenerator(nn.Module):
    """Blocks of depthwise convolutions at a quarter of the resolution; detail joins at the end.

    16 pixels become channels of one (after Shi et al. 2016, arXiv:1609.05158), so that no pixel is
    lost and none is computed on at full width; what the blocks find is interpolated, which draws no
    grid, and joins the detail as it is and as a product, by which an edge follows what lies on both
    of its sides. Weights begin as He et al. 2015 have them.

    Args:
        in_channels: slices in a stack, with all their views.
        out_channels: slices in a stack; None: as many as come in.
        filters: channels at a quarter of the resolution.
        blocks: depthwise blocks.
        norm: "batch" or "instance".
    """

    multiple = FACTOR  # height and width must be multiples of this

    def __init__(
        self,
        in_channels: int = 1,
        *,
        out_channels: int | None = None,
        filters: int = 64,
        blocks: int = 6,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        packed = in_channels * FACTOR**2
        self.coarse = nn.Sequential(
            Segment(*_convolution(packed, filters, 3, norm=norm)),
            *(Segment(LightBlock(filters, norm=norm)) for _ in range(blocks)),
            Segment(
                *_convolution(filters, COARSE, 1, norm=norm),
                nn.Upsample(scale_factor=FACTOR, mode="bilinear"),
            ),
        )
        self.fine = Segment(*_convolution(in_channels, DETAIL, 3, norm=norm))
        together = COARSE + 2 * DETAIL
        self.joined = Segment(*_convolution(together, DETAIL, 3, norm=norm))
        self.head = nn.Conv2d(DETAIL, out_channels or in_channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, slices: Tensor) -> Tensor:
        """Return an unbounded map (B, out_channels, H, W) of `slices` (B, in_channels, H, W)."""
        coarse = self.coarse(functional.pixel_unshuffle(slices, FACTOR))
        fine = self.fine(slices)
        both = functional.relu(torch.cat([coarse, fine], dim=1))
        joined = self.joined(torch.cat([both, coarse[:, :DETAIL] * fine], dim=1))
        result: Tensor = self.head(functional.relu(joined))
        give_back(result)
        return result


def _convolution(
    channels: int, new_channels: int, kernel: int, *, norm: Norm, groups: int = 1
) -> list[nn.Module]:
    """Return a zero-padded convolution and its norm; no bias where a norm would remove it."""
    return [
        nn.Conv2d(
            channels,
            new_channels,
            kernel,
            padding=kernel // 2,
            groups=groups,
            bias=norm == "none",
        ),
        norm_layer(norm, new_channels),
    ]
