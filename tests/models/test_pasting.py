from __future__ import annotations

import pytest
import torch

from medcyclegan.domains import Pair
from medcyclegan.models.pasting import paste, random_blobs


def test_an_image_is_of_its_own_domain_in_the_share_that_is_asked_for() -> None:
    torch.manual_seed(0)
    own = random_blobs(torch.zeros(4, 3, 48, 40), 0.3)
    assert own.shape == (4, 1, 48, 40)
    assert own.float().mean((1, 2, 3)).tolist() == pytest.approx([0.3] * 4, abs=0.01)


def test_each_image_takes_its_own_mask() -> None:
    real = Pair(torch.full((1, 3, 2, 2), 1.0), torch.full((1, 3, 2, 2), 2.0))
    own = Pair(*(torch.rand(1, 1, 2, 2) < 0.5 for _ in range(2)))
    shown = paste(real, own)
    assert torch.equal(shown.a == 1, own.a.expand(1, 3, 2, 2))
    assert torch.equal(shown.b == 2, own.b.expand(1, 3, 2, 2))


def test_images_have_outlines_of_their_own_that_are_smooth() -> None:
    torch.manual_seed(0)
    own = random_blobs(torch.zeros(2, 1, 96, 96), 0.5)
    assert not torch.equal(own[0], own[1])
    edges = (own[..., 1:] != own[..., :-1]).float().mean()
    assert 0.01 < float(edges) < 0.08
