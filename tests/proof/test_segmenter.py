from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medcyclegan.config.segmentation import SegmentationTraining
from medcyclegan.config.segmentation_networks import Unet2dConfig, Unet3dConfig
from medcyclegan.errors import MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.proof.networks import make_network, predict
from medcyclegan.proof.segmenter import Segmenter

NETWORK = Unet2dConfig(size=32, filters=4, levels=3)
TRAINING = SegmentationTraining(steps=4, most_steps=8, learning_rate=0.01, device="cpu")


def batch(step: int, domain: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step * 2 + domain)
    images = torch.rand(2, 1, 32, 32, generator=generator) * 2 - 1
    return images, (images > 0).long()


def segmenter(folder: Path, domains: int = 2) -> Segmenter:
    return Segmenter(NETWORK, TRAINING, classes=2, domains=domains, seed=3, folder=folder)


def weights(of: Segmenter) -> Tensor:
    return torch.cat([value.flatten() for value in of.average.parameters()])


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = segmenter(tmp_path / "whole")
    whole.train(6, batch, lambda: None)
    first = segmenter(tmp_path / "parts")
    first.train(2, batch, lambda: None)
    first.save()
    second = segmenter(tmp_path / "parts")
    second.load()
    assert second.step == 2
    second.train(6, batch, lambda: None)
    assert torch.equal(weights(whole), weights(second))


def test_both_domains_take_as_many_steps(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def noted(step: int, domain: int) -> tuple[Tensor, Tensor]:
        seen.append((step, domain))
        return batch(step, domain)

    segmenter(tmp_path).train(3, noted, lambda: None)
    assert seen == [(step, domain) for step in range(3) for domain in (0, 1)]


def test_it_learns_and_the_average_is_what_is_measured(tmp_path: Path) -> None:
    made = segmenter(tmp_path, domains=1)
    made.train(60, batch, lambda: None)
    hu = np.random.default_rng(0).uniform(-160, 300, (3, 32, 32)).astype(np.float32)
    scores = predict(made.average, hu, Window(-160, 300), NETWORK)
    assert scores.shape == (2, 3, 32, 32)
    assert ((scores.argmax(0) == 1) == (hu > 70)).mean() > 0.9


def test_the_rate_falls_with_the_root_after_the_first_steps(tmp_path: Path) -> None:
    made = segmenter(tmp_path)
    rates = []
    for made.step in (0, 4, 16):
        rates.append(made._rate())
    assert rates == pytest.approx([0.01, 0.01, 0.005])


def test_what_check_raises_ends_it_between_steps_and_saves_can_follow(tmp_path: Path) -> None:
    made = segmenter(tmp_path)
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise MedCycleGANError("stopped")

    with pytest.raises(MedCycleGANError, match="stopped"):
        made.train(9, batch, check)
    assert made.step == 2


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    def odd(step: int, domain: int) -> tuple[Tensor, Tensor]:
        images, labels = batch(step, domain)
        return images * float("nan"), labels

    with pytest.raises(MedCycleGANError, match="not finite at step 0; lower training"):
        segmenter(tmp_path).train(1, odd, lambda: None)


def test_slices_of_any_size_are_predicted_on_their_own_grid() -> None:
    torch.manual_seed(0)
    network = make_network(NETWORK, 3).eval()
    hu = np.random.default_rng(0).uniform(-160, 300, (20, 37, 45)).astype(np.float32)
    scores = predict(network, hu, Window(-160, 300), NETWORK)
    assert scores.shape == (3, 20, 37, 45)
    alone = predict(network, hu[17:18], Window(-160, 300), NETWORK)
    np.testing.assert_allclose(scores[:, 17:18], alone, atol=1e-5)


def test_volumes_are_predicted_by_overlapping_patches() -> None:
    torch.manual_seed(0)
    config = Unet3dConfig(kind="unet_3d", size=32, slices=32, filters=2, levels=2, residual_units=1)
    network = make_network(config, 2).eval()
    hu = np.random.default_rng(0).uniform(-160, 300, (20, 40, 36)).astype(np.float32)
    assert predict(network, hu, Window(-160, 300), config).shape == (2, 20, 40, 36)
