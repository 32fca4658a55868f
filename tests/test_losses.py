from __future__ import annotations

import pytest
import torch

from medcyclegan.losses import (
    MOST,
    adversarial_loss,
    change_loss,
    cycle_consistency_loss,
    fooling_loss,
    identity_loss,
    level_weights,
    total,
)

SCORES = torch.tensor([[0.0, 1.0], [3.0, -1.0]]).view(1, 1, 2, 2)


def test_adversarial_loss_is_least_squares() -> None:
    assert float(adversarial_loss(SCORES, real=True)) == (1 + 0 + 4 + 4) / 4
    assert float(adversarial_loss(SCORES, real=False)) == (0 + 1 + 9 + 1) / 4


def test_a_score_that_is_enough_asks_for_nothing_and_the_worst_for_as_much() -> None:
    assert float(fooling_loss(SCORES)) == float(adversarial_loss(SCORES, real=True))
    slopes = []
    for enough in (1.0, 0.25):
        scores = torch.tensor([0.5, 0.0], requires_grad=True)
        slopes.append(torch.autograd.grad(fooling_loss(scores, enough), scores)[0].tolist())
    assert slopes == [[-0.5, -1.0], [0.0, -1.0]]


@pytest.mark.parametrize("loss", [cycle_consistency_loss, identity_loss, change_loss])
def test_distances_are_mean_absolute_differences(loss: type) -> None:
    one = torch.tensor([0.5, -0.5, 1.0]).view(1, 1, 1, 3)
    other = torch.tensor([0.25, 0.5, 1.0]).view(1, 1, 1, 3)
    assert float(loss(one, other)) == pytest.approx((0.25 + 1.0 + 0.0) / 3)
    assert float(loss(one, other)) == float(loss(other, one))


@pytest.mark.parametrize("loss", [cycle_consistency_loss, identity_loss])
def test_a_pixel_of_twice_the_weight_counts_twice(loss: type) -> None:
    one, other = torch.zeros(1, 1, 1, 2), torch.tensor([0.5, 0.25]).view(1, 1, 1, 2)
    weights = torch.tensor([4 / 3, 2 / 3]).view(1, 1, 1, 2)
    assert float(loss(one, other, weights)) == pytest.approx((2 * 0.5 + 0.25) / 3)


def test_each_level_of_hu_counts_alike() -> None:
    images = torch.full((1, 1, 10, 10), -0.5)
    images[0, 0, 0, :] = 0.5
    weights = level_weights(images)
    assert weights.mean().item() == pytest.approx(1.0)
    assert weights[images > 0].sum().item() == pytest.approx(weights[images < 0].sum().item())
    images[0, 0] = -0.5
    images[0, 0, 0, 0] = 0.5
    assert level_weights(images).max().item() == MOST


def test_levels_are_counted_in_each_image_and_where_it_counts_alone() -> None:
    images = torch.full((2, 1, 10, 10), -0.5)
    images[:, 0, 0] = 0.5
    images[1, 0, 5:] = 0.5
    counted = torch.ones(2, 1, 10, 10, dtype=torch.bool)
    counted[1, 0, 5:] = False  # where the other image would lend its level
    weights = level_weights(images, counted)
    assert weights.mean((1, 2, 3)).tolist() == pytest.approx([1.0, 1.0])
    assert not weights[1, 0, 5:].any()
    for image, weight, counts in zip(images, weights, counted, strict=True):
        levels = [weight[counts & (image == level)].sum().item() for level in (0.5, -0.5)]
        assert levels[0] == pytest.approx(levels[1])
    assert torch.equal(weights[:1], level_weights(images[:1], counted[:1]))


def test_the_total_is_the_sum_and_carries_each_gradient() -> None:
    terms = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in {"adversarial_a": 1.0, "cycle_a": 2.5, "identity_a": 0.25}.items()
    }
    summed = total(terms)
    assert summed.item() == 3.75
    summed.backward()
    assert [float(term.grad) for term in terms.values() if term.grad is not None] == [1, 1, 1]
