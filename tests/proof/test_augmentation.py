from __future__ import annotations

import pytest
import torch

from medcyclegan.proof.augmentation import INTENSITIES, move


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(size: int = 64) -> torch.Tensor:
    """Two slices with a disc off the centre, 1 inside."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (((x - 24) ** 2 + (y - 36) ** 2) < 12**2).float().expand(4, 2, size, size)


def test_images_and_labels_move_together() -> None:
    labels = disc().long()
    hu, moved = move(disc() * 1100 - 1000, labels, generator())
    assert moved.dtype == torch.int64
    assert set(moved.unique().tolist()) == {0, 1}
    agreeing = ((hu > -450) == (moved == 1)).float().mean()
    assert agreeing > 0.995
    assert torch.equal(moved[:, 0], moved[:, 1])  # one movement for all slices of a sample
    assert not torch.equal(moved[0], moved[1])  # another for each sample
    assert not torch.equal(moved, labels)


def test_air_comes_in_from_outside() -> None:
    hu, labels = move(
        torch.full((8, 1, 32, 32), 40.0), torch.ones(8, 1, 32, 32).long(), generator()
    )
    assert hu.min() == pytest.approx(-1000, abs=1)
    assert hu.max() == pytest.approx(40, abs=1)
    assert (labels[hu < -990] == 0).all()


def test_nothing_is_mirrored() -> None:
    left = torch.zeros(32, 1, 64, 64)
    left[..., :32] = 1
    _, moved = move(left, left.long(), generator(3))
    halves = moved[..., :32].sum((1, 2, 3)), moved[..., 32:].sum((1, 2, 3))
    assert (halves[0] > 3 * halves[1]).all()


@pytest.mark.parametrize("name", INTENSITIES)
@pytest.mark.parametrize("shape", [(6, 1, 32, 32), (3, 1, 8, 32, 32)])
def test_intensity_changes_stay_in_range_and_repeat(name: str, shape: tuple[int, ...]) -> None:
    unit = torch.rand(shape, generator=generator(1)) * 2 - 1
    change = INTENSITIES[name]
    made = change(unit, generator(2))
    assert made.shape == unit.shape
    assert made.min() >= -1
    assert made.max() <= 1
    assert torch.equal(made, change(unit, generator(2)))
    assert not torch.equal(made, change(unit, generator(3)))


def test_strong_changes_more_than_mild_and_turns_greys_upside_down() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(200, 1, 64, 64)
    mild, strong = (INTENSITIES[name](ramp, generator(4)) for name in ("mild", "strong"))
    assert (mild - ramp).abs().mean() < 0.05
    assert (strong - ramp).abs().mean() > 0.2
    rises = strong[..., 48:].mean((1, 2, 3)) - strong[..., :16].mean((1, 2, 3))
    assert 0.1 < (rises < 0).float().mean() < 0.4
    assert (mild[..., 48:].mean((1, 2, 3)) > mild[..., :16].mean((1, 2, 3))).all()
