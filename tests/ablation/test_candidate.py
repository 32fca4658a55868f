"""Candidates: the shipped method by default; each option does what it says, and trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medcyclegan.config.cyclegan import CycleGANConfig
from medcyclegan.domains import Pair
from medcyclegan.losses import total
from medcyclegan.models.cyclegan import CycleGAN
from tests.ablation.candidate import Candidate, Options
from tests.ablation.pixel_norm import PixelNorm
from tests.ablation.terms import mind_distance, variation

CONFIG = CycleGANConfig.model_validate(
    {
        "lambda_change": 2.0,
        "lambda_cycle": 3.0,
        "lambda_identity": 1.5,
        "generator": {"filters": 2, "blocks": 1, "norm": "batch"},
        "discriminator": {"filters": 2, "layers": 1},
    }
)


def stacks(seed: int = 0, neighbors: int = 1) -> Pair[torch.Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return Pair(*(2 * torch.rand(2, neighbors, 24, 24, generator=numbers) - 1 for _ in range(2)))


def candidate(neighbors: int = 1, **options: Any) -> Candidate:
    torch.manual_seed(0)
    return Candidate(CONFIG, neighbors, None, Options(**options))


@pytest.mark.parametrize("neighbors", [1, 3])
@pytest.mark.parametrize(
    "options", [{}, {"pasted": 0.5, "balanced": True, "doses": (0.5, 2.0)}], ids=len
)
def test_without_options_it_is_the_shipped_method(options: dict[str, Any], neighbors: int) -> None:
    config, real = CONFIG.model_copy(update=options), stacks(neighbors=neighbors)
    torch.manual_seed(0)
    shipped = CycleGAN(config, neighbors)
    torch.manual_seed(0)
    tried = Candidate(config, neighbors, None, Options())
    torch.manual_seed(1)
    wanted, fake = shipped.generator_losses(real)
    torch.manual_seed(1)
    found, same = tried.generator_losses(real)
    assert set(found) == set(wanted)
    for name, loss in wanted.items():
        assert found[name].item() == pytest.approx(loss.item(), rel=1e-5)
    judged = tried.discriminator_losses(real, same)
    for name, loss in shipped.discriminator_losses(real, fake).items():
        assert judged[name].item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"pixel_norm": True},
        {"variation": 1.0},
        {"mind": 1.0},
        {"outward": 1.0},
        {"r1": 1.0},
        {"spectral": True},
        {"scales": 2},
        {"judged_noise_hu": 30.0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_option_trains_and_makes_a_difference(options: dict[str, Any]) -> None:
    sums = []
    for model in (candidate(), candidate(**options)):
        torch.manual_seed(1)
        losses, fake = model.generator_losses(stacks())
        total(losses).backward()
        judged = model.discriminator_losses(stacks(), Pair(fake.a.detach(), fake.b.detach()))
        total(judged).backward()
        assert all(weight.grad is not None for weight in model.parameters())
        assert np.isfinite(total(losses).item() + total(judged).item())
        sums.append(total(losses).item() + total(judged).item())
    assert sums[0] != pytest.approx(sums[1], rel=1e-6)


def test_the_price_on_slopes_does_not_depend_on_the_batch() -> None:
    one = stacks().a[:1]
    prices = []
    for count in (1, 4):
        torch.manual_seed(0)
        model, images = candidate(r1=1.0), one.repeat(count, 1, 1, 1)
        real = Pair(images, images)
        prices.append(model.discriminator_losses(real, real)["r1_a"].item())
    assert prices[0] == pytest.approx(prices[1], rel=1e-4)


def test_a_pixel_is_normed_by_itself() -> None:
    features = torch.tensor([[[[3.0, 1.0]], [[4.0, 1.0]]]])
    normed = PixelNorm(2)(features)
    assert normed[0, :, 0, 0].tolist() == pytest.approx([3 / 12.5**0.5, 4 / 12.5**0.5], rel=1e-4)
    assert normed[0, :, 0, 1].tolist() == pytest.approx([1.0, 1.0], rel=1e-4)
    model = candidate(pixel_norm=True)
    assert not any(isinstance(one, nn.BatchNorm2d) for one in model.generators.modules())


def test_even_change_has_no_variation_and_keeps_its_descriptor() -> None:
    real = stacks().a
    assert float(variation(torch.ones(1, 1, 4, 4))) == 0.0
    assert float(mind_distance(real + 0.3, real)) == pytest.approx(0.0, abs=1e-5)
    assert float(mind_distance(-real.roll(3, -1), real)) > 0.05


def test_a_change_that_contrast_medium_cannot_make_is_priced() -> None:
    model, real = candidate(outward=1.0), stacks().a
    right = model._still("b", real - 0.1, real)["outward_b"]
    wrong = model._still("b", real + 0.1, real)["outward_b"]
    assert right.item() == 0.0
    assert wrong.item() == pytest.approx(0.1, rel=1e-4)
