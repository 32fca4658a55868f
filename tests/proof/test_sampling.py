from __future__ import annotations

import numpy as np
import pytest
import torch

from medcyclegan.config.segmentation_networks import PatchNetwork, Unet2dConfig, Unet3dConfig
from medcyclegan.domains import Direction, Pair
from medcyclegan.intensity import Window
from medcyclegan.proof.arms import ARMS
from medcyclegan.proof.sampling import AIR_HU, OnTheFly, Sampler, cut
from medcyclegan.proof.training_sets import TrainingSet
from medcyclegan.translator import Translator

WINDOW = Window(-160, 300)
SLICES = Unet2dConfig(size=32)


class Darker(torch.nn.Module):
    """A model that subtracts the same from every voxel, and sees `neighbors` slices."""

    def __init__(self, unit: float, needs_equal_neighbors: bool = False) -> None:
        super().__init__()
        self.generators = torch.nn.ModuleDict()
        self.discriminators = torch.nn.ModuleDict()
        self.multiple = 1
        self.unit = unit
        self.rising = needs_equal_neighbors

    def translate(self, slices: torch.Tensor, direction: Direction) -> torch.Tensor:
        assert direction == "a_to_b"
        middle = slices[:, slices.shape[1] // 2][:, None]
        if self.rising:  # the change is the difference of the outer slices
            return middle + slices[:, -1:] - slices[:, :1]
        return middle - self.unit


def translator(model: torch.nn.Module, neighbors: int = 1) -> Translator:
    return Translator(
        model,  # type: ignore[arg-type]
        window=WINDOW,
        spacing_mm=None,
        neighbors=neighbors,
        domains=Pair("contrast", "noncontrast"),
    )


def data_of(shape: tuple[int, int, int] = (6, 40, 40), second: bool = True) -> TrainingSet:
    """Two patients whose HU name their slice; the second domain lies 50 HU lower."""
    images = [
        np.broadcast_to(np.arange(shape[0])[:, None, None] * 10 + 100 * n, shape).astype(np.int16)
        for n in range(2)
    ]
    labels = [(image >= 30).astype(np.uint8) for image in images]
    return TrainingSet(
        images, labels, [image - 50 for image in images] if second else [], [(5.0, 4.0, 4.0)] * 2
    )


def sampler(arm: str, network: PatchNetwork = SLICES, **options: object) -> Sampler:
    data = options.pop("data", data_of())
    return Sampler(
        data,  # type: ignore[arg-type]
        ARMS[arm],
        network,
        WINDOW,
        batch_size=8,
        seed=0,
        on_the_fly=options.pop("on_the_fly", None),  # type: ignore[arg-type]
    )


def test_without_augmentation_samples_are_the_scans_as_they_are() -> None:
    images, labels = sampler("nothing", data=data_of(second=False)).batch(0, 0)
    assert images.shape == labels.shape == (8, 1, 32, 32)
    hu = WINDOW.to_hu(images)
    seen = {round(float(image.unique())) for image in hu}
    assert seen <= {100 * n + 10 * s for n in range(2) for s in range(6)}
    assert len(seen) > 3
    assert torch.equal(labels, (hu >= 29.9).long())


def test_the_second_domain_draws_the_variant_under_the_same_labels() -> None:
    drawn = sampler("oracle")._sample(data_of().second, 0, np.random.default_rng(0))
    assert (drawn[0] + 50 >= 30).astype(np.uint8).tolist() == drawn[1].tolist()
    first, second = (sampler("oracle").batch(3, domain)[0].mean() for domain in (0, 1))
    assert first != second


def test_equal_seeds_draw_the_same_places_in_every_arm() -> None:
    labels = [sampler(arm).batch(5, 0)[1] for arm in ("standard", "strong", "oracle")]
    assert torch.equal(labels[0], labels[1])
    assert torch.equal(labels[0], labels[2])
    images = [sampler("strong").batch(step, 0)[0] for step in (5, 5, 6)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_on_the_fly_each_sample_gets_its_own_share_of_the_change() -> None:
    unit = 100 / WINDOW.width_hu * 2
    on_the_fly = OnTheFly(translator(Darker(unit)), "a_to_b", (0.25, 0.75))
    hu = torch.full((16, 1, 8, 8), 50.0)
    made = on_the_fly(hu, (5.0, 4.0, 4.0), torch.Generator().manual_seed(0))
    falls = (hu - made)[:, 0, 0, 0]
    assert falls.min() >= 25 - 1e-3
    assert falls.max() <= 75 + 1e-3
    assert falls.std() > 5
    assert ((hu - made) - falls[:, None, None, None]).abs().max() < 1e-3
    images, _ = sampler(
        "cyclegan_on_the_fly", data=data_of(second=False), on_the_fly=on_the_fly
    ).batch(0, 1)
    plain, _ = sampler(
        "cyclegan_on_the_fly", data=data_of(second=False), on_the_fly=on_the_fly
    ).batch(0, 0)
    assert images.shape == plain.shape


def test_a_model_of_stacks_sees_the_true_neighbours_of_a_slice() -> None:
    on_the_fly = OnTheFly(translator(Darker(0, True), neighbors=3), "a_to_b", (1.0, 1.0))
    arm = ARMS["cyclegan_on_the_fly"]._replace(moved=False, intensity="")
    made = Sampler(
        data_of(second=False), arm, SLICES, WINDOW, batch_size=32, seed=1, on_the_fly=on_the_fly
    )
    images, labels = made.batch(0, 1)
    hu = WINDOW.to_hu(images)
    assert images.shape == labels.shape == (32, 1, 32, 32)
    sources = {(100 * n + 10 * s) for n in range(2) for s in range(6)}
    changes = {round(float(image.flatten()[0])) for image in hu}
    inner = {hu + 20 for hu in sources if hu % 100 not in {0, 50}}
    ends = {hu + 10 for hu in sources if hu % 100 in {0, 50}}
    assert changes <= inner | ends
    assert changes & inner
    assert changes & {10, 110}  # the lowest slices are drawn, too


def test_patches_of_volumes_hold_organs_more_often_than_chance() -> None:
    network = Unet3dConfig(kind="unet_3d", size=32, slices=32)
    labels = np.zeros((96, 96, 96), np.uint8)
    labels[80, 80, 80] = 1
    data = TrainingSet([labels.astype(np.int16)], [labels], [], [(1.5, 1.5, 1.5)])
    made = Sampler(data, ARMS["nothing"], network, WINDOW, batch_size=60, seed=0)
    images, organs = made.batch(0, 0)
    assert images.shape == organs.shape == (60, 1, 32, 32, 32)
    share = float((organs.amax((1, 2, 3, 4)) == 1).float().mean())
    assert 0.2 < share < 0.6


@pytest.mark.parametrize("start", [-3, 0, 5])
def test_a_patch_may_reach_beyond_the_scan(start: int) -> None:
    array = np.arange(4 * 6 * 6).reshape(4, 6, 6)
    patch = cut(array, (start, start, 0), (3, 8, 6), AIR_HU)
    assert patch.shape == (3, 8, 6)
    for s, r in np.ndindex(3, 8):
        row = start + r
        slice_ = min(max(start + s, 0), 3)
        expected = array[slice_, row] if 0 <= row < 6 else np.full(6, AIR_HU)
        np.testing.assert_array_equal(patch[s, r], expected)
