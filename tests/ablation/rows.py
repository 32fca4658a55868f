"""What is tried: a shared recipe, and stages of variants that differ from it by name."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from medcyclegan.config import Config, parse_config
from medcyclegan.errors import ConfigError
from medcyclegan.intensity import Window
from medcyclegan.phantom.population import Domain
from tests.ablation.candidate import Candidate, Options

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")  # of a stage or a variant: in paths and tables
REFERENCES = "references"  # the stage of those who are not trained


class Cohort(NamedTuple):
    """Phantom patients: those who train, and those who test.

    Args:
        seed: of them all.
        contrast: training patients of domain a.
        noncontrast: training patients of domain b.
        test: patients with contrast medium and their twins without.
        size: rows and columns of each slice.
        slices: of each volume.
        setting: a key of `SETTINGS`.
    """

    seed: int
    contrast: int = 40
    noncontrast: int = 40
    test: int = 16
    size: int = 128
    slices: int = 32
    setting: str = "abdomen"

    def folder(self, out: Path) -> Path:
        """Return where the training patients are written."""
        return out / f"cohort-{self.seed}"


class Stage(NamedTuple):
    """One question, put to variants that are trained for as long.

    Args:
        name: of its table.
        question: what the table answers.
        minutes: of CPU time that training takes, at one thread.
        seeds: of training; each variant is trained with each.
        cohort: who trains and tests.
        base: dotted key of the config -> what it is in all variants.
        variants: name -> the same of this variant alone.
    """

    name: str
    question: str
    minutes: float
    seeds: Sequence[int]
    cohort: Cohort
    base: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]


class Row(NamedTuple):
    """One training run: a line of its stage's table."""

    stage: Stage
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Its name, and that of its folder."""
        return f"{self.stage.name}-{self.variant}-{self.seed}"

    @property
    def recipe(self) -> dict[str, Any]:
        """The config without data, place and length; below `candidate`, the `Options`."""
        return override(RECIPE, {**self.stage.base, **self.stage.variants[self.variant]})

    @property
    def tried(self) -> dict[str, Any]:
        """All that its figures depend on, as JSON has it."""
        tried = {
            "recipe": self.recipe,
            "minutes": self.stage.minutes,
            "seed": self.seed,
            "cohort": self.stage.cohort._asdict(),
        }
        known: dict[str, Any] = json.loads(json.dumps(tried))
        return known

    def model(self) -> Candidate:
        """Return the method, its weights drawn by the row's seed."""
        config = self.config(Path(), Path(self.name), steps=1)
        torch.manual_seed(self.seed)
        options = Options(**self.recipe.get("candidate", {}))
        window = Window(config.window.low_hu, config.window.high_hu)
        return Candidate(config.model, config.slices.neighbors, window, options)

    def config(self, out: Path, output: Path, steps: int) -> Config:
        """Return the config of so many steps.

        Args:
            out: holds the cohort.
            output: the run folder.
            steps: of training; pictures of samples are drawn at the end alone.

        Raises:
            ConfigError: the variant is no valid config.
        """
        folder = self.stage.cohort.folder(out)
        names: Mapping[str, Domain] = {"a": "contrast", "b": "noncontrast"}
        given: dict[str, Any] = {
            f"domains.{key}": {"name": name, "volumes": str(folder / name)}
            for key, name in names.items()
        }
        given |= {"training.steps": steps, "training.sample_every": steps}
        given |= {"training.seed": self.seed, "output": str(output)}
        recipe = override(self.recipe, given)
        recipe.pop("candidate", None)
        try:
            return parse_config(recipe)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error


def override(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `recipe` with values put in by their dotted keys; the last one wins."""
    changed = copy.deepcopy(dict(recipe))
    for dotted, value in values.items():
        *above, last = dotted.split(".")
        section = changed
        for key in above:
            section = section.setdefault(key, {})
        section[last] = copy.deepcopy(value)
    return changed


def fingerprint(tried: Mapping[str, Any]) -> str:
    """Return six letters that tell what was tried from anything else."""
    return hashlib.sha256(json.dumps(tried, sort_keys=True).encode()).hexdigest()[:6]


def rows_of(stage: Stage) -> Iterator[Row]:
    """Yield a stage's rows, each variant with the first seed before any with the second."""
    for seed in stage.seeds:
        for variant in stage.variants:
            yield Row(stage, variant, seed)


def check_stages(stages: Sequence[Stage]) -> None:
    """Check that every row is a valid config under a name of its own.

    Raises:
        ConfigError: one is not.
    """
    taken: set[str] = {REFERENCES}
    for stage in stages:
        for name in (stage.name, *stage.variants):
            if not NAME.fullmatch(name):
                raise ConfigError(f"{stage.name}: {name!r} is no name for a folder; a-z and 0-9")
        for name in (stage.name, *(row.name for row in rows_of(stage))):
            if name in taken:
                raise ConfigError(f"{stage.name}: {name!r} is there twice; give it another name")
            taken.add(name)
        for row in rows_of(stage):
            row.config(Path(), Path(row.name), steps=1)


RECIPE: Mapping[str, Any] = {
    "window": {"low_hu": -200, "high_hu": 600},
    "slices": {"size": 96, "spacing_mm": 3.0, "neighbors": 1, "match_position": True},
    "model": {
        "kind": "cyclegan",
        "output": "residual",
        "views": [{"low_hu": -100, "high_hu": 200}],
        "lambda_cycle": {"a": 0.5, "b": 0.5},
        "lambda_identity": 1.0,
        "lambda_change": 1.0,
        "pool_size": 50,
        "generator": {"kind": "light", "filters": 64, "blocks": 6, "norm": "batch"},
        "discriminator": {"kind": "patchgan", "filters": 32, "layers": 3, "norm": "instance"},
    },
    "training": {
        "batch_size": 2,
        "learning_rate": 1.0e-3,
        "discriminator_learning_rate": 1.0e-3,
        "constant_fraction": 0.5,
        "ema": 0.998,
        "validation_fraction": 0,
        "device": "cpu",
        "threads": 1,
        "workers": 0,
        "log_every": 50,
    },
}

DEVELOPMENT = Cohort(seed=101)
RESNET = {"kind": "resnet", "filters": 16, "blocks": 4, "norm": "batch"}

STAGES: tuple[Stage, ...] = (
    Stage(
        name="screen",
        question="What does each thing do by itself?",
        minutes=10,
        seeds=(0,),
        cohort=DEVELOPMENT,
        base={},
        variants={
            "base": {},
            "resnet": {"model.generator": RESNET},
            "pasted": {"model.pasted": 0.5},
            "cycle-doses": {"model.lambda_cycle.b": 2.0, "candidate.doses": [0.4, 2.0]},
            "balanced-doses": {
                "model.lambda_cycle.b": 2.0,
                "candidate.doses": [0.4, 2.0],
                "model.balanced": True,
            },
            "pasted-balanced": {"model.pasted": 0.5, "model.balanced": True},
            "neighbors-3": {"slices.neighbors": 3},
            "norm-instance": {"model.generator.norm": "instance"},
            "views-none": {"model.views": []},
            "price-3": {"model.lambda_change": 3.0},
        },
    ),
    Stage(
        name="stacked",
        question="What does each thing add to the best of the screen?",
        minutes=10,
        seeds=(0,),
        cohort=DEVELOPMENT,
        base={"model.pasted": 0.5, "model.balanced": True},
        variants={
            "stacked": {},
            "resnet": {"model.generator": RESNET},
            "views-two": {
                "model.views": [{"low_hu": -100, "high_hu": 200}, {"low_hu": 100, "high_hu": 400}]
            },
            "doses": {"model.lambda_cycle.b": 2.0, "candidate.doses": [0.4, 2.0]},
            "price-3": {"model.lambda_change": 3.0},
            "identity-5": {"model.lambda_identity": 5.0},
            "forgets": {"model.lambda_cycle.b": 2.0, "candidate.cycle_noise_hu": 20.0},
            "outward": {"candidate.outward": 4.0},
            "transplanted": {"candidate.transplanted_hu": 100.0},
            "remembers": {
                "model.lambda_cycle": {"a": 2.0, "b": 2.0},
                "candidate.cycle_noise_hu": 20.0,
            },
            "judges-of-34": {"model.discriminator.layers": 2},
            "judges-of-16": {"model.discriminator.layers": 1},
            "enough-third": {"candidate.enough": 0.33},
            "enough-fifth": {"candidate.enough": 0.2},
            "norm-pixel": {"candidate.pixel_norm": True},
            "two-scales": {"candidate.scales": 2},
            "direct": {"model.output": "direct"},
            "unmatched": {"slices.match_position": False},
            "neighbors-5": {"slices.neighbors": 5},
            "window-soft": {"window": {"low_hu": -160, "high_hu": 400}},
            "mind": {"candidate.mind": 1.0},
            "variation": {"candidate.variation": 0.5},
            "r1": {"candidate.r1": 1.0},
            "spectral": {"candidate.spectral": True},
            "judged-noise": {"candidate.judged_noise_hu": 30.0},
            "no-average": {"training.ema": 0.0},
            "wide-shallow": {"model.generator.filters": 96, "model.generator.blocks": 3},
            "narrow-deep": {"model.generator.filters": 48, "model.generator.blocks": 10},
            "unet": {
                "model.generator": {"kind": "unet", "filters": 12, "depth": 3, "norm": "batch"}
            },
            "cycle-equal-10": {"model.lambda_cycle": {"a": 10.0, "b": 10.0}},
        },
    ),
    Stage(
        name="final",
        question="Which of the finalists wins in an hour?",
        minutes=60,
        seeds=(0, 1, 2),
        cohort=DEVELOPMENT,
        base={
            "model.pasted": 0.5,
            "model.balanced": True,
            "model.lambda_identity": 5.0,
        },
        variants={
            "steady": {},
            "lenient": {
                "model.lambda_cycle": {"a": 2.0, "b": 2.0},
                "candidate.cycle_noise_hu": 20.0,
                "candidate.enough": 0.33,
            },
        },
    ),
)
