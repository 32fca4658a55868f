"""The losses of CycleGAN, as functions of tensors.

Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks",
arXiv:1703.10593; the least-squares form is Mao et al. 2017, arXiv:1611.04076.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Losses = dict[str, Tensor]

LEVELS = 32  # even parts of [-1, 1]
MOST = 20.0  # greatest weight of a level


def adversarial_loss(scores: Tensor, *, real: bool) -> Tensor:
    """Return E[(D(x) - t)^2], t = 1 for images to be taken as real, 0 for fakes.

    Least squares: Mao et al. 2017, equation 2; Zhu et al. 2017, section 4.

    Args:
        scores: a discriminator's answers, (B, 1, h, w).
        real: what the discriminator is asked to say, or made to.
    """
    return torch.mean((scores - float(real)) ** 2)


def fooling_loss(scores: Tensor, enough: float = 1.0) -> Tensor:
    """Return what a generator pays for the scores of its fakes: E[(D(G(x)) - 1)^2].

    With `enough` below 1, E[max(e - D(G(x)), 0)^2] / e: a score above it asks for nothing more, and
    the slope at a score of 0 stays. A perfect discriminator answers 1 / (1 + r) to what is r times
    as frequent among fakes as in the domain; 1/3 lets be what only differs in frequency, up to
    twice (after Wu et al. 2019, arXiv:1903.01689).

    Args:
        scores: a discriminator's answers to fakes, (B, 1, h, w).
        enough: in (0, 1]; 1 as published.
    """
    if enough == 1:
        return adversarial_loss(scores, real=True)
    return (enough - scores).clamp(min=0.0).square().mean() / enough


def cycle_consistency_loss(cycled: Tensor, real: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """Return E[w |F(G(x)) - x|], the L1 distance after both directions (Zhu et al. 2017, eq. 2).

    Args:
        cycled: stacks (B, C, H, W) in [-1, 1].
        real: the stacks they began as, same shape.
        weights: of pixels, of a shape that broadcasts to it; 1 as published.
    """
    return torch.mean(weights * torch.abs(cycled - real))


def identity_loss(identity: Tensor, real: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """Return E[w |G(y) - y|]: an image already in the target domain stays (section 5.2).

    Args:
        identity: stacks (B, C, H, W) in [-1, 1], G(y).
        real: the stacks y, same shape.
        weights: of pixels, of a shape that broadcasts to it; 1 as published.
    """
    return torch.mean(weights * torch.abs(identity - real))


def level_weights(images: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return weights, (B, C, H, W), by which each level of HU of an image counts alike.

    What is rare and bright (bone, stones, oral contrast medium) then weighs more than its number,
    up to `MOST` times. Levels are `LEVELS` even parts of [-1, 1], counted in each image by itself.
    The mean of an image's weights is 1, or less where a level is so rare that it would weigh more.
    Not part of the published recipe.

    Args:
        images: stacks (B, C, H, W) in [-1, 1].
        counted: masks (B, 1, H, W), some of each image, of what is counted; the rest weighs
            nothing. None: all.
    """
    if counted is None:
        counted = torch.ones_like(images[:, :1], dtype=torch.bool)
    counts_too = counted.expand_as(images).flatten(1).float()
    level = ((images.clamp(-1.0, 1.0) + 1.0) * (LEVELS / 2)).long().clamp(max=LEVELS - 1)
    level = level.flatten(1)
    of_level = images.new_zeros((len(images), LEVELS), dtype=torch.float32)
    of_level.scatter_add_(1, level, counts_too)
    together = counts_too.sum(1, keepdim=True)
    even = together / of_level.count_nonzero(1)[:, None]
    weights = (even / of_level.clamp(min=1.0)).clamp(max=MOST).gather(1, level) * counts_too
    return (weights * (level.shape[1] / together)).view_as(images)


def change_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Return E[|G(x) - x|], a price on change: what need not change to look real stays.

    Not part of the published recipe. The distance is L1, so that small changes everywhere cost as
    much as large ones in a few places, and are what is given up first.

    Args:
        fake: translated stacks (B, C, H, W) in [-1, 1], G(x).
        real: the stacks x they were made from, same shape.
    """
    return torch.mean(torch.abs(fake - real))


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of weighted terms."""
    return torch.stack(list(losses.values())).sum()
