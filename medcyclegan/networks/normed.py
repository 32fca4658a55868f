"""Instance norm and ReLU whose result is made again in the backward pass, not kept.

A convolution that follows them would keep their result, and the norm its own input: two tensors
where one can be made of the other in a fraction of a convolution's time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EPSILON = 1e-5  # torch's default, added to the variance


class Source:
    """Where a convolution's input comes from: instance norm and ReLU of `raw`.

    Args:
        raw: (B, C, H, W), what the norm is given.

    It holds no tensor between the passes: that is for autograd, which may drop what it keeps.
    """

    def __init__(self, raw: Tensor) -> None:
        self._raw: Tensor | None = raw.detach()
        self._made: Tensor | None = None

    def hand_over(self) -> Tensor:
        """Return `raw` without its history, once: what the convolution keeps for its input."""
        raw, self._raw = self._raw, None
        assert raw is not None
        return raw

    def make(self, raw: Tensor) -> Tensor:
        """Return the convolution's input again, of `raw` as it was kept."""
        self._made = _normed(raw)[0].relu_()
        return self._made

    def take(self, raw: Tensor) -> Tensor:
        """Return the same, made by now or not, and forget it."""
        made, self._made = self._made, None
        return self.make(raw) if made is None else made


class NormedRelu(torch.autograd.Function):
    """ReLU of the instance norm of (B, C, H, W); keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, source: Source) -> Tensor:
        """Return max(0, (raw - mean) / deviation), with the statistics of each slice."""
        normed, mean, inverse = _normed(raw)
        ctx.save_for_backward(raw, mean, inverse)
        ctx.source = source
        return normed.relu_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of `raw`, of the gradient (B, C, H, W)."""
        raw, mean, inverse = ctx.saved_tensors
        result = ctx.source.take(raw)
        through = torch.ops.aten.threshold_backward(gradient.contiguous(), result, 0)
        return _norm_gradient(through, raw, mean, inverse), None


def kept(images: Tensor, source: Source | None) -> Tensor:
    """Return what a convolution keeps of its input for the backward pass."""
    return images if source is None else source.hand_over()


def restored(tensor: Tensor, source: Source | None) -> Tensor:
    """Return a convolution's input, of what it kept."""
    return tensor if source is None else source.make(tensor)


def _normed(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows = raw.reshape(1, -1, *raw.shape[2:])
    normed, mean, inverse = torch.native_batch_norm(
        rows, None, None, None, None, True, 0.0, EPSILON
    )
    return normed.view(raw.shape), mean, inverse


def _norm_gradient(gradient: Tensor, raw: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    rows = raw.reshape(1, -1, *raw.shape[2:])
    of_rows: Tensor = torch.ops.aten.native_batch_norm_backward(
        gradient.reshape(rows.shape), rows, None, None, None, mean, inverse, True, EPSILON,
        [True, False, False],
    )[0]  # fmt: skip
    return of_rows.view(raw.shape)
