"""Methods that can take a training step; imported when their kind is asked for."""

from __future__ import annotations

import importlib

from medcyclegan.config import ModelConfig
from medcyclegan.models.protocol import TranslationModel

MODELS = {"cyclegan": "medcyclegan.models.cyclegan:CycleGAN"}


def make_model(config: ModelConfig, neighbors: int = 1) -> TranslationModel:
    """Return a freshly initialised model; weights come from torch's global random state.

    Args:
        config: the `model` section; its `kind` names the method.
        neighbors: slices in a stack.
    """
    module, name = MODELS[config.kind].split(":")
    model: TranslationModel = getattr(importlib.import_module(module), name)(config, neighbors)
    return model


__all__ = ["MODELS", "TranslationModel", "make_model"]
