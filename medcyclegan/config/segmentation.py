"""Options of the segmentation protocol: data, networks, arms, and when they are trained enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from medcyclegan.config.messages import validated
from medcyclegan.config.section import Number, Section, WholeNumber, section_of_kind
from medcyclegan.config.sections import DEVICES, WindowConfig
from medcyclegan.config.segmentation_networks import NetworkConfig, Unet2dConfig
from medcyclegan.config.sources import read_sources
from medcyclegan.config.volumes import OnePath

FOLDER = "segmentation"  # of shipped configs
TRANSLATING = ("cyclegan_offline", "cyclegan_on_the_fly", "cyclegan_strong")

AtLeastOne = Annotated[WholeNumber, Field(ge=1)]
AtLeastTwo = Annotated[WholeNumber, Field(ge=2)]
Seed = Annotated[WholeNumber, Field(ge=0, lt=2**32)]
OrganName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)]
EnhancedPhase = Literal["arterial", "venous", "delayed"]
ArmName = Literal[
    "nothing",
    "standard",
    "strong",
    "histogram_matching",
    "label_shift",
    "cyclegan_offline",
    "cyclegan_on_the_fly",
    "cyclegan_strong",
    "oracle",
]


class PhantomData(Section):
    """Phantom patients, made anew; the two domains differ in more than contrast medium."""

    kind: Literal["phantom"] = "phantom"
    seed: Seed = 0
    """Of all patients."""
    labelled: AtLeastOne = 32
    """Training patients with contrast medium, whose labels train."""
    unpaired: AtLeastOne = 32
    """Other training patients without, whose labels train nothing."""
    validation: AtLeastOne = 8
    """Patients of each domain that decide when training has been long enough, and no more."""
    test_in: AtLeastTwo = 12
    """Test patients with contrast medium."""
    test_out: AtLeastTwo = 12
    """Test patients without."""
    phases: Annotated[tuple[EnhancedPhase, ...], Strict(False)] = ()
    """Phases of the scans with contrast medium, given to patients in turn; none named: all three,
    most of them venous. With fewer, segmentation networks see fewer doses, and less of the other
    domain."""
    size: Annotated[WholeNumber, Field(ge=16, le=512)] = 128
    """Rows and columns of a slice."""
    slices: Annotated[WholeNumber, Field(ge=2, le=512)] = 32
    """Slices of a volume, 5 mm apart."""


class LabelledFolder(Section):
    """Volumes with label maps of the same names."""

    images: OnePath
    """Folder of volumes."""
    labels: OnePath
    """Folder of their label maps."""


class UnpairedFolder(Section):
    """Volumes of the other domain for training translations; of other patients."""

    images: OnePath
    """Folder of volumes."""
    labels: OnePath | None = None
    """Folder of label maps; the arm `label_shift` alone takes mean HU from them."""


class FilesData(Section):
    """The user's own scans."""

    kind: Literal["files"]
    labelled: LabelledFolder
    """Training scans with labels, of the domain that labels exist in."""
    unpaired: UnpairedFolder
    """Training scans of the domain to be segmented."""
    validation: LabelledFolder
    """Scans of the domain of `labelled` that decide when training has been long enough."""
    validation_out: LabelledFolder | None = None
    """The same of the other domain, where there are such."""
    test_in: LabelledFolder
    """Test scans of the domain of `labelled`."""
    test_out: LabelledFolder
    """Test scans of the other domain."""
    twins: OnePath | None = None
    """Folder of true twins of `labelled`, of the same names and grids, for the arm `oracle`."""
    organs: Annotated[dict[OrganName, list[AtLeastOne]], Field(min_length=1, max_length=254)]
    """What to segment: the label values that make up each organ."""

    @field_validator("organs")
    @classmethod
    def _apart(cls, organs: dict[str, list[int]]) -> dict[str, list[int]]:
        values = [value for members in organs.values() for value in members]
        if len(values) != len(set(values)) or not all(organs.values()):
            raise ValueError("each organ needs label values of its own")
        return organs


class TranslationConfig(Section):
    """The networks that translate training scans into the other domain."""

    config: OnePath = "demo.yaml"
    """Training config; its domains and output are set by the protocol."""
    overrides: list[str] = Field(default_factory=list)
    """Changes to it, KEY=VALUE each."""
    seeds: list[Seed] = Field(default_factory=lambda: [0, 1], min_length=1, max_length=20)
    """One training for each; several show how much hangs on chance."""
    runs: list[OnePath] | None = None
    """Run folders of trained models instead, for each seed one; domain a is that of `labelled`."""
    strength: list[Number] = Field(default_factory=lambda: [0.5, 1.0], min_length=2, max_length=2)
    """Least and greatest share of the change that is applied on the fly."""

    @model_validator(mode="after")
    def _fit(self) -> TranslationConfig:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from each other")
        if self.runs is not None and len(self.runs) != len(self.seeds):
            raise ValueError(f"runs: {len(self.runs)} for {len(self.seeds)} seeds; give one each")
        low, high = self.strength
        if not 0 <= low <= high <= 2:
            raise ValueError("strength must be two numbers that grow, from 0 to 2")
        return self


class SegmentationTraining(Section):
    """How long and how segmentation networks are trained: in every arm the same."""

    seeds: list[Seed] = Field(default_factory=lambda: [0, 1], min_length=1, max_length=20)
    """One training for each, in each arm and for each translation seed."""
    steps: AtLeastOne = 200
    """Steps per domain at which the networks are looked at first; twice as many next, and so on."""
    most_steps: AtLeastOne = 800
    """Steps per domain at which training ends in any case, and the report says so."""
    tolerance: Annotated[Number, Field(gt=0, le=1)] = 0.005
    """Enough is where twice the steps change no arm's mean Dice on validation patients by more."""
    batch_size: AtLeastOne = 8
    """Samples in a step, all of one domain."""
    learning_rate: Annotated[Number, Field(gt=0, le=1)] = 5.0e-3
    """Of Adam, in the first `steps`; then it falls with the root of the steps taken."""
    device: Annotated[str, Field(pattern=rf"^({DEVICES})$")] = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`; auto takes a GPU where there is one."""

    @model_validator(mode="after")
    def _fit(self) -> SegmentationTraining:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from each other")
        if self.most_steps < self.steps:
            raise ValueError(f"most_steps {self.most_steps} must be at least steps {self.steps}")
        return self


class StatisticsConfig(Section):
    """How the arms are compared."""

    resamples: Annotated[WholeNumber, Field(ge=100, le=1_000_000)] = 4000
    """Draws of patients and seeds for intervals, and of signs for tests."""
    seed: Seed = 0
    """Of these draws."""
    margin: Annotated[Number, Field(gt=0, lt=1)] = 0.02
    """Dice that an arm may lose against the standard arm and still be called not inferior."""
    least_gap: Annotated[Number, Field(ge=0, lt=1)] = 0.05
    """Dice from the standard arm to the oracle below which no recovery is said."""


DataConfig = Annotated[
    PhantomData | FilesData,
    Field(discriminator="kind"),
    BeforeValidator(section_of_kind("phantom")),
]


class ProtocolConfig(Section):
    """Everything that decides the figures of the protocol."""

    data: DataConfig = PhantomData()
    """The patients."""
    window: WindowConfig = WindowConfig(low_hu=-160.0, high_hu=300.0)
    """What segmentation networks see of the HU scale."""
    network: NetworkConfig = Unet2dConfig()
    """The segmentation network."""
    arms: list[ArmName] = Field(default_factory=lambda: list(get_args(ArmName)), min_length=1)
    """What is compared; `standard` must be among them, all others are held against it."""
    translation: TranslationConfig = TranslationConfig()
    """The translating networks of the CycleGAN arms."""
    training: SegmentationTraining = SegmentationTraining()
    """Of segmentation networks."""
    statistics: StatisticsConfig = StatisticsConfig()
    """Of the comparison."""
    workers: Annotated[WholeNumber, Field(ge=1, le=256)] = 2
    """Processes that share the work, one thread each; the figures do not depend on it."""
    output: OnePath
    """Folder to write to; relative to the working directory."""

    @model_validator(mode="after")
    def _arms_can_be(self) -> ProtocolConfig:
        arms, data = self.arms, self.data
        if "standard" not in arms or len(set(arms)) != len(arms):
            raise ValueError("arms must name `standard`, and none twice")
        if isinstance(data, FilesData):
            if "oracle" in arms and data.twins is None:
                raise ValueError("the arm `oracle` needs data.twins; give them, or leave it out")
            if "label_shift" in arms and data.unpaired.labels is None:
                raise ValueError(
                    "the arm `label_shift` needs data.unpaired.labels; give them, or leave it out"
                )
        return self


def load_protocol(path: str | Path, overrides: Sequence[str] = ()) -> ProtocolConfig:
    """Return the protocol in a YAML file, looked for as typed, then by name among those shipped.

    Args:
        path: the file as the user typed it.
        overrides: KEY=VALUE each: a dotted key and its new value, YAML.

    Raises:
        ConfigError: no such file, no plain YAML, an unknown key, a wrong type or an impossible
            value; one line with file, line and dotted key.
    """
    return validated(ProtocolConfig, read_sources(str(path), overrides, FOLDER))


def seeds_of(arm: str, config: ProtocolConfig) -> list[tuple[int | None, int]]:
    """Return the pairs of translation and segmentation seed that an arm is trained with.

    Arms without a translating network have None for the first.
    """
    translations: Sequence[int | None] = config.translation.seeds if arm in TRANSLATING else [None]
    return [(first, second) for first in translations for second in config.training.seeds]


def decisive(config: ProtocolConfig) -> Mapping[str, Any]:
    """Return what a resumed protocol must share with what it resumes.

    Others may be the arms, how they are compared, and how many processes work.
    """
    return config.model_dump(mode="json", exclude={"output", "workers", "statistics", "arms"})
