"""The config: YAML in, checked values out; imports no torch.

A new method adds its class to `ModelConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from medcyclegan.config.cyclegan import CycleGANConfig
from medcyclegan.config.messages import validated
from medcyclegan.config.section import Section
from medcyclegan.config.sections import (
    DomainConfig,
    DomainsConfig,
    GridConfig,
    ReadingConfig,
    SlicesConfig,
    TrainingConfig,
    WindowConfig,
)
from medcyclegan.config.sources import Sources, read_sources, shipped_configs
from medcyclegan.config.volumes import OnePath, TableConfig

ModelConfig = CycleGANConfig


class Config(Section):
    """Everything that decides a training run."""

    domains: DomainsConfig
    """The two populations."""
    reading: ReadingConfig = ReadingConfig()
    """What is read that is refused otherwise."""
    window: WindowConfig = WindowConfig()
    """What networks see of the HU scale."""
    slices: SlicesConfig = SlicesConfig()
    """What networks see of a volume."""
    model: ModelConfig = CycleGANConfig()
    """The method, by its kind."""
    training: TrainingConfig = TrainingConfig()
    """How long and how."""
    output: OnePath
    """The run folder; relative to the working directory."""

    @model_validator(mode="after")
    def _networks_fit(self) -> Config:
        for check, key in (
            (partial(self.model.check_size, self.slices.size), "slices.size"),
            (
                partial(self.model.check_views, self.window.low_hu, self.window.high_hu),
                "model.views",
            ),
            (
                partial(self.model.check_floor, self.window.low_hu, self.window.high_hu),
                "model.output",
            ),
        ):
            try:
                check()
            except ValueError as error:
                raise PydanticCustomError(
                    "networks_fit", "{problem}", {"problem": str(error), "key": key}
                ) from error
        return self


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Return the config in a YAML file, looked for as typed, then by name among those shipped.

    Args:
        path: the file as the user typed it.
        overrides: KEY=VALUE each: a dotted key and its new value, YAML.

    Raises:
        ConfigError: no such file, no plain YAML, an unknown key, a wrong type or an impossible
            value; one line with file, line and dotted key.
    """
    return validated(Config, read_sources(str(path), overrides))


def parse_config(data: Mapping[str, Any]) -> Config:
    """Return the config that a mapping like the YAML's stands for.

    Raises:
        ConfigError: an unknown key, a wrong type or an impossible value.
    """
    return validated(Config, Sources("config", dict(data)))


def parse_model(data: Mapping[str, Any]) -> ModelConfig:
    """Return the `model` section that a mapping like the YAML's stands for.

    Raises:
        ConfigError: an unknown key, a wrong type or an impossible value.
    """
    return validated(_ModelAlone, Sources("config", {"model": dict(data)})).model


class _ModelAlone(Section):
    model: ModelConfig


__all__ = [
    "Config",
    "CycleGANConfig",
    "DomainConfig",
    "DomainsConfig",
    "GridConfig",
    "ModelConfig",
    "ReadingConfig",
    "SlicesConfig",
    "TableConfig",
    "TrainingConfig",
    "WindowConfig",
    "load_config",
    "parse_config",
    "parse_model",
    "shipped_configs",
]
