"""The shared recipe, and rows: a variant of a stage, trained with a seed."""

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
CODE = 5  # raised when networks or losses change: what was tried before is another recipe

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
            "code": CODE,
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
