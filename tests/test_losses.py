from __future__ import annotations

import pytest
import torch

from medcyclegan.losses import (
    adversarial_loss,
    change_loss,
    cycle_consistency_loss,
    identity_loss,
    total,
)

SCORES = torch.tensor([[0.0, 1.0], [3.0, -1.0]]).view(1, 1, 2, 2)


def test_adversarial_loss_is_least_squares() -> None:
    assert float(adversarial_loss(SCORES, real=True)) == (1 + 0 + 4 + 4) / 4
    assert float(adversarial_loss(SCORES, real=False)) == (0 + 1 + 9 + 1) / 4


@pytest.mark.parametrize("loss", [cycle_consistency_loss, identity_loss, change_loss])
def test_distances_are_mean_absolute_differences(loss: type) -> None:
    one = torch.tensor([0.5, -0.5, 1.0]).view(1, 1, 1, 3)
    other = torch.tensor([0.25, 0.5, 1.0]).view(1, 1, 1, 3)
    assert float(loss(one, other)) == pytest.approx((0.25 + 1.0 + 0.0) / 3)
    assert float(loss(one, other)) == float(loss(other, one))


def test_the_total_is_the_sum_and_carries_each_gradient() -> None:
    terms = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in {"adversarial_a": 1.0, "cycle_a": 2.5, "identity_a": 0.25}.items()
    }
    summed = total(terms)
    assert summed.item() == 3.75
    summed.backward()
    assert [float(term.grad) for term in terms.values() if term.grad is not None] == [1, 1, 1]
