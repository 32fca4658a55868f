"""What a method must be able to do to be trained and used."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from medcyclegan.domains import Direction, Pair
from medcyclegan.losses import Losses


class TranslationModel(Protocol):
    """A method of unpaired translation between two domains.

    The loop owns optimisers, requires_grad, schedules and checkpoints; a method owns its networks
    and losses. `generator_losses` and `discriminator_losses` return weighted terms: their sum is
    the loss, and the same terms are logged.
    """

    generators: nn.ModuleDict  # "a_to_b", "b_to_a"
    discriminators: nn.ModuleDict  # "a", "b": each judges whether an image is a real one of it
    multiple: int  # height and width of slices must be multiples of this

    def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
        """Return the generators' weighted losses on real stacks (B, C, H, W), and the fakes."""
        ...

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> Losses:
        """Return the discriminators' weighted losses; `fake` as `generator_losses` gave it."""
        ...

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        """Return the middle slices (B, 1, H, W), translated, of stacks (B, C, H, W) in [-1, 1]."""
        ...

    def state_dict(self) -> dict[str, object]:
        """Return everything a checkpoint must hold."""
        ...

    def load_state_dict(self, state_dict: dict[str, object]) -> object:
        """Take back what `state_dict` returned."""
        ...
