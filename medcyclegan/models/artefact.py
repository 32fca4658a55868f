"""The trained model as it is handed on: `model.safetensors` and `model.json`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import TypeAdapter

from medcyclegan import files
from medcyclegan.config import ModelConfig
from medcyclegan.domains import Pair
from medcyclegan.errors import CheckpointError, ConfigError, MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.models import TranslationModel, make_model

WEIGHTS, CARD = "model.safetensors", "model.json"
FORMAT = 1


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

    The card is written last and names the weights by their SHA-256: a pair that does not belong
    together is refused by `load_model`.

    Raises:
        MedCycleGANError: a weight is not finite, or the disk does not take it.
    """
    state = {name: tensor.cpu() for name, tensor in model.generators.state_dict().items()}
    if bad := _not_finite(state):
        raise MedCycleGANError(f"{folder}: weight {bad} is not finite; the model is not written")
    weights = safetensors.torch.save({name: t.contiguous() for name, t in state.items()})
    files.write_bytes(folder / WEIGHTS, weights)
    described = asdict(card) | {
        "domains": card.domains._asdict(),
        "format": FORMAT,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    files.write_json(folder / CARD, described)


def load_model(folder: Path) -> tuple[TranslationModel, ModelCard, str]:
    """Return the model in `folder`, its card and the SHA-256 of its weights.

    Nothing that is read can run code: safetensors and JSON only.

    Raises:
        CheckpointError: a file is missing, damaged, of another format, or holds a weight that is
            not finite.
    """
    card, expected = _read_card(folder / CARD)
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
        state = safetensors.torch.load(weights)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as weights ({error}); use a whole model folder"
        ) from error
    digest = hashlib.sha256(weights).hexdigest()
    if digest != expected:
        raise CheckpointError(f"{path}: is not what {CARD} describes; copy the two together again")
    if bad := _not_finite(state):
        raise CheckpointError(f"{path}: weight {bad} is not finite; use another checkpoint")
    try:
        config: ModelConfig = TypeAdapter(ModelConfig).validate_python(card.model)
        model = make_model(config, card.neighbors)
        model.generators.load_state_dict(state)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: does not fit the networks that {CARD} names") from error
    return model, card, digest


def _read_card(path: Path) -> tuple[ModelCard, str]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise CheckpointError(f"{path}: format {data['format']}, this version reads {FORMAT}")
        card = ModelCard(
            model=dict(data["model"]),
            window=Window(**data["window"]),
            spacing_mm=None if data["spacing_mm"] is None else float(data["spacing_mm"]),
            size=int(data["size"]),
            neighbors=int(data["neighbors"]),
            domains=Pair(**data["domains"]),
            versions=dict(data["versions"]),
        )
        return card, str(data["sha256"])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read; a model folder holds it") from error
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: is no model card ({error!r})") from error


def _not_finite(state: dict[str, torch.Tensor]) -> str | None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return None
