"""All that changes as training goes on, and how it is kept and taken back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from medcyclegan.errors import CheckpointError
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.schedule import Schedule

BETAS = (0.5, 0.999)  # Adam, Radford et al. 2016, section 4; Zhu et al. name none
FORMAT = 2  # of the state in checkpoints


class Best(NamedTuple):
    """The best validation so far: after which step, and its score, lower is better."""

    step: int
    score: float


class TrainingState:
    """A model in training, with all that a checkpoint must hold.

    Args:
        model: what is trained, where it is to be trained.
        schedule: learning rates, and whether weights are averaged.

    Attributes:
        average: the model whose generators are used and exported: their running average, or
            `model` itself.
        step: updates done.
        observed: the step up to which what was reached was logged, drawn and validated.
        losses: the weighted losses of the last step.
        best: the best validation so far; None before the first.
        stale: validations since then.
    """

    def __init__(self, model: TranslationModel, schedule: Schedule) -> None:
        self.model = model
        self.average = copy.deepcopy(model) if schedule.ema else model
        rates = (schedule.learning_rate, schedule.discriminator_learning_rate)
        self.optimizers = Optimizers(
            *(
                torch.optim.Adam(networks.parameters(), rate, BETAS, fused=_fused(networks))
                for networks, rate in zip(_networks(model), rates, strict=True)
            )
        )
        self.step = 0
        self.observed = 0
        self.losses: dict[str, float] = {}
        self.best: Best | None = None
        self.stale = 0

    def start_average(self) -> None:
        """Let the running average begin with the generators as they now are."""
        self.average.generators.load_state_dict(self.model.generators.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return everything, as tensors and plain values."""
        return {
            "format": FORMAT,
            "model": self.model.state_dict(),
            "average": self.average.generators.state_dict(),
            "optimizers": {
                name: one.state_dict() for name, one in self.optimizers._asdict().items()
            },
            "observed": self.observed,
            "losses": self.losses,
            "best": None if self.best is None else self.best._asdict(),
            "stale": self.stale,
        }

    def load_state_dict(self, step: int, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned after `step` steps.

        Raises:
            CheckpointError: it is of another version, or of other networks.
        """
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise CheckpointError(
                "its checkpoints are of another version of medcyclegan; go on with that version, "
                "or set another output"
            )
        try:
            self.model.load_state_dict(state["model"])
            self.average.generators.load_state_dict(state["average"])
            for name, optimizer in self.optimizers._asdict().items():
                optimizer.load_state_dict(state["optimizers"][name])
            self.observed, self.losses = state["observed"], state["losses"]
            self.best = None if state["best"] is None else Best(**state["best"])
            self.stale = state["stale"]
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                "its checkpoints are of other networks; use the run's own config"
            ) from error
        self.step = step

    def passing(self) -> dict[str, Any]:
        """Return what a forward pass may change, by name: buffers, image pools; not the weights."""
        weights = {
            weight.data_ptr()
            for networks in _networks(self.model)
            for weight in networks.parameters()
        }
        return {
            name: copy.deepcopy(value)
            for name, value in self.model.state_dict().items()
            if not (isinstance(value, Tensor) and value.data_ptr() in weights)
        }

    def take_back(self, passing: Mapping[str, Any]) -> None:
        """Undo what forward passes changed since `passing` was returned."""
        self.model.load_state_dict({**self.model.state_dict(), **passing})

    def not_finite(self) -> str | None:
        """Return the name of a weight, or running statistic, that is not finite."""
        for networks in _networks(self.model):
            for name, values in [*networks.named_parameters(), *networks.named_buffers()]:
                if not torch.isfinite(values).all():
                    return name
        return None

    def update(self, rates: tuple[float, float], decay: float) -> None:
        """Apply the gradients that lie in the weights, and count the step.

        Args:
            rates: learning rates of generators and discriminators.
            decay: of the running average, where there is one.
        """
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
        if self.average is not self.model:
            _move_average(self.average.generators, self.model.generators, decay)
        self.step += 1


class Optimizers(NamedTuple):
    """One optimiser of all generators, one of all discriminators."""

    generators: torch.optim.Adam
    discriminators: torch.optim.Adam


def _networks(model: TranslationModel) -> tuple[nn.ModuleDict, nn.ModuleDict]:
    return model.generators, model.discriminators


def _fused(networks: nn.Module) -> bool:
    """Return whether Adam may update all weights in one go, to the same values."""
    return all(weight.device.type in {"cpu", "cuda"} for weight in networks.parameters())


def _move_average(average: nn.Module, current: nn.Module, decay: float) -> None:
    with torch.no_grad():
        pairs = zip(average.state_dict().values(), current.state_dict().values(), strict=True)
        for mean, value in pairs:
            if mean.is_floating_point():
                mean.lerp_(value, 1.0 - decay)
            else:
                mean.copy_(value)
