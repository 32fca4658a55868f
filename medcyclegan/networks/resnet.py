"""The residual generator of CycleGAN."""

from __future__ import annotations

from torch import Tensor, nn

from medcyclegan.networks.convolution import Layers
from medcyclegan.networks.heap import give_back
from medcyclegan.networks.layers import Norm, Upsampling, convolution, initialize, upsampling_layers
from medcyclegan.networks.recomputing import Segment

TOGETHER = 3  # blocks recomputed together: as much memory as the layers at full size


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose result is added to their input (He et al. 2016)."""

    def __init__(self, channels: int, *, norm: Norm) -> None:
        super().__init__()
        self.layers = Layers(
            *convolution(channels, channels, 3, norm=norm),
            nn.ReLU(inplace=True),
            *convolution(channels, channels, 3, norm=norm),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (B, C, H, W)."""
        return features + self.layers(features)


class ResnetGenerator(nn.Module):
    """c7s1-f, d2f, d4f, residual blocks, u2f, uf, c7s1-1 (Zhu et al. 2017, section 7.2).

    Args:
        in_channels: slices in a stack, with all their views.
        out_channels: slices in a stack; None: as many as come in.
        filters: channels after the first convolution, f.
        blocks: residual blocks; 6 for 128 x 128, 9 for 256 x 256 in the paper.
        norm: "instance" as published, or "batch".
        upsampling: "resize" or, as published, "transposed".
    """

    multiple = 4  # height and width must be multiples of this

    def __init__(
        self,
        in_channels: int = 1,
        *,
        out_channels: int | None = None,
        filters: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        upsampling: Upsampling = "resize",
    ) -> None:
        super().__init__()
        f = filters
        self.layers = nn.Sequential(
            Segment(
                *convolution(in_channels, f, 7, norm=norm),
                nn.ReLU(inplace=True),
                *convolution(f, 2 * f, 3, stride=2, norm=norm),  # (B, 2f, H/2, W/2)
                nn.ReLU(inplace=True),
                *convolution(2 * f, 4 * f, 3, stride=2, norm=norm),  # (B, 4f, H/4, W/4)
                nn.ReLU(inplace=True),
            ),
            *(
                Segment(
                    *(ResidualBlock(4 * f, norm=norm) for _ in range(min(TOGETHER, blocks - first)))
                )
                for first in range(0, blocks, TOGETHER)
            ),
            Segment(
                *upsampling_layers(4 * f, 2 * f, kind=upsampling, norm=norm),
                nn.ReLU(inplace=True),
                *upsampling_layers(2 * f, f, kind=upsampling, norm=norm),
                nn.ReLU(inplace=True),
                *convolution(f, out_channels or in_channels, 7, norm="none")[:1],
            ),
        )
        initialize(self)

    @property
    def head(self) -> nn.Module:
        """The last convolution."""
        last = self.layers[-1]
        assert isinstance(last, Segment)
        return last[-1]

    def forward(self, slices: Tensor) -> Tensor:
        """Return an unbounded map (B, out_channels, H, W) of `slices` (B, in_channels, H, W)."""
        result: Tensor = self.layers(slices)
        give_back(result)
        return result
