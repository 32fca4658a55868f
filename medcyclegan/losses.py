"""The losses of CycleGAN, as functions of tensors.

Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks",
arXiv:1703.10593; the least-squares form is Mao et al. 2017, arXiv:1611.04076.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Losses = dict[str, Tensor]


def adversarial_loss(scores: Tensor, *, real: bool) -> Tensor:
    """Return E[(D(x) - t)^2], t = 1 for images to be taken as real, 0 for fakes.

    Least squares: Mao et al. 2017, equation 2; Zhu et al. 2017, section 4.

    Args:
        scores: a discriminator's answers, (B, 1, h, w).
        real: what the discriminator is asked to say, or made to.
    """
    return torch.mean((scores - float(real)) ** 2)


def cycle_consistency_loss(cycled: Tensor, real: Tensor) -> Tensor:
    """Return E[|F(G(x)) - x|], the L1 distance after both directions (Zhu et al. 2017, eq. 2).

    Args:
        cycled: stacks (B, C, H, W) in [-1, 1].
        real: the stacks they began as, same shape.
    """
    return torch.mean(torch.abs(cycled - real))


def identity_loss(identity: Tensor, real: Tensor) -> Tensor:
    """Return E[|G(y) - y|]: an image already in the target domain stays (section 5.2).

    Args:
        identity: stacks (B, C, H, W) in [-1, 1], G(y).
        real: the stacks y, same shape.
    """
    return torch.mean(torch.abs(identity - real))


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
