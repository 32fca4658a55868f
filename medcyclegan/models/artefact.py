"""The trained model as it is handed on: `model.safetensors` and `model.json`."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from pydantic import ValidationError

from medcyclegan import files
from medcyclegan.config import GridConfig, WindowConfig, parse_model
from medcyclegan.config.section import Section
from medcyclegan.config.sections import DomainName
from medcyclegan.domains import Pair
from medcyclegan.errors import CheckpointError, ConfigError, MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.models import MODELS, TranslationModel, make_model

WEIGHTS, CARD = "model.safetensors", "model.json"
FORMAT = 2


@dataclass(frozen=True)
class ModelCard:
    """What must be known to use the weights.

    Args:
        model: the config's `model` section.
        window: HU seen by the networks.
        spacing_mm: in-plane spacing of the training grid; None: each volume's own.
        size: height and width of training crops, pixels.
        neighbors: slices in a stack.
        domains: the users' names of domains a and b.
        versions: of medcyclegan and torch.
    """

    model: dict[str, Any]
    window: Window
    spacing_mm: float | None
    size: int
    neighbors: int
    domains: Pair[str]
    versions: dict[str, str]


def save_model(folder: Path, model: TranslationModel, card: ModelCard) -> None:
    """Write the generators and their card into `folder`; no discriminator, no image pool.

    Weights and card belong together by a SHA-256 of both, without which `load_model` refuses them.
    While they are replaced the card goes with the old weights and with the new ones, so that a
    run that is killed at any moment leaves a model that can be used.

    Raises:
        MedCycleGANError: a weight is not finite, or the disk does not take it.
    """
    state = {name: tensor.cpu() for name, tensor in model.generators.state_dict().items()}
    if bad := _not_finite(state):
        raise MedCycleGANError(f"{folder}: weight {bad} is not finite; the model is not written")
    weights = safetensors.torch.save({name: t.contiguous() for name, t in state.items()})
    described = asdict(card) | {"domains": card.domains._asdict(), "format": FORMAT}
    stored = _Stored.model_validate(described | {"sha256": ""})
    described |= {"sha256": _digest(weights, stored)}
    before = _read_pair(folder)
    if before is not None and before != weights:
        either = described | {"sha256_before": _digest(before, stored)}
        files.write_json(folder / CARD, either)
    files.write_together(folder, {WEIGHTS: weights, CARD: files.to_json(described)})


def load_model(folder: Path) -> tuple[TranslationModel, ModelCard, str]:
    """Return the model in `folder`, its card, and a SHA-256 of both.

    Nothing that is read can run code: safetensors and JSON only.

    Raises:
        CheckpointError: a file is missing, damaged, of another format, holds a weight that is not
            finite, or names a method that is not one of ours.
    """
    stored = _read_card(folder / CARD)
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
        state = safetensors.torch.load(weights)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as weights ({error}); use a whole model folder"
        ) from error
    if bad := _not_finite(state):
        raise CheckpointError(f"{path}: weight {bad} is not finite; use another checkpoint")
    if not _belong_together(weights, stored):
        raise CheckpointError(
            f"{path}: does not belong to {CARD}, or one of them changed; copy both again"
        )
    model = _make(folder / CARD, stored)
    try:
        model.generators.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: does not fit the networks that {CARD} names") from error
    same = stored.model_copy(update={"versions": {}})
    return model, stored.card(), _digest(weights, same)


class _Names(Section):
    a: DomainName
    b: DomainName


class _Stored(GridConfig):
    """The card as it stands in the file: what a stranger wrote is checked like a config."""

    format: Literal[2]
    sha256: str
    sha256_before: str | None = None
    model: dict[str, Any]
    window: WindowConfig
    domains: _Names
    versions: dict[str, str]

    def card(self) -> ModelCard:
        return ModelCard(
            model=self.model,
            window=Window(self.window.low_hu, self.window.high_hu),
            spacing_mm=self.spacing_mm,
            size=self.size,
            neighbors=self.neighbors,
            domains=Pair(self.domains.a, self.domains.b),
            versions=self.versions,
        )


def _read_card(path: Path) -> _Stored:
    try:
        stored = _Stored.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read; a model folder holds it") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "it"
        raise CheckpointError(
            f"{path}: is no model card of ours: {key}: {first['msg']}; use the one that was written"
        ) from error
    if stored.domains.a == stored.domains.b:
        raise CheckpointError(f"{path}: names both domains {stored.domains.a!r}")
    return stored


def _read_pair(folder: Path) -> bytes | None:
    """Return the weights that lie in `folder` with a card that describes them, or None."""
    try:
        weights = (folder / WEIGHTS).read_bytes()
        return weights if _belong_together(weights, _read_card(folder / CARD)) else None
    except (OSError, CheckpointError):
        return None


def _belong_together(weights: bytes, stored: _Stored) -> bool:
    return _digest(weights, stored) in {stored.sha256, stored.sha256_before}


def _digest(weights: bytes, stored: _Stored) -> str:
    """Return a SHA-256 of weights and all that the card says of them."""
    said = stored.model_dump_json(exclude={"sha256", "sha256_before"})
    return hashlib.sha256(hashlib.sha256(weights).digest() + said.encode()).hexdigest()


def _make(path: Path, stored: _Stored) -> TranslationModel:
    kind = stored.model.get("kind")
    if kind not in MODELS:
        raise CheckpointError(
            f"{path}: made by {kind!r}, which is no method of medcyclegan: load the weights into "
            "your own model and hand it to Translator"
        )
    try:
        return make_model(parse_model(stored.model), stored.neighbors, stored.card().window)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; use the one that was written") from error


def _not_finite(state: dict[str, torch.Tensor]) -> str | None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return None
