from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from medcyclegan.config import shipped_configs
from medcyclegan.config.segmentation import (
    FOLDER,
    FilesData,
    ProtocolConfig,
    decisive,
    load_protocol,
    seeds_of,
)
from medcyclegan.config.segmentation_networks import Unet2dConfig, Unet3dConfig
from medcyclegan.errors import ConfigError
from medcyclegan.proof.arms import ARMS

SHIPPED = sorted(
    path.name for path in (Path(__file__).parents[2] / "configs" / FOLDER).glob("*.yaml")
)


def test_all_are_shipped_apart_from_those_for_training() -> None:
    assert sorted(shipped_configs(FOLDER)) == SHIPPED
    assert "phantom.yaml" in SHIPPED
    assert not set(SHIPPED) & set(shipped_configs())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_config_says_all_and_loads_again(name: str, tmp_path: Path) -> None:
    config = load_protocol(name)
    (tmp_path / "resolved.yaml").write_text(config.to_yaml())
    assert load_protocol(tmp_path / "resolved.yaml") == config


def test_the_phantom_config_runs_every_arm() -> None:
    config = load_protocol("phantom.yaml")
    assert config.arms == list(ARMS)
    assert isinstance(config.network, Unet2dConfig)
    assert len(config.translation.seeds) >= 2
    assert len(config.training.seeds) >= 2


def test_the_config_for_ones_own_scans_is_3d() -> None:
    config = load_protocol("files_3d.yaml")
    assert isinstance(config.network, Unet3dConfig)
    assert isinstance(config.data, FilesData)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("arms=[oracle]", "arms must name `standard`, and none twice"),
        ("arms=[standard, standard]", "arms must name `standard`, and none twice"),
        ("arms=[standard, cyclegan]", "must be 'nothing', 'standard'"),
        ("training.seeds=[0, 0]", "seeds must differ"),
        ("training.most_steps=10", "most_steps 10 must be at least steps 200"),
        ("translation.runs=[a, b, c]", "runs: 3 for 2 seeds"),
        ("translation.strength=[1, 0.5]", "two numbers that grow"),
        ("network.size=100", "multiple"),
        ("training.stepz=1", "did you mean 'steps'"),
        ("data.kind=real", "'phantom' or 'files'"),
        ("network={kind: unet_3d, size: 96, slices: 33}", "multiple"),
        ("output=null", "must be a path"),
    ],
)
def test_what_cannot_be_is_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_protocol("phantom.yaml", [change])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("[standard, oracle]", "the arm `oracle` needs data.twins"),
        ("[standard, label_shift]", "the arm `label_shift` needs data.unpaired.labels"),
    ],
)
def test_arms_that_files_cannot_feed_are_refused(arms: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_protocol("files_3d.yaml", [f"arms={arms}"])


def test_an_organ_shares_no_value_with_another() -> None:
    with pytest.raises(ConfigError, match="each organ needs label values of its own"):
        load_protocol("files_3d.yaml", ["data.organs={liver: [1], spleen: [1]}"])


def test_a_config_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"phantm\.yaml: no such config \(did you mean 'phantom"):
        load_protocol("phantm.yaml")


def test_arms_with_translations_are_trained_for_each_of_their_seeds() -> None:
    config = load_protocol("phantom.yaml")
    assert seeds_of("strong", config) == [(None, 0), (None, 1)]
    assert seeds_of("cyclegan_strong", config) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_resumed_protocol_may_change_its_work_and_its_statistics_alone() -> None:
    base = load_protocol("phantom.yaml")
    for free in ("workers=1", "statistics.margin=0.1", "output=elsewhere", "arms=[standard]"):
        assert decisive(load_protocol("phantom.yaml", [free])) == decisive(base)
    assert decisive(load_protocol("phantom.yaml", ["data.seed=1"])) != decisive(base)


def test_the_yaml_holds_every_default() -> None:
    config = ProtocolConfig(output="out")
    shown = yaml.safe_load(config.to_yaml())  # noqa: TID251  # written by us
    assert shown["training"]["tolerance"] == 0.005
    assert shown["network"]["kind"] == "unet_2d"
