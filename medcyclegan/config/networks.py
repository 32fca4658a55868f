"""Options of generators and discriminators: the keyword arguments of the networks they name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medcyclegan.config.section import Section, WholeNumber, section_of_kind

AtLeastOne = Annotated[WholeNumber, Field(ge=1)]


class ResnetConfig(Section):
    """The residual generator of Zhu et al. 2017."""

    kind: Literal["resnet"] = "resnet"
    filters: AtLeastOne = 64
    """Channels after the first convolution."""
    blocks: AtLeastOne = 9
    """Residual blocks; in the paper 6 for 128 x 128 and 9 for 256 x 256 pixels."""
    norm: Literal["instance", "batch"] = "instance"
    """Normalisation: as published, or by running statistics, which makes the translation of a
    voxel independent of the rest of its slice."""
    upsampling: Literal["resize", "transposed"] = "resize"
    """Resize and convolve, without checkerboards, or transposed convolution, as published."""

    @property
    def multiple(self) -> int:
        """What height and width of a slice must be a multiple of, pixels."""
        return 4


class UnetConfig(Section):
    """A generator with skip connections (Ronneberger et al. 2015; Isola et al. 2017)."""

    kind: Literal["unet"] = "unet"
    filters: AtLeastOne = 64
    """Channels at full resolution."""
    depth: Annotated[WholeNumber, Field(ge=1, le=10)] = 4
    """Number of halvings."""
    norm: Literal["instance", "batch"] = "instance"
    """Normalisation; see the resnet."""
    upsampling: Literal["resize", "transposed"] = "resize"
    """Resize and convolve, or transposed convolution."""

    @property
    def multiple(self) -> int:
        """What height and width of a slice must be a multiple of, pixels."""
        return int(2**self.depth)


class LightConfig(Section):
    """A generator of depthwise convolutions at a quarter of the resolution."""

    kind: Literal["light"] = "light"
    filters: AtLeastOne = 64
    """Channels at a quarter of the resolution."""
    blocks: AtLeastOne = 6
    """Depthwise blocks."""
    norm: Literal["instance", "batch"] = "batch"
    """Normalisation; see the resnet."""

    @property
    def multiple(self) -> int:
        """What height and width of a slice must be a multiple of, pixels."""
        return 4


class PatchGANConfig(Section):
    """The discriminator of overlapping patches (Isola et al. 2017; Zhu et al. 2017)."""

    kind: Literal["patchgan"] = "patchgan"
    filters: AtLeastOne = 64
    """Channels of the first convolution."""
    layers: Annotated[WholeNumber, Field(ge=1, le=8)] = 3
    """Convolutions of stride 2: 3 judge patches of 70 x 70 pixels, 2 of 34 x 34."""
    norm: Literal["instance", "none"] = "instance"
    """Normalisation; none lets absolute HU through."""

    @property
    def smallest(self) -> int:
        """The smallest height and width that leave a score to give, pixels."""
        return int(3 * 2**self.layers)


GeneratorConfig = Annotated[
    ResnetConfig | UnetConfig | LightConfig,
    Field(discriminator="kind"),
    BeforeValidator(section_of_kind("resnet")),
]
DiscriminatorConfig = PatchGANConfig
