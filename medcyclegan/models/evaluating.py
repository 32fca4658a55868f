"""Networks as they are at inference, and back as they were."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch
from torch import nn

from medcyclegan.models.protocol import TranslationModel


def whole(model: TranslationModel) -> nn.Module:
    """Return all networks of the method, where it is one module; its generators else."""
    return model if isinstance(model, nn.Module) else model.generators


@contextlib.contextmanager
def evaluating(model: TranslationModel) -> Iterator[None]:
    """Hold the networks in evaluation mode, without gradients, and leave them as they were.

    Compiled networks run uncompiled: they would be built again for each size of slices.
    """
    networks = whole(model)
    modes = [(module, module.training) for module in networks.modules()]
    networks.eval()
    try:
        with torch.inference_mode(), _uncompiled():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _uncompiled() -> contextlib.AbstractContextManager[object]:
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and it takes long to import
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")
