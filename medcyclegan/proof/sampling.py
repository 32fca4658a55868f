"""Batches for segmentation networks, each decided by seed, step and domain alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medcyclegan.config.segmentation_networks import PatchNetwork
from medcyclegan.domains import Direction
from medcyclegan.intensity import Window
from medcyclegan.proof.arms import Arm
from medcyclegan.proof.augmentation import INTENSITIES, move
from medcyclegan.proof.training_sets import TrainingSet
from medcyclegan.slices import from_slices, slice_frame
from medcyclegan.translator import Translator
from medcyclegan.volume import Volume

AIR_HU = -1000
FOREGROUND_SHARE = 0.33  # of 3D patches that are centred on an organ

Array = npt.NDArray[Any]
Shape = tuple[int, int, int]


class OnTheFly(NamedTuple):
    """A translation of samples as they are drawn.

    Args:
        translator: trained.
        direction: out of the labelled scans' domain.
        strength: least and greatest share of the change that is applied; each sample has its own.
    """

    translator: Translator
    direction: Direction
    strength: tuple[float, float]

    def __call__(
        self, hu: Tensor, spacing_mm: tuple[float, float, float], generator: torch.Generator
    ) -> Tensor:
        """Return samples (B, S, H, W), HU, in the other domain, each by its own share.

        Args:
            hu: (B, S, H, W); neighbouring slices of one patient along S.
            spacing_mm: of slices, rows and columns.
            generator: of the shares.
        """
        alone = self.translator.neighbors == 1
        volumes = hu.reshape(1, -1, *hu.shape[-2:]) if alone else hu
        changed = torch.stack([self._translated(slices, spacing_mm) for slices in volumes])
        low, high = self.strength
        share = torch.rand(len(hu), generator=generator) * (high - low) + low
        return hu + share[:, None, None, None] * (changed.reshape(hu.shape) - hu)

    def _translated(self, slices: Tensor, spacing_mm: tuple[float, float, float]) -> Tensor:
        across, rows, columns = spacing_mm
        affine = np.diag([-columns, -rows, across, 1.0])
        shape = (slices.shape[2], slices.shape[1], slices.shape[0])
        frame = slice_frame(shape, affine)
        volume = Volume(from_slices(slices.numpy(), frame), affine)
        made = self.translator.translate(volume, self.direction, batch_size=len(slices)).array
        return torch.from_numpy(np.ascontiguousarray(made.transpose(2, 1, 0)))


@dataclass(frozen=True)
class Sampler:
    """Draws the batches of one arm.

    Equal seeds draw the same patients, places and movements in every arm, so that arms differ by
    what they are trained on and less by chance.

    Args:
        data: the labelled patients, with the arm's variant of them.
        arm: what is done to samples.
        network: says how large samples are.
        window: what the network sees of the HU scale.
        batch_size: samples of a batch.
        seed: of the segmentation training.
        on_the_fly: makes the second domain of samples as they are drawn, in arms that do.
    """

    data: TrainingSet
    arm: Arm
    network: PatchNetwork
    window: Window
    batch_size: int
    seed: int
    on_the_fly: OnTheFly | None = None

    def batch(self, step: int, domain: int) -> tuple[Tensor, Tensor]:
        """Return images in [-1, 1] and labels, (B, 1, H, W) or (B, 1, S, H, W).

        Args:
            step: number of the step in this domain.
            domain: 0, the labelled scans as they are; 1, the arm's second domain.
        """
        rng = np.random.default_rng((self.seed, step, domain))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chosen = rng.integers(len(self.data.images), size=self.batch_size)
        stored = self.data.second if domain and self.data.second else self.data.images
        samples = [self._sample(stored, int(number), rng) for number in chosen]
        hu = torch.from_numpy(np.stack([image for image, _ in samples])).float()
        labels = torch.from_numpy(np.stack([organs for _, organs in samples])).long()
        if self.arm.moved:
            hu, labels = move(hu, labels, generator)
        if domain and self.on_the_fly is not None:
            hu = self.on_the_fly(hu, self.data.spacing_mm[int(chosen[0])], generator)
        middle = self._context
        if self.network.is_3d:
            hu, labels = hu[:, None], labels[:, None]
        else:
            hu, labels = hu[:, middle : middle + 1], labels[:, middle : middle + 1]
        unit = self.window.to_unit(hu)
        if self.arm.intensity:
            unit = INTENSITIES[self.arm.intensity](unit, generator)
        return unit, labels

    @property
    def _context(self) -> int:
        """Slices on either side that a translating network wants to see of a 2D sample."""
        if self.network.is_3d or self.on_the_fly is None:
            return 0
        return self.on_the_fly.translator.neighbors // 2

    def _sample(
        self, stored: Sequence[Array], number: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return a patch of one patient and its labels, (S, H, W)."""
        labels = self.data.labels[number]
        starts = self._starts(labels, rng)
        depth, rows, columns = self.network.patch
        shape = (depth + 2 * self._context, rows, columns)
        first = (starts[0] - self._context, starts[1], starts[2])
        return cut(stored[number], first, shape, AIR_HU), cut(labels, first, shape, 0)

    def _starts(self, labels: Array, rng: np.random.Generator) -> Shape:
        """Return where a patch begins along each axis: anywhere, or about a voxel of an organ."""
        patch = np.array(self.network.patch)
        shares, foreground = rng.random(3), rng.random() < FOREGROUND_SHARE
        room = np.array(labels.shape) - patch
        starts = np.where(room > 0, np.floor(shares * (room + 1)), room // 2)
        if self.network.is_3d and foreground and (organs := np.flatnonzero(labels)).size:
            centre = np.unravel_index(organs[int(shares[0] * organs.size)], labels.shape)
            about = (np.array(centre) - patch // 2).clip(0, np.maximum(room, 0))
            starts = np.where(room > 0, about, starts)
        slices, rows, columns = (int(start) for start in starts)
        return slices, rows, columns


def cut(array: Array, starts: Shape, shape: Shape, outside: int) -> Array:
    """Return a patch of an array (S, H, W) that may reach beyond it.

    Args:
        array: (S, H, W).
        starts: its first index along each axis, negative where it begins before the array.
        shape: of the patch.
        outside: what lies beyond rows and columns; beyond the slices, the last one is repeated.
    """
    slices = (starts[0] + np.arange(shape[0])).clip(0, len(array) - 1)
    patch = np.full(shape, outside, array.dtype)
    (top, into_row), (left, into_column) = ((max(s, 0), max(-s, 0)) for s in starts[1:])
    seen = array[slices, top : starts[1] + shape[1], left : starts[2] + shape[2]]
    rows, columns = seen.shape[1:]
    patch[:, into_row : into_row + rows, into_column : into_column + columns] = seen
    return patch
