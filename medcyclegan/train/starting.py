"""Training that starts from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medcyclegan.config import Config, load_config, parse_model
from medcyclegan.errors import CheckpointError
from medcyclegan.intensity import Window
from medcyclegan.models import TranslationModel
from medcyclegan.models.artefact import CARD, load_model
from medcyclegan.training.checkpoint import load_newest
from medcyclegan.training.state import FORMAT

KEY = "training.init_from"


def check_start(path: Path) -> None:
    """Check, before anything else is read, that there may be weights to start from.

    Raises:
        CheckpointError: `path` is neither a run folder with a checkpoint nor a model folder.
    """
    if not any((path / "checkpoints").glob("step-*.pt")) and not (path / CARD).is_file():
        raise CheckpointError(
            f"{KEY}: {path}: no run with a checkpoint, and no model; give a folder that train "
            "wrote, or the model folder in it"
        )


def start_from(
    path: Path, model: TranslationModel, config: Config, *, say: Callable[[str], None]
) -> None:
    """Give `model` the weights of another run, trained perhaps on another hospital's volumes.

    From a run folder all networks come from its newest checkpoint; from a model folder, which
    holds no discriminators, the generators alone. Optimisers, image pools and steps begin anew.

    Args:
        path: a run folder or a model folder.
        model: fresh, of the same networks.
        config: of the new run: what its networks see is held against what the others saw.
        say: takes lines for people.

    Raises:
        ConfigError: the config of the run folder cannot be read.
        CheckpointError: `path` is neither, is damaged, or holds other networks.
    """
    check_start(path)
    found = load_newest(path / "checkpoints", lambda line: say(f"warning: {KEY}: {path}: {line}"))
    if found is None:
        try:
            other, card, _ = load_model(path)
        except CheckpointError as error:
            raise CheckpointError(f"{KEY}: {error}") from error
        _load(path, model.generators, other.generators.state_dict())
        views = parse_model(card.model).views
        seen: tuple[object, ...] = (card.window, views, card.spacing_mm, card.neighbors)
        said = "its generators; the discriminators begin anew"
    else:
        step, state = found
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise CheckpointError(
                f"{KEY}: {path}: checkpoints of another version of medcyclegan; use that version"
            )
        _load(path, model.generators, _below(state["model"], "generators"))
        _load(path, model.discriminators, _below(state["model"], "discriminators"))
        seen = _seen(load_config(path / "config.yaml"))
        said = f"its weights after {step} steps"
    if seen != _seen(config):
        what = "window, views, spacing_mm or neighbors"
        say(f"warning: {KEY}: {path}: its networks saw another {what}")
    say(f"{path}: starting from {said}")


def _seen(config: Config) -> tuple[object, ...]:
    window = Window(config.window.low_hu, config.window.high_hu)
    return window, config.model.views, config.slices.spacing_mm, config.slices.neighbors


def _below(state: Mapping[str, Any], name: str) -> dict[str, torch.Tensor]:
    """Return what a whole model's state holds of the networks called `name`."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)}


def _load(path: Path, networks: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    try:
        networks.load_state_dict(dict(state))
    except RuntimeError as error:
        raise CheckpointError(
            f"{KEY}: {path}: holds other networks than the model section names; use that run's own"
        ) from error
