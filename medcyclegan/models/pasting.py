"""Identity images in which parts of the target stand beside parts of the source."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medcyclegan.domains import Pair

ACROSS = 8  # random values along each side: blobs are about an eighth as long


def paste(real: Pair[Tensor], share: float) -> tuple[Pair[Tensor], Tensor]:
    """Return identity images and where they are of their own domain: in random blobs.

    A generator must keep what is of its target beside what is not, and learns to tell them apart
    by what they are, not by the company they are in (after CutMix, Yun et al. 2019,
    arXiv:1905.04899). Blobs are drawn from torch's global random state.

    Args:
        real: stacks (B, C, H, W) of each domain.
        share: of each image that is of its own domain; the rest is of the other's.

    Returns:
        Images (B, C, H, W), and a mask (B, 1, H, W) that holds for both.
    """
    own = random_blobs(real.a, share)
    return Pair(torch.where(own, real.a, real.b), torch.where(own, real.b, real.a)), own


def random_blobs(like: Tensor, share: float) -> Tensor:
    """Return masks (B, 1, H, W) of smooth random outline that cover `share` of each image."""
    coarse = torch.randn(len(like), 1, ACROSS, ACROSS, device=like.device)
    field = functional.interpolate(coarse, like.shape[-2:], mode="bicubic")
    least = field.flatten(1).quantile(1 - share, dim=1)
    return field > least.view(-1, 1, 1, 1)
