from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medcyclegan.config import parse_config
from medcyclegan.io import write_volume
from medcyclegan.train import train
from medcyclegan.volume import Volume


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a config, without an output: five patients a domain, of whom one is held out."""
    folder = tmp_path_factory.mktemp("volumes")
    for domain, level_hu in (("a", 150), ("b", 40)):
        for patient in range(5):
            noise = np.random.default_rng((level_hu, patient)).normal(level_hu, 20, (24, 24, 4))
            volume = Volume(noise.astype(np.int16), np.diag([2.0, 2.0, 5.0, 1.0]))
            write_volume(volume, folder / domain / f"{patient}.nii.gz")
    return {
        "domains": {key: {"name": key, "volumes": str(folder / key)} for key in "ab"},
        "slices": {"size": 16, "spacing_mm": 4.0},
        "model": {
            "kind": "cyclegan",
            "generator": {"kind": "resnet", "filters": 2, "blocks": 1},
            "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
        },
        "training": {
            "steps": 2,
            "batch_size": 2,
            "log_every": 1,
            "device": "cpu",
            "validation_fraction": 0.2,
        },
    }


@pytest.fixture(scope="session")
def trained(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that is finished."""
    config = parse_config(recipe | {"output": str(tmp_path_factory.mktemp("runs") / "first")})
    return train(config, say=lambda line: None)
