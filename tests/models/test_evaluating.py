from __future__ import annotations

import pytest
import torch

from medcyclegan.config import parse_model
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.evaluating import evaluating

TINY = {
    "kind": "cyclegan",
    "generator": {"kind": "resnet", "filters": 2, "blocks": 1, "norm": "batch"},
    "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
}


def test_each_network_comes_back_in_its_own_mode_even_after_an_error() -> None:
    model = CycleGAN(parse_model(TINY))
    model.generators.eval()

    def fail() -> None:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            assert torch.is_inference_mode_enabled()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not any(module.training for module in model.generators.modules())
    assert all(module.training for module in model.discriminators.modules())
    assert not torch.is_inference_mode_enabled()
