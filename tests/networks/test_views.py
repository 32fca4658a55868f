from __future__ import annotations

import pytest
import torch
from torch import nn

from medcyclegan.networks import Viewed


def test_views_follow_the_images_and_fill_the_scale() -> None:
    images = torch.linspace(-1, 1, 9).view(1, 1, 3, 3).repeat(1, 2, 1, 1)
    shown = Viewed(nn.Identity(), [(-0.5, 0.0), (0.25, 1.0)])(images)
    assert shown.shape == (1, 6, 3, 3)
    assert torch.equal(shown[:, :2], images)
    ends = torch.tensor([-1.0, -1.0, -1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert torch.allclose(shown[0, 2].flatten(), ends)
    assert torch.equal(shown[:, 2], shown[:, 3])
    assert shown[0, 4].min() == -1.0
    assert shown[0, 4].max() == 1.0


def test_a_small_difference_in_the_view_is_a_large_one_to_the_network() -> None:
    images = torch.tensor([[[[0.10, 0.12]]]], requires_grad=True)
    shown = Viewed(nn.Identity(), [(0.0, 0.2)])(images)
    assert (shown[0, 1, 0, 1] - shown[0, 1, 0, 0]).item() == pytest.approx(0.2)
    shown[:, 1].sum().backward()
    assert images.grad is not None
    assert images.grad.flatten().tolist() == pytest.approx([10.0, 10.0])


def test_its_head_is_the_network_s() -> None:
    network = nn.Module()
    network.head = nn.Conv2d(1, 1, 1)
    assert Viewed(network, [(0.0, 1.0)]).get_submodule("head") is network.head
