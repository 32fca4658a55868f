from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from medcyclegan.networks import EnhancementOutput, ResnetGenerator
from medcyclegan.networks.enhancement import between

IMAGES = arrays.arrays(np.float32, (1, 2, 8, 8), elements=st.floats(-1, 1, width=32))
MAPS = arrays.arrays(np.float32, (1, 2, 8, 8), elements=st.floats(-64, 64, width=32))


class Asks(nn.Module):
    """A network that asks for a change."""

    def __init__(self, change: Tensor | float) -> None:
        super().__init__()
        self.head = nn.Identity()
        self.change = torch.as_tensor(change)

    def forward(self, images: Tensor) -> Tensor:
        return self.change.expand_as(images)


@pytest.mark.parametrize(
    ("asked", "sign", "wanted"),
    [
        (-5.0, -1, [-0.9, -0.1, 0.0, 0.0]),
        (5.0, -1, [-0.9, -0.1, 0.1, 0.8]),
        (5.0, 1, [-0.9, -0.1, 1.0, 1.0]),
        (-5.0, 1, [-0.9, -0.1, 0.1, 0.8]),
    ],
)
def test_dense_tissue_alone_changes_one_way_alone(
    asked: float, sign: int, wanted: list[float]
) -> None:
    bands = torch.tensor([-0.9, -0.1, 0.1, 0.8]).view(1, 1, 1, 4).repeat_interleave(6, 3)
    output = EnhancementOutput(Asks(asked), floor=0.0, ramp=0.05, sign=sign)
    middles = output(bands.expand(1, 1, 6, 24))[0, 0, 3, 2::6]
    assert middles.tolist() == pytest.approx(wanted, abs=1e-5)


@given(IMAGES, MAPS, st.floats(-0.9, 0.9))
def test_whatever_a_network_asks_for(
    images: npt.NDArray[np.float32], maps: npt.NDArray[np.float32], floor: float
) -> None:
    source = torch.from_numpy(images)
    out, into = (
        EnhancementOutput(Asks(torch.from_numpy(maps)), floor=floor, ramp=0.05, sign=sign)(source)
        for sign in (-1, 1)
    )
    assert bool((out <= source + 1e-6).all())
    assert bool((into >= source - 1e-6).all())
    assert float(torch.cat([out, into]).abs().max()) <= 1 + 1e-6
    low = torch.nn.functional.max_pool2d(source, 5, 1, 2) <= floor  # filter, then neighbours
    torch.testing.assert_close(out[low], source[low], rtol=0, atol=1e-4)  # the filter rounds
    torch.testing.assert_close(into[low], source[low], rtol=0, atol=1e-4)


def test_even_tissue_is_not_taken_below_the_floor() -> None:
    source = torch.full((1, 1, 8, 8), 0.4)
    output = EnhancementOutput(Asks(-64.0), floor=-0.5, ramp=0.05, sign=-1)
    assert output(source).flatten().tolist() == pytest.approx([-0.5] * 64)


def test_the_rim_of_an_organ_may_go_as_low_as_what_is_next_to_it() -> None:
    fat, rim, organ, floor = -0.75, -0.25, 0.25, -0.5
    row = torch.tensor([fat] * 6 + [rim] + [organ] * 6)
    out, into = (
        EnhancementOutput(Asks(sign * 5.0), floor=floor, ramp=0.05, sign=sign)(
            row.expand(1, 1, 8, 13)
        )[0, 0, 4]
        for sign in (-1, 1)
    )
    assert float(out[6]) < floor - 0.05  # partial volume: fat is a part of it
    assert float(out[9]) == pytest.approx(floor)  # within the organ, at the floor
    assert float(into[6]) > rim
    for image in (out, into):
        assert image[:5].tolist() == pytest.approx([fat] * 5)


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_pixel_takes_up_contrast_medium_in_the_share_that_is_organ(share: float) -> None:
    fat, organ = -0.75, -0.42
    row = torch.tensor([fat] * 6 + [fat + share * (organ - fat)] + [organ] * 6)
    output = EnhancementOutput(Asks(0.1), floor=-0.5, ramp=0.05, sign=1)
    change = (output(row.expand(1, 1, 8, 13)) - row)[0, 0, 4]
    assert change[:6].tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    assert change[8:].tolist() == pytest.approx([float(change[-1])] * 5)
    assert float(change[6] / change[-1]) == pytest.approx(share, abs=0.15)


def test_what_lies_outside_can_come_back_and_goes_no_further() -> None:
    size, most = (
        torch.tensor([-1.0, -1.0, 0.5, 3.0, 3.0], requires_grad=True),
        torch.full((5,), 2.0),
    )
    (between(size, most) * torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])).sum().backward()
    assert size.grad is not None
    assert size.grad.tolist() == [0, -1, 1, 1, 0]


def test_it_begins_near_the_identity() -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(filters=16, blocks=1, norm="batch")
    output = EnhancementOutput(network, floor=-0.5, ramp=0.05, sign=-1)
    source = torch.rand(1, 1, 48, 48) * 2 - 1
    with torch.no_grad():
        change = (output(source) - source).abs().mean()
    assert 1e-3 < float(change) < 5e-2
