"""Segmenter: a segmentation network in training, with the running average that is measured."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor

from medcyclegan.config.segmentation import SegmentationTraining
from medcyclegan.config.segmentation_networks import PatchNetwork
from medcyclegan.errors import MedCycleGANError
from medcyclegan.proof.networks import make_network
from medcyclegan.training.checkpoint import load_newest, save_checkpoint
from medcyclegan.training.device import choose_device

AVERAGED = 0.1  # share of the steps so far that the running average reaches back over

Batch = Callable[[int, int], tuple[Tensor, Tensor]]


class Segmenter:
    """A network that can be trained on for any number of steps, and resumed from its folder.

    Nothing in it depends on how long it will be trained: the learning rate is constant, then falls
    with the root of the steps, and what is measured is an average of weights over the last tenth of
    them, so that it can be looked at after any number and go on. After n updates the average a of
    weights w moves by (cf. Karras et al. 2024, arXiv:2312.02696)::

        a <- a + (w - a) / (1 + 0.1 n)

    Args:
        network: what to train.
        training: how.
        classes: organs and what is none of them.
        domains: how many domains the batches alternate between.
        seed: of the weights.
        folder: where it is kept.

    Raises:
        InputError: this machine has no such device.
    """

    def __init__(
        self,
        network: PatchNetwork,
        training: SegmentationTraining,
        *,
        classes: int,
        domains: int,
        seed: int,
        folder: Path,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = make_network(network, classes)
        self._device = choose_device(training.device)
        self.network.to(self._device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), training.learning_rate)
        self.step = 0
        self._training = training
        self._domains = domains
        self._folder = folder
        # Dice over the whole batch: most slices lack one organ or other.
        self._loss = DiceCELoss(
            to_onehot_y=True, softmax=True, include_background=False, batch=True
        )

    def load(self) -> None:
        """Go on from what was saved, if anything was."""
        found = load_newest(self._folder, lambda line: None)
        if found is None:
            return
        self.step, state = found
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def save(self) -> None:
        """Keep all that going on takes."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        save_checkpoint(self._folder, self.step, state)

    def train(self, steps: int, batch: Batch, check: Callable[[], None]) -> None:
        """Train until `steps` steps have been taken in each domain.

        Args:
            steps: of each domain, those taken before included.
            batch: (number of the step, domain) -> images and labels.
            check: called before each step; what it raises ends the training.

        Raises:
            MedCycleGANError: the loss is not finite.
        """
        self.network.train()
        while self.step < steps:
            check()
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate()
            for domain in range(self._domains):
                images, labels = batch(self.step, domain)
                loss = self._loss(self.network(images.to(self._device)), labels.to(self._device))
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                self._move_average(self.step * self._domains + domain)
            if not math.isfinite(float(loss.detach())):
                raise MedCycleGANError(
                    f"{self._folder}: the loss is not finite at step {self.step}; lower "
                    "training.learning_rate"
                )
            self.step += 1

    def _rate(self) -> float:
        """Return the learning rate of the next step."""
        late = self.step / self._training.steps
        return self._training.learning_rate / math.sqrt(max(1.0, late))

    def _move_average(self, update: int) -> None:
        share = 1.0 / (1.0 + AVERAGED * update)
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, share)

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}
