"""The sections of the config that every method shares."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from medcyclegan.config.section import Number, Section, WholeNumber
from medcyclegan.config.volumes import OnePath, Volumes

AtLeastOne = Annotated[WholeNumber, Field(ge=1)]
SHARING = ("accumulate", "devices", "nodes")  # keys of training: parts of a batch
DEVICES = "auto|cpu|mps|cuda(:[0-9]+)?"
DomainName = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=64)]


class DomainConfig(Section):
    """One population of images."""

    name: DomainName
    """What people call it, for example `contrast`: small letters, digits, _ and -."""
    volumes: Volumes
    """File, folder, glob or rows of a table, or a list of them; relative to the working
    directory."""


class DomainsConfig(Section):
    """The two populations between which networks translate."""

    a: DomainConfig
    """Domain a."""
    b: DomainConfig
    """Domain b, into which `augment` translates when not told otherwise."""

    @model_validator(mode="after")
    def _two_names(self) -> DomainsConfig:
        if self.a.name == self.b.name:
            raise ValueError(f"a and b are both named {self.a.name!r}; name them apart")
        return self


class WindowConfig(Section):
    """The part of the HU scale that networks see."""

    low_hu: Annotated[Number, Field(ge=-4096, le=32767)] = -200.0
    """Lower end, HU; voxels below keep their value."""
    high_hu: Annotated[Number, Field(ge=-4096, le=32767)] = 600.0
    """Upper end, HU; opacified vessels reach 450 HU."""

    @model_validator(mode="after")
    def _not_empty(self) -> WindowConfig:
        if not self.low_hu < self.high_hu:
            raise ValueError(f"low_hu {self.low_hu:g} must be below high_hu {self.high_hu:g}")
        return self


class ReadingConfig(Section):
    """What readers do with volumes that they refuse otherwise."""

    resample_tilt: bool = False
    """A series with gantry tilt is resampled to a right-angled grid."""
    split_4d: bool = False
    """A file of several volumes is read as one volume for each."""


class GridConfig(Section):
    """The grid of slices that networks see."""

    size: Annotated[WholeNumber, Field(ge=1, le=4096)] = 256
    """Height and width of a training crop, pixels."""
    spacing_mm: Annotated[Number, Field(gt=0, le=100)] | None = 1.5
    """In-plane distance of pixels, mm; null keeps each volume's own."""
    neighbors: Annotated[WholeNumber, Field(ge=1, le=99)] = 1
    """Slices in a stack, an odd number; 1 is the slice alone."""

    @field_validator("neighbors")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd (the slice and as many on either side), got {value}")
        return value


class SlicesConfig(GridConfig):
    """The slices that networks are trained on."""

    match_position: bool = True
    """Whether a step shows like with like: slices of both domains from the same part of the body,
    told by body size, lung, bone and soft tissue. Parts that one domain lacks are not drawn."""


class AugmentationConfig(Section):
    """Small random changes of training slices; none by default."""

    rotation_degrees: Annotated[Number, Field(ge=0, le=45)] = 0.0
    """Turned by up to this, either way."""
    scaling: Annotated[Number, Field(ge=0, le=0.5)] = 0.0
    """Made larger or smaller by up to this share."""
    flip_left_right: bool = False
    """Half of the slices mirrored: for heads and limbs alone, liver and heart change sides."""


class TrainingConfig(Section):
    """How long and how networks are trained."""

    steps: AtLeastOne = 100_000
    """Updates of generators and discriminators."""
    batch_size: AtLeastOne = 4
    """Slices, or stacks, of each domain in a step."""
    learning_rate: Annotated[Number, Field(gt=0, le=1)] = 2.0e-4
    """Of Adam(0.5, 0.999), in the constant part."""
    discriminator_learning_rate: Annotated[Number, Field(gt=0, le=1)] | None = None
    """Another one for the discriminators; null takes the same."""
    constant_fraction: Annotated[Number, Field(ge=0, le=1)] = 0.5
    """Share of the steps at the constant rate; then it falls linearly to 0."""
    ema: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the running average of generator weights that is saved; 0 is off."""
    validation_fraction: Annotated[Number, Field(ge=0, lt=0.5)] = 0.1
    """Share of each domain's patients held out from training, for validation and pictures; 0
    trains on all."""
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**32)] = 0
    """Equal seeds, equal runs on one machine."""
    device: Annotated[str, Field(pattern=rf"^({DEVICES})$")] = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`; auto takes a GPU where there is one."""
    threads: Annotated[WholeNumber, Field(ge=0, le=1024)] = 0
    """CPU threads; 0 takes as many as there are cores."""
    log_every: AtLeastOne = 50
    """Steps between lines of metrics.jsonl."""
    sample_every: AtLeastOne = 1000
    """Steps between pictures."""
    checkpoint_minutes: Annotated[Number, Field(gt=0, le=5)] = 5.0
    """Minutes between checkpoints; the last two and that of the best step are kept."""
    keep_every: Annotated[WholeNumber, Field(ge=0)] = 0
    """Steps between checkpoints that are kept for good; 0 keeps none."""
    validate_every: AtLeastOne = 1000
    """Steps between validations on held-out patients; the best one's model is exported."""
    early_stop: Annotated[WholeNumber, Field(ge=0)] = 0
    """Validations in a row without a better one after which training ends; 0 goes on to the end."""
    init_from: OnePath | None = None
    """A run folder or a model folder whose weights training starts from."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of training slices."""
    workers: Annotated[WholeNumber, Field(ge=0, le=64)] | None = None
    """Processes that prepare batches ahead; null is 0 on a CPU, 2 for a GPU. Never changes what
    is drawn."""
    accumulate: AtLeastOne = 1
    """Parts in which a batch passes the networks, one after the other, to save memory."""
    activation_checkpointing: bool = False
    """Whether activations are computed twice instead of kept: less memory, more time."""
    convolution: Literal["auto", "plain", "winograd"] = "auto"
    """How 3 x 3 convolutions are computed; auto is Winograd's way on a CPU, plain elsewhere."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the networks; auto is bf16 autocast on a GPU that has it, fp32 elsewhere."""
    channels_last: bool | None = None
    """Memory layout of the networks; null takes it on a GPU alone. Never on a CPU."""
    compile: bool = False
    """Whether torch.compile builds the networks: minutes at the start, needs a C++ compiler."""
    devices: AtLeastOne = 1
    """GPUs, or processes on a CPU, of one machine; torchrun and Slurm decide for themselves."""
    nodes: AtLeastOne = 1
    """Machines."""

    @field_validator(*SHARING)
    @classmethod
    def _divides_the_batch(cls, value: int, known: ValidationInfo) -> int:
        parts = value * math.prod(known.data.get(key, 1) for key in SHARING)  # those checked before
        batch_size = known.data.get("batch_size", parts)
        if batch_size % parts:
            raise ValueError(
                f"batch_size {batch_size} is shared out by {', '.join(SHARING)}; use a multiple of "
                f"{parts}"
            )
        return value
