"""The PatchGAN discriminator."""

from __future__ import annotations

from torch import Tensor, nn

from medcyclegan.networks.layers import Norm, initialize, norm_layer

MAX_WIDTH = 8


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: C64-C128-C256-C512, 70x70 pixels each (Zhu et al. 2017, 7.2).

    Args:
        in_channels: channels of the image.
        filters: channels of the first convolution.
        layers: convolutions of stride 2; 3 give patches of 70 x 70 pixels, 2 of 34 x 34.
        norm: "instance" as published, or "none", which lets absolute HU through.
    """

    def __init__(
        self, in_channels: int = 1, *, filters: int = 64, layers: int = 3, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = [
            nn.Conv2d(in_channels, filters, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width = filters
        for level in range(1, layers + 1):
            wider = filters * min(2**level, MAX_WIDTH)
            stride = 2 if level < layers else 1
            modules += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=norm == "none"),
                norm_layer(norm, wider),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width = wider
        modules.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*modules)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, 1, h, w), one per patch, of images (B, C, H, W); 1 means real."""
        return self.layers(images)
