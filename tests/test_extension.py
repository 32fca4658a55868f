"""The acceptance test of the design: a new method needs no edit anywhere else."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import torch
from torch import Tensor, nn

from medcyclegan import Translator, Volume, Window, read_volume, write_volume
from medcyclegan.augment import augment
from medcyclegan.config import parse_config
from medcyclegan.domains import Direction, Pair
from medcyclegan.train import train


class Shift(nn.Module):
    """A generator that adds one number to each voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.zeros(()))

    def forward(self, slices: Tensor) -> Tensor:
        return (slices + self.amount).clamp(-1, 1)


class MeanMatcher(nn.Module):
    """A method that owes nothing to CycleGAN: match the mean, and let a critic tell means apart."""

    multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.generators = nn.ModuleDict({"a_to_b": Shift(), "b_to_a": Shift()})
        self.discriminators = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})

    def generator_losses(self, real: Pair[Tensor]) -> tuple[dict[str, Tensor], Pair[Tensor]]:
        fake = Pair(self.generators["b_to_a"](real.b), self.generators["a_to_b"](real.a))
        losses = {
            "mean_a": (fake.a.mean() - real.a.mean()).square(),
            "mean_b": (fake.b.mean() - real.b.mean()).square(),
        }
        return losses, fake

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> dict[str, Tensor]:
        a, b = self.discriminators["a"], self.discriminators["b"]
        return {
            "critic_a": (a(real.a.mean()[None]) - 1).square().sum()
            + a(fake.a.mean()[None]).square().sum(),
            "critic_b": (b(real.b.mean()[None]) - 1).square().sum()
            + b(fake.b.mean()[None]).square().sum(),
        }

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        middle = slices.shape[1] // 2
        translated: Tensor = self.generators[direction](slices[:, middle : middle + 1])
        return translated


def write_trunk(path: Path, level_hu: int) -> None:
    """Write a trunk of `level_hu` in air."""
    y, x = np.mgrid[-1:1:20j, -1:1:20j]
    noise = np.random.default_rng(level_hu).normal(0, 20, (20, 20, 4))
    array = np.where((x**2 + y**2 < 0.7)[..., None], level_hu + noise, -1000).astype(np.int16)
    write_volume(Volume(array, np.diag([-2.0, -2.0, 3.0, 1.0])), path)


def test_a_method_defined_here_is_trained_and_used(tmp_path: Path) -> None:
    for name, level_hu in (("a", 200), ("b", 40)):
        write_trunk(tmp_path / name / "ct.nii.gz", level_hu)
    config = parse_config(
        {
            "domains": {
                "a": {"name": "bright", "volumes": str(tmp_path / "a")},
                "b": {"name": "dark", "volumes": str(tmp_path / "b")},
            },
            "slices": {"size": 24, "spacing_mm": 2.0, "neighbors": 3},
            "training": {"steps": 2, "batch_size": 2, "learning_rate": 0.05, "device": "cpu"},
            "output": str(tmp_path / "run"),
        }
    )
    model = MeanMatcher()
    run = train(config, model=model, say=lambda line: None)
    amount = model.generators.get_parameter("a_to_b.amount").item()
    assert amount < 0  # down, from bright to dark

    translator = Translator(
        model,
        window=Window(config.window.low_hu, config.window.high_hu),
        spacing_mm=config.slices.spacing_mm,
        neighbors=config.slices.neighbors,
        domains=Pair("bright", "dark"),
    )
    summary = augment(tmp_path / "a", tmp_path / "out", translator=translator, say=lambda x: None)
    assert summary.written == [tmp_path / "out/ct_dark.nii.gz"]
    before = read_volume(tmp_path / "a/ct.nii.gz").array
    after = read_volume(summary.written[0]).array
    assert nibabel.Nifti1Image.from_filename(summary.written[0]).get_data_dtype() == np.int16
    trunk = before > 100
    change_hu = amount * (config.window.high_hu - config.window.low_hu) / 2
    assert np.abs(after[trunk] - before[trunk] - change_hu).max() <= 0.51
    assert np.array_equal(after[before < -200], before[before < -200])

    again = train(config, model=MeanMatcher(), resume=True, say=lambda line: None)
    assert again == run
