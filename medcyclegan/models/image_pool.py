"""Image pool: a history of translated images for the discriminator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medcyclegan.models.whole_batch import gather


class ImagePool(nn.Module):
    """Keeps up to `size` images and hands back old ones half of the time.

    Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, section 4: 50 images. It is part of the
    resume state and of no exported model, since it holds images.

    Where several processes train together, their pools are one: each sees the images of all, in
    the order of the whole batch, draws the same, and hands back those of its own part. So all
    pools are equal, and training may go on with another number of processes.

    Args:
        size: images kept; 0 hands every image straight back.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Return as many images, each new or drawn from the pool, which takes the new one instead.

        Draws come from torch's global random state, which the training loop sets at each step.

        Args:
            images: (B, C, H, W), detached.
        """
        if self.size == 0:
            return images
        everyone, own = gather(images)
        return torch.stack([self._exchange_one(image) for image in everyone][own])

    def _exchange_one(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if torch.rand(()) < 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        old, self.images[place] = self.images[place], image.clone()
        return old.to(image.device)  # a checkpoint's images come back on the CPU

    def get_extra_state(self) -> dict[str, Any]:
        """Return the images as they now are: they may be exchanged later, but never change."""
        return {"images": list(self.images)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the pool's images from a checkpoint."""
        self.images = list(state["images"])
