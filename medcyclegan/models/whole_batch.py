"""The whole batch of several processes, of which each holds a part.

Process r of n holds elements r, r + n, r + 2n, ...
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def own_part() -> tuple[int, slice]:
    """Return how many processes there are, and which elements of a whole batch this one holds."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1, slice(None)
    count = distributed.get_world_size()
    return count, slice(distributed.get_rank(), None, count)


def gather(images: Tensor) -> tuple[Tensor, slice]:
    """Return the images (B, C, H, W) of all processes, and which of them are `images`."""
    count, own = own_part()
    if count == 1:
        return images, own
    gathered = [
        torch.empty_like(images, memory_format=torch.contiguous_format) for _ in range(count)
    ]
    torch.distributed.all_gather(gathered, images.contiguous())
    return torch.stack(gathered, dim=1).flatten(0, 1), own


def normal_draws(shape: Sequence[int], device: torch.device) -> Tensor:
    """Return normally distributed numbers (B, ...) for this process's part of a whole batch.

    They are drawn from torch's global random state for all of it, so that any number of processes
    draws the same.
    """
    count, own = own_part()
    return torch.randn((count * shape[0], *shape[1:]), device=device)[own]
