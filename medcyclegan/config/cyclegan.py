"""Options of CycleGAN (Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from medcyclegan.config.networks import (
    DiscriminatorConfig,
    GeneratorConfig,
    PatchGANConfig,
    ResnetConfig,
)
from medcyclegan.config.section import Number, Section, WholeNumber, number_of

Weight = Annotated[Number, Field(ge=0)]


LEAST_VIEW_HU = 10.0  # narrower ones are steps, through which no gradient comes back
MOST_VIEWS = 8
FLOOR_HU = 0.0  # water: what is no denser takes up no contrast medium
RAMP_HU = 20.0  # above it, over which a change becomes free
MOST_DOSE = 10.0
LEAST_PASTED = 0.05  # of an image, of either domain: less is no image of it


class ViewConfig(Section):
    """A window within the window, that networks see as one more channel."""

    low_hu: Annotated[Number, Field(ge=-4096, le=32767)]
    """Lower end, HU; what lies below is shown as this."""
    high_hu: Annotated[Number, Field(ge=-4096, le=32767)]
    """Upper end, HU, 10 or more above the lower; what lies above is shown as this."""

    @model_validator(mode="after")
    def _not_empty(self) -> ViewConfig:
        if not self.high_hu - self.low_hu >= LEAST_VIEW_HU:
            raise ValueError(
                f"low_hu {self.low_hu:g} must be {LEAST_VIEW_HU:g} or more below high_hu "
                f"{self.high_hu:g}"
            )
        return self


class DomainWeights(Section):
    """A weight in each image domain."""

    a: Weight
    """Weight in domain a."""
    b: Weight
    """Weight in domain b."""


def _in_both_domains(value: Any) -> Any:
    value = number_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"a": value, "b": value}
    if not isinstance(value, dict | DomainWeights):
        raise ValueError("must be a number or {a: NUMBER, b: NUMBER}")
    return value


WeightOfEach = Annotated[
    DomainWeights,
    BeforeValidator(_in_both_domains, json_schema_input_type=float | DomainWeights),
]


def _share_pasted(share: float) -> float:
    if share and not LEAST_PASTED <= share <= 1 - LEAST_PASTED:
        raise ValueError(f"must be 0, or {LEAST_PASTED:g} to {1 - LEAST_PASTED:g}")
    return share


def _doses(doses: tuple[float, float]) -> tuple[float, float]:
    low, high = doses
    if not 1 / MOST_DOSE <= low <= 1 <= high <= MOST_DOSE:
        raise ValueError(
            f"must be [LOW, HIGH], {1 / MOST_DOSE:g} <= LOW <= 1 <= HIGH <= {MOST_DOSE:g}"
        )
    return doses


class CycleGANConfig(Section):
    """Two generators that undo each other, each against a discriminator of its target domain."""

    kind: Literal["cyclegan"] = "cyclegan"
    output: Literal["residual", "enhancement", "direct"] = "residual"
    """What a generator predicts: a bounded change of HU; one that contrast medium can make, where
    one domain has it and the other has not; or the whole image, as published."""
    enhanced: Literal["a", "b"] = "a"
    """The domain with contrast medium, for `output: enhancement` and `doses`. With that output,
    translated to the other, a voxel gains no HU and loses no more than it and its neighbours lie
    above 0 HU, or above the least of them at an edge; translated to this, it loses none, and at an
    edge gains in the share of it that is organ. What lies below 0 HU with its neighbours stays."""
    views: Annotated[tuple[ViewConfig, ...], Strict(False), Field(max_length=MOST_VIEWS)] = ()
    """Narrower windows, {low_hu: , high_hu: } each, through which all networks see slices, too:
    livers of 60 and 110 HU are far from each other in one of 300 HU, and near in one of 800."""
    lambda_cycle: WeightOfEach = DomainWeights(a=10.0, b=10.0)
    """Weight of the cycle-consistency loss; a number, or one for each image domain."""
    cycle_noise_hu: Annotated[Number, Field(ge=0, le=500)] = 0.0
    """Standard deviation of noise on a fake before it is translated back, HU: what is to come back
    cannot be hidden in it (Chu et al. 2017, arXiv:1712.02950). The noise has to come back, too. 0
    as published."""
    doses: Annotated[tuple[Number, Number], Strict(False), AfterValidator(_doses)] = (1.0, 1.0)
    """Least and greatest factor on the contrast medium that a fake of the `enhanced` domain has,
    smoothly another one in each place, before the generator back has to take all of it out: how to
    take out what is brighter than its own fakes it learns from a distance. [1, 1] as published."""
    enough: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """The score from which on a discriminator asks nothing more of a fake, in (0, 1]; 1 as
    published. At 1/3 it may be up to twice as frequent as in the domain."""
    lambda_identity: Weight = 5.0
    """Weight of the identity loss, absolute (not a share of lambda_cycle)."""
    pasted: Annotated[Number, AfterValidator(_share_pasted)] = 0.0
    """Share of an identity image that is of the target domain, in random blobs, the rest being of
    the source: what is of the target stays in any company. 0 shows whole images, as published;
    else 0.05 to 0.95."""
    balanced: bool = False
    """Whether each level of HU, 1/32 of the window, counts alike in the cycle-consistency and
    identity losses, rare ones up to 20 times their number: bone, stones, oral contrast medium; not
    in the paper."""
    lambda_change: WeightOfEach = DomainWeights(a=0.0, b=0.0)
    """Price on change, absolute; a number, or one for fakes of each image domain. Not in the paper,
    where it is 0. It holds still what need not change: tissue without contrast medium, differences
    between the two sets of patients."""
    pool_size: Annotated[WholeNumber, Field(ge=0)] = 50
    """Past translated slices kept for each discriminator; 0 shows it the newest alone."""
    generator: GeneratorConfig = ResnetConfig()
    """The network of both generators."""
    discriminator: DiscriminatorConfig = PatchGANConfig()
    """The network of both discriminators."""

    @model_validator(mode="after")
    def _pasted_for_something(self) -> CycleGANConfig:
        if self.pasted and not self.lambda_identity:
            raise ValueError(
                "pasted images are for the identity loss, whose weight is 0: give lambda_identity, "
                "or leave pasted out"
            )
        return self

    @property
    def crop_safe(self) -> bool:
        """Whether networks trained on crops may translate whole slices.

        Instance norm takes its statistics from all it is shown, and a crop of a body has others
        than the whole of it.
        """
        return self.generator.norm != "instance"

    def check_views(self, low_hu: float, high_hu: float) -> None:
        """Check that every view lies within the window and is narrower.

        Args:
            low_hu: lower end of the window.
            high_hu: its upper end.

        Raises:
            ValueError: one does not.
        """
        for view in self.views:
            inside = low_hu <= view.low_hu and view.high_hu <= high_hu
            if not inside or view.high_hu - view.low_hu >= high_hu - low_hu:
                raise ValueError(
                    f"{view.low_hu:g} to {view.high_hu:g} HU is no narrower part of the window, "
                    f"{low_hu:g} to {high_hu:g}"
                )

    def check_floor(self, low_hu: float, high_hu: float) -> None:
        """Check that the window shows what contrast medium goes into.

        Args:
            low_hu: lower end of the window.
            high_hu: its upper end.

        Raises:
            ValueError: it does not.
        """
        if self.output == "enhancement" and not (
            low_hu <= FLOOR_HU and high_hu > FLOOR_HU + RAMP_HU
        ):
            raise ValueError(
                f"output: enhancement needs a window from {FLOOR_HU:g} HU or less to over "
                f"{FLOOR_HU + RAMP_HU:g}, not {low_hu:g} to {high_hu:g}"
            )

    def check_size(self, size: int) -> None:
        """Check that the networks can be trained on slices of `size` x `size` pixels.

        Raises:
            ValueError: they cannot; the message names a size that they can.
        """
        multiple, smallest = self.generator.multiple, self.discriminator.smallest
        smallest = max(smallest, 16, 2 * multiple)
        if size < smallest or size % multiple:
            fits = max(-(-smallest // multiple), round(size / multiple)) * multiple
            raise ValueError(
                f"{size} does not fit the networks, which need a multiple of {multiple} "
                f"from {smallest}: try {fits}"
            )
