from __future__ import annotations

import pytest
import torch

from medcyclegan.domains import Pair
from medcyclegan.models.pasting import paste, random_blobs


def test_an_image_is_of_its_own_domain_in_the_share_that_is_asked_for() -> None:
    torch.manual_seed(0)
    real = Pair(torch.full((4, 3, 48, 40), 1.0), torch.full((4, 3, 48, 40), 2.0))
    shown, own = paste(real, 0.3)
    assert own.shape == (4, 1, 48, 40)
    assert own.float().mean((1, 2, 3)).tolist() == pytest.approx([0.3] * 4, abs=0.01)
    assert torch.equal(shown.a, torch.where(own, real.a, real.b))
    assert torch.equal(shown.b, torch.where(own, real.b, real.a))


def test_images_have_outlines_of_their_own_that_are_smooth() -> None:
    torch.manual_seed(0)
    own = random_blobs(torch.zeros(2, 1, 96, 96), 0.5)
    assert not torch.equal(own[0], own[1])
    edges = (own[..., 1:] != own[..., :-1]).float().mean()
    assert 0.01 < float(edges) < 0.08
