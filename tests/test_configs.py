"""Each shipped config parses, is built as it is shipped, and trains when made small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medcyclegan.config import load_config, shipped_configs
from medcyclegan.intensity import Window
from medcyclegan.io import write_volume
from medcyclegan.models import make_model
from medcyclegan.train import train
from medcyclegan.volume import Volume

CONFIGS = sorted(path.name for path in (Path(__file__).parents[1] / "configs").glob("*.yaml"))
SMALL = [
    "slices.size=64",
    "training.steps=2",
    "training.batch_size=1",
    "training.device=cpu",
    "training.log_every=1",
    "model.discriminator.filters=2",
    "model.generator.filters=2",
]


def test_all_are_shipped() -> None:
    assert sorted(shipped_configs()) == CONFIGS
    assert {"ct_contrast.yaml", "ct_contrast_small.yaml"} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_built_as_shipped(name: str, repository: Path) -> None:
    config = load_config(repository / "configs" / name)
    with torch.device("meta"):
        window = Window(config.window.low_hu, config.window.high_hu)
        model = make_model(config.model, config.slices.neighbors, window)
        shape = (config.training.batch_size, config.slices.neighbors, *[config.slices.size] * 2)
        stacks = torch.empty(shape)
        translated = model.translate(stacks, "a_to_b")
        scores = model.discriminators["b"](stacks)
    assert translated.shape == (shape[0], 1, *shape[2:])
    assert scores.shape[-1] > 1
    assert config.slices.size % model.multiple == 0


@pytest.mark.parametrize("name", CONFIGS)
def test_it_trains_two_steps_made_small(name: str, repository: Path, tmp_path: Path) -> None:
    for domain, level_hu in (("a", 160), ("b", 50)):
        y, x = np.mgrid[-1:1:40j, -1:1:40j]
        noise = np.random.default_rng(level_hu).normal(0, 20, (40, 40, 3))
        array = np.where((x**2 + y**2 < 0.7)[..., None], level_hu + noise, -1000)
        volume = Volume(array.astype(np.int16), np.diag([3.0, 3.0, 5.0, 1.0]))
        write_volume(volume, tmp_path / domain / "ct.nii.gz")
    path = repository / "configs" / name
    deep = hasattr(load_config(path).model.generator, "blocks")
    blocks = ["model.generator.blocks=1"] if deep else []
    config = load_config(
        path,
        [
            *SMALL,
            *blocks,
            f"domains.a.volumes={tmp_path / 'a'}",
            f"domains.b.volumes={tmp_path / 'b'}",
            f"output={tmp_path / 'run'}",
        ],
    )
    folder = train(config, say=lambda line: None)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert (folder / "model/model.safetensors").stat().st_size > 0
