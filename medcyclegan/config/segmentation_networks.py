"""Options of segmentation networks: on slices, on patches of volumes, or nnU-Net's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medcyclegan.config.section import Number, Section, WholeNumber, section_of_kind

AtLeastOne = Annotated[WholeNumber, Field(ge=1)]


class Unet2dConfig(Section):
    """A U-Net on whole slices."""

    kind: Literal["unet_2d"] = "unet_2d"
    size: Annotated[WholeNumber, Field(ge=32, le=1024, multiple_of=32)] = 96
    """Height and width of a training crop, pixels."""
    spacing_mm: Annotated[Number, Field(gt=0, le=20)] = 4.0
    """In-plane distance of pixels, mm."""
    filters: AtLeastOne = 8
    """Channels at full resolution; they double with each level."""
    levels: Annotated[WholeNumber, Field(ge=2, le=6)] = 5
    """Resolutions."""
    residual_units: Annotated[WholeNumber, Field(ge=0, le=4)] = 0
    """Convolutions with a shortcut in each level; 0: a plain one."""

    @property
    def is_3d(self) -> bool:
        """Whether it works on volumes."""
        return False

    @property
    def patch(self) -> tuple[int, int, int]:
        """Slices, rows and columns of a training sample."""
        return 1, self.size, self.size

    @property
    def across_mm(self) -> float | None:
        """Distance of slices, mm; None: as they come."""
        return None


class Unet3dConfig(Section):
    """A U-Net on patches of volumes."""

    kind: Literal["unet_3d"]
    size: Annotated[WholeNumber, Field(ge=32, le=512, multiple_of=32)] = 96
    """Rows and columns of a patch."""
    slices: Annotated[WholeNumber, Field(ge=32, le=512, multiple_of=32)] = 96
    """Slices of a patch."""
    spacing_mm: Annotated[Number, Field(gt=0, le=20)] = 1.5
    """In-plane distance of voxels, mm."""
    slice_mm: Annotated[Number, Field(gt=0, le=20)] = 1.5
    """Distance of slices, mm."""
    filters: AtLeastOne = 32
    """Channels at full resolution; they double with each level."""
    levels: Annotated[WholeNumber, Field(ge=2, le=6)] = 5
    """Resolutions."""
    residual_units: Annotated[WholeNumber, Field(ge=0, le=4)] = 2
    """Convolutions with a shortcut in each level; 0: a plain one."""

    @property
    def is_3d(self) -> bool:
        """Whether it works on volumes."""
        return True

    @property
    def patch(self) -> tuple[int, int, int]:
        """Slices, rows and columns of a training sample."""
        return self.slices, self.size, self.size

    @property
    def across_mm(self) -> float | None:
        """Distance of slices, mm."""
        return self.slice_mm


class NnunetConfig(Section):
    """No network: each arm's training set is written as nnU-Net wants it, to be trained there."""

    kind: Literal["nnunet"]
    first_dataset: Annotated[WholeNumber, Field(ge=1, le=980)] = 701
    """Number of the first arm's data set; the others follow."""
    folds: Annotated[WholeNumber, Field(ge=2, le=20)] = 5
    """Folds of splits_final.json, by patient."""


PatchNetwork = Unet2dConfig | Unet3dConfig  # those that are trained here
NetworkConfig = Annotated[
    Unet2dConfig | Unet3dConfig | NnunetConfig,
    Field(discriminator="kind"),
    BeforeValidator(section_of_kind("unet_2d")),
]
