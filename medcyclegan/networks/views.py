"""Views: narrower windows through which networks see their images, too, as further channels.

In a window wide enough for opacified vessels, 800 HU, the 50 HU between an enhanced liver and a
plain one are a sixteenth. As people do, networks look through several windows: what is a small
difference in one is a large one in another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

View = tuple[float, float]  # lower and upper end on the scale of [-1, 1]


class Viewed(nn.Module):
    """A network that is shown images and views of them.

    Args:
        network: takes (B, C + V C, H, W) for V views.
        views: of the images; what lies outside of one is clipped to its ends.
    """

    def __init__(self, network: nn.Module, views: Sequence[View]) -> None:
        super().__init__()
        self.network = network
        self.views = tuple(views)

    @property
    def head(self) -> nn.Module:
        """The last layer of a generator."""
        return self.network.get_submodule("head")

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network makes of images (B, C, H, W) in [-1, 1] and their views."""
        seen = [images]
        for low, high in self.views:
            seen.append(((images - low) * (2.0 / (high - low)) - 1.0).clamp(-1.0, 1.0))
        result: Tensor = self.network(torch.cat(seen, dim=1))
        return result
