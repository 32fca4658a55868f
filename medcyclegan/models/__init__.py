"""Methods that can take a training step; imported when their kind is asked for."""

from __future__ import annotations

import importlib

from medcyclegan.config import ModelConfig
from medcyclegan.intensity import Window
from medcyclegan.models.protocol import TranslationModel

MODELS = {"cyclegan": "medcyclegan.models.cyclegan:CycleGAN"}


def make_model(
    config: ModelConfig, neighbors: int = 1, window: Window | None = None
) -> TranslationModel:
    """Return a freshly initialised model; weights come from torch's global random state.

    Args:
        config: the `model` section; its `kind` names the method.
        neighbors: slices in a stack.
        window: HU that [-1, 1] stands for; views and `output: enhancement` need it.

    Raises:
        ValueError: the window is needed and not given, or does not fit views or output.
    """
    module, name = MODELS[config.kind].split(":")
    method = getattr(importlib.import_module(module), name)
    model: TranslationModel = method(config, neighbors, window)
    return model


__all__ = ["MODELS", "TranslationModel", "make_model"]
