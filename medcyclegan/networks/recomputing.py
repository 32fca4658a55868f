"""Activation checkpointing: activations computed twice instead of kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medcyclegan.networks.convolution import Layers
from medcyclegan.networks.heap import give_back


class Segment(Layers):
    """Layers, one after the other, whose activations can be recomputed in the backward pass.

    Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174. With
    `recompute` only the input of the segment is kept: the result is the same bit for bit, the
    layers run forward twice. Layers that draw random numbers are not for it.
    """

    recompute = False

    def forward(self, images: Tensor) -> Tensor:
        """Return what the layers make of `images`."""
        if not (self.recompute and torch.is_grad_enabled()):
            return super().forward(images)
        result: Tensor = checkpoint(
            self._run,
            images,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (contextlib.nullcontext(), _counted_once(self)),
        )
        return result

    def _run(self, images: Tensor) -> Tensor:
        result = super().forward(images)
        give_back(result)
        return result


def recompute_activations(network: nn.Module) -> None:
    """Switch activation checkpointing on in every `Segment` below `network`."""
    for layer in network.modules():
        if isinstance(layer, Segment):
            layer.recompute = True


@contextlib.contextmanager
def _counted_once(layers: nn.Module) -> Iterator[None]:
    """Keep batch norms from taking up the same batch into their running statistics again."""
    norms = [x for x in layers.modules() if isinstance(x, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked -= 1
