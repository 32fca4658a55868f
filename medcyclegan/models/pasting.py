"""Identity images in which parts of the target stand beside parts of the source."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medcyclegan.domains import Pair
from medcyclegan.models.whole_batch import normal_draws

ACROSS = 8  # random values along each side: blobs are about an eighth as long


def paste(real: Pair[Tensor], own: Pair[Tensor]) -> Pair[Tensor]:
    """Return identity images (B, C, H, W): each of its own domain in a mask, else of the other.

    A generator must keep what is of its target beside what is not, and learns to tell them apart
    by what they are, not by the company they are in (after CutMix, Yun et al. 2019,
    arXiv:1905.04899).

    Args:
        real: stacks (B, C, H, W) of each domain.
        own: masks (B, 1, H, W) of each.
    """
    return Pair(torch.where(own.a, real.a, real.b), torch.where(own.b, real.b, real.a))


def random_blobs(like: Tensor, share: float) -> Tensor:
    """Return masks (B, 1, H, W) of smooth random outline that cover `share` of each image.

    Draws come from torch's global random state.
    """
    field = random_field(like)
    least = field.flatten(1).quantile(1 - share, dim=1)
    return field > least.view(-1, 1, 1, 1)


def random_field(like: Tensor) -> Tensor:
    """Return smooth random fields (B, 1, H, W) for images (B, C, H, W), about N(0, 1) each.

    Draws come from torch's global random state.
    """
    coarse = normal_draws((len(like), 1, ACROSS, ACROSS), like.device)
    return functional.interpolate(coarse, like.shape[-2:], mode="bicubic")
