"""What the networks are built of: padded convolutions, norms, upsampling, initial weights."""

from __future__ import annotations

from typing import Literal

from torch import nn

from medcyclegan.networks.convolution import Convolution, UpsampledConvolution

Norm = Literal["instance", "batch", "none"]
Upsampling = Literal["resize", "transposed"]

INIT_STD = 0.02  # Zhu et al. 2017, section 7.1


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation of (B, channels, H, W).

    "instance" (Ulyanov et al. 2016) uses the statistics of each slice, so that a voxel's result
    depends on the whole slice; "batch" (Ioffe and Szegedy 2015) uses running statistics at
    inference, so that it does not; "none" passes through.
    """
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.Identity()


def convolution(
    channels: int, new_channels: int, kernel: int, *, stride: int = 1, norm: Norm
) -> list[nn.Module]:
    """Return a reflection-padded convolution and its norm; no bias where a norm would remove it."""
    return [
        Convolution(channels, new_channels, kernel, stride=stride, bias=norm == "none"),
        norm_layer(norm, new_channels),
    ]


def upsampling_layers(
    channels: int, new_channels: int, *, kind: Upsampling, norm: Norm
) -> list[nn.Module]:
    """Return layers that double height and width.

    "resize" is nearest-neighbour and a convolution (Odena et al. 2016: no checkerboards);
    "transposed" the transposed convolution of the published recipe.
    """
    bias = norm == "none"
    if kind == "resize":
        convolving: nn.Module = UpsampledConvolution(channels, new_channels, bias=bias)
    else:
        convolving = nn.ConvTranspose2d(
            channels, new_channels, 3, stride=2, padding=1, output_padding=1, bias=bias
        )
    return [convolving, norm_layer(norm, new_channels)]


def initialize(network: nn.Module) -> None:
    """Draw all convolution weights from N(0, 0.02), biases 0 (Zhu et al. 2017, section 7.1).

    Scales of batch norms are drawn from N(1, 0.02), as the authors' code does.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, INIT_STD)
            nn.init.zeros_(module.bias)
