"""Training that starts from another run's weights takes all of them, and nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from medcyclegan.config import Config, parse_config
from medcyclegan.errors import CheckpointError
from medcyclegan.intensity import Window
from medcyclegan.models import make_model
from medcyclegan.models.artefact import load_model
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.image_pool import ImagePool
from medcyclegan.train import train
from medcyclegan.train.starting import start_from
from medcyclegan.training.checkpoint import load_newest, save_checkpoint


def quiet(line: str) -> None:
    """Say nothing."""


def config_of(recipe: dict[str, Any], section: str = "training", **changed: Any) -> Config:
    return parse_config(recipe | {"output": "unused", section: recipe[section] | changed})


def fresh(config: Config) -> CycleGAN:
    torch.manual_seed(1)
    model = make_model(config.model, config.slices.neighbors)
    assert isinstance(model, CycleGAN)
    return model


def images(model: CycleGAN) -> int:
    return sum(len(pool.images) for pool in model.pools.values() if isinstance(pool, ImagePool))


def test_all_networks_come_from_a_run_and_no_image(recipe: dict[str, Any], trained: Path) -> None:
    config, said = config_of(recipe), list[str]()
    model = fresh(config)
    start_from(trained, model, config, say=said.append)
    assert said == [f"{trained}: starting from its weights after 2 steps"]
    found = load_newest(trained / "checkpoints", quiet)
    assert found is not None
    assert found[1]["model"]["pools.a._extra_state"]["images"]
    for name, weight in model.named_parameters():
        assert torch.equal(weight, found[1]["model"][name]), name
    assert images(model) == 0


def test_generators_alone_come_from_a_model(recipe: dict[str, Any], trained: Path) -> None:
    config, said = config_of(recipe), list[str]()
    model = fresh(config)
    before = {name: x.clone() for name, x in model.discriminators.state_dict().items()}
    start_from(trained / "model", model, config, say=said.append)
    assert said == [
        f"{trained / 'model'}: starting from its generators; the discriminators begin anew"
    ]
    best, _, _ = load_model(trained / "model")
    for name, weight in model.generators.state_dict().items():
        assert torch.equal(weight, best.generators.state_dict()[name]), name
    for name, weight in model.discriminators.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_training_and_its_average_begin_there(
    recipe: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    still = {"steps": 1, "learning_rate": 1e-9, "ema": 0.9, "init_from": str(trained)}
    config = parse_config(
        recipe | {"output": str(tmp_path / "run"), "training": recipe["training"] | still}
    )
    train(config, say=quiet)
    before, _, _ = load_model(trained / "model-last")
    after, _, _ = load_model(tmp_path / "run" / "model-last")
    for name, weight in after.generators.state_dict().items():
        torch.testing.assert_close(weight, before.generators.state_dict()[name], atol=1e-6, rtol=0)


def test_a_resumed_run_goes_on_where_it_was(
    recipe: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    shutil.copytree(trained, first)
    options = recipe | {"output": str(tmp_path / "run")}
    options["training"] = recipe["training"] | {"steps": 1, "init_from": str(first)}
    train(parse_config(options), say=quiet)
    shutil.rmtree(first)
    options["training"] |= {"steps": 2}
    said: list[str] = []
    train(parse_config(options), resume=True, say=said.append)
    assert f"{tmp_path / 'run'}: going on from step 1" in said
    assert not any("starting from" in line for line in said)


@pytest.mark.parametrize("from_model", [False, True])
@pytest.mark.parametrize(
    ("section", "changed"),
    [("window", {"low_hu": -100, "high_hu": 500}), ("slices", {"spacing_mm": 2.0})],
)
def test_networks_that_saw_something_else_are_warned_of(
    recipe: dict[str, Any], trained: Path, section: str, changed: dict[str, Any], from_model: bool
) -> None:
    config = config_of(recipe | {"window": {}}, section, **changed)
    said: list[str] = []
    start_from(trained / "model" if from_model else trained, fresh(config), config, say=said.append)
    assert "saw another window, views, spacing_mm or neighbors" in said[0]


@pytest.mark.parametrize("of", ["run", "model"])
def test_other_networks_are_refused(recipe: dict[str, Any], trained: Path, of: str) -> None:
    generator = {"kind": "resnet", "filters": 4, "blocks": 1}
    config = config_of(recipe, "model", generator=generator)
    path = trained if of == "run" else trained / "model"
    line = f"^training.init_from: {re.escape(str(path))}: holds other networks"
    with pytest.raises(CheckpointError, match=line):
        start_from(path, fresh(config), config, say=quiet)


@pytest.mark.parametrize("state", [{"format": 1, "model": {}}, {}, [1]])
def test_checkpoints_of_another_version_are_refused(
    recipe: dict[str, Any], tmp_path: Path, state: Any
) -> None:
    save_checkpoint(tmp_path / "checkpoints", 3, state)
    config = config_of(recipe)
    with pytest.raises(CheckpointError, match=r"init_from: .*another version"):
        start_from(tmp_path, fresh(config), config, say=quiet)


def test_a_damaged_model_is_refused_by_the_key(
    recipe: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "model", tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x")
    config = config_of(recipe)
    with pytest.raises(CheckpointError, match=r"^training.init_from: .*model.safetensors: "):
        start_from(tmp_path / "model", fresh(config), config, say=quiet)


@pytest.mark.parametrize("what", ["missing", "text", "empty"])
def test_what_is_no_run_is_refused_before_anything_is_read(
    recipe: dict[str, Any], tmp_path: Path, what: str
) -> None:
    (tmp_path / "text").write_text("x")
    (tmp_path / "empty").mkdir()
    there = {"domains": {key: {"name": key, "volumes": "nowhere"} for key in "ab"}}
    options = recipe | there | {"output": str(tmp_path / "run")}
    options["training"] = recipe["training"] | {"init_from": str(tmp_path / what)}
    with pytest.raises(CheckpointError, match=rf"init_from: .*{what}: no run with a checkpoint"):
        train(parse_config(options), say=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("from_model", [False, True])
def test_networks_that_saw_another_view_are_warned_of(
    recipe: dict[str, Any], tmp_path: Path, from_model: bool
) -> None:
    def viewing(high_hu: float) -> Config:
        return config_of(recipe, "model", views=[{"low_hu": 0, "high_hu": high_hu}])

    run = train(viewing(100).model_copy(update={"output": str(tmp_path / "run")}), say=quiet)
    for high_hu, warned in ((100, False), (90, True)):
        config, said = viewing(high_hu), list[str]()
        model = make_model(config.model, config.slices.neighbors, Window(-200.0, 600.0))
        start_from(run / "model" if from_model else run, model, config, say=said.append)
        assert any("saw another window, views" in line for line in said) is warned
