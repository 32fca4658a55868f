from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.config import (
    Config,
    TableConfig,
    load_config,
    parse_config,
    parse_model,
    shipped_configs,
)
from medcyclegan.config.cyclegan import DomainWeights
from medcyclegan.config.networks import ResnetConfig, UnetConfig
from medcyclegan.errors import ConfigError

MINIMAL: dict[str, Any] = {
    "domains": {
        "a": {"name": "contrast", "volumes": "data/a"},
        "b": {"name": "noncontrast", "volumes": ["data/b", "more/*.nii.gz"]},
    },
    "output": "runs/x",
}


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "ct.yaml"
    path.write_text(yaml.safe_dump(MINIMAL, sort_keys=False))
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configs_parse_and_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    resolved = tmp_path / "config.yaml"
    resolved.write_text(config.to_yaml())
    assert load_config(resolved) == config
    demo = name == "demo.yaml"  # its paths are those that the demo writes
    assert config.output == ("medcyclegan-demo/run" if demo else f"runs/{Path(name).stem}")


def test_the_contracts_example_is_shipped() -> None:
    config = load_config("ct_contrast.yaml")
    assert (config.domains.a.name, config.domains.b.name) == ("contrast", "noncontrast")
    assert (config.window.low_hu, config.window.high_hu) == (-200, 600)
    assert (config.slices.size, config.slices.spacing_mm, config.slices.neighbors) == (256, 1.5, 1)
    assert (config.model.output, config.model.generator.kind) == ("enhancement", "light")
    assert config.model.lambda_cycle == DomainWeights(a=0.5, b=10.0)
    assert config.model.lambda_change == DomainWeights(a=0.0, b=1.0)
    assert (config.model.lambda_identity, config.model.enough) == (1, 0.33)
    assert (config.model.doses, config.model.cycle_noise_hu) == ((0.3, 4.0), 20)
    assert (config.model.pasted, config.model.balanced) == (0.5, True)
    assert (config.training.steps, config.training.batch_size) == (100_000, 4)
    assert (config.training.learning_rate, config.training.ema) == (1e-3, 0.998)


def test_the_two_recipes_differ_in_size_width_depth_and_steps_alone() -> None:
    large, small = (load_config(f"ct_contrast{name}.yaml").model_dump() for name in ("", "_small"))
    for config in (large, small):
        del config["output"], config["slices"]["size"], config["slices"]["spacing_mm"]
        del config["model"]["generator"]["filters"], config["model"]["generator"]["blocks"]
        del config["model"]["discriminator"]["filters"]
        del config["training"]["steps"]
    assert large == small


def test_a_config_of_the_working_directory_goes_before_a_shipped_one(
    minimal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(minimal.parent)
    assert load_config("ct_contrast.yaml").output == "runs/ct_contrast"
    minimal.rename(minimal.with_name("ct_contrast.yaml"))
    assert load_config("ct_contrast.yaml").output == "runs/x"


def test_a_config_that_is_nowhere_names_those_shipped(tmp_path: Path) -> None:
    message = refused(Path("ct_contrst.yaml"))
    assert message.startswith("ct_contrst.yaml: no such config (did you mean 'ct_contrast.yaml'?)")
    assert "cyclegan_2017.yaml" in message
    assert "is no file" in refused(tmp_path)
    assert "no such config" in refused(tmp_path / ("x" * 300))


def test_defaults_fill_what_is_left_out() -> None:
    config = parse_config(MINIMAL)
    assert config.domains.b.volumes == ["data/b", "more/*.nii.gz"]
    assert config.model.generator == ResnetConfig()
    assert config.training.seed == 0
    assert config.slices.spacing_mm == 1.5


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.stpes=3", "--set training.stpes: unknown key (did you mean 'steps'?)"),
        ("steps=3", "--set steps: unknown key (did you mean 'training.steps'?)"),
        ("domains.c.name=x", "--set domains.c.name: domains.c: unknown key; known here: a, b"),
        ("training.steps='3'", "--set training.steps: must be a whole number, got '3'"),
        ("training.steps=true", "--set training.steps: must be a whole number, got true"),
        ("training.steps=1.5", "--set training.steps: must be a whole number, got 1.5"),
        ("training.steps=0", "--set training.steps: must be at least 1, got 0"),
        ("training.seed=010", "--set training.seed: must be a whole number, got '010'"),
        ("training.learning_rate=yes", "must be a number, got true"),
        ("training.learning_rate=0", "must be above 0, got 0"),
        ("training.learning_rate=.inf", "must be a number, got '.inf'"),
        ("training.ema=1", "must be below 1, got 1"),
        ("training.device=gpu", "must be text like (auto|cpu|mps|cuda(:[0-9]+)?), got 'gpu'"),
        ("training=[1]", "--set training: must be a section (keys and values), got a list"),
        ("model.generator=resnet", "must be a section (keys and values), got 'resnet'"),
        (
            "model.generator.kind=unett",
            "--set model.generator.kind: must be 'resnet' or 'unet' or 'light'",
        ),
        ("model.generator.kind=unett", "(did you mean 'unet'?)"),
        ("model.generator.kind=[1]", "must be 'resnet' or 'unet' or 'light', got a list"),
        ("model.output=residul", "got 'residul' (did you mean 'residual'?)"),
        ("model.lambda_cycle=abc", "must be a number or {a: NUMBER, b: NUMBER}"),
        ("model.lambda_cycle={a: 1}", "model.lambda_cycle.b: is missing"),
        ("model.lambda_cycle=-1", "must be at least 0, got -1"),
        ("slices.neighbors=2", "must be odd"),
        ("slices.size=66", "--set slices.size: 66 does not fit the networks"),
        ("slices.size=16", "a multiple of 4 from 24: try 24"),
        ("window.low_hu=700", "--set window.low_hu: window: low_hu 700 must be below high_hu 600"),
        ("model.views=[{low_hu: 2, high_hu: 1}]", "low_hu 2 must be 10 or more below high_hu 1"),
        ("model.views=[{low_hu: 0, high_hu: 1e-9}]", "low_hu 0 must be 10 or more below"),
        (
            "model.views=[{low_hu: 0}]",
            "--set model.views: model.views.0.high_hu: is missing",
        ),
        ("model.pasted=0.01", "model.pasted: must be 0, or 0.05 to 0.95"),
        ("model.pasted=1", "model.pasted: must be 0, or 0.05 to 0.95"),
        ("model={pasted: 0.5, lambda_identity: 0}", "pasted images are for the identity loss"),
        ("model.enough=0", "model.enough: must be above 0, got 0"),
        ("model.doses=[2, 4]", "model.doses: must be [LOW, HIGH], 0.1 <= LOW <= 1 <= HIGH <= 10"),
        ("model.cycle_noise_hu=-1", "model.cycle_noise_hu: must be at least 0, got -1"),
        ("model.enhanced=c", "model.enhanced: must be 'a' or 'b'"),
        ("model.views=wide", "--set model.views: must be a list, got 'wide'"),
        ("model.views=[{low_hu: -200, high_hu: 600}]", "is no narrower part of the window"),
        ("model.views=[{low: 2}]", "model.views.0.low: unknown key (did you mean 'low_hu'?)"),
        (
            "model.views=[{low_hu: 600, high_hu: 900}]",
            "--set model.views: 600 to 900 HU is no narrower part of the window, -200 to 600",
        ),
        ("training.accumulate=3", "--set training.accumulate: batch_size 4 is shared out by"),
        ("training.devices=1000", "--set training.devices: batch_size 4 is shared out by"),
        ("training={batch_size: 8, accumulate: 2, devices: 8}", "use a multiple of 16"),
        ("training={batch_size: 8, accumulate: 2, nodes: 3}", "use a multiple of 6"),
        ("domains.a.name=noncontrast", "a and b are both named 'noncontrast'"),
        ("domains.a.name=Con Trast", "must be text like [a-z0-9_-]+, got 'Con Trast'"),
        (
            "domains.a.volumes=[]",
            "must be a path (file, folder or glob), {csv: FILE, ...}, or a list",
        ),
        (
            "domains.a.volumes=[1]",
            "must be a path (file, folder or glob), {csv: FILE, ...}, or a list",
        ),
        ('domains.a.volumes="a\\0b"', "holds a NUL character"),
        ("domains.a.volumes=[a, [b]]", "domains.a.volumes.1: must be a path (file, folder"),
        ("domains.a.volumes=[a, '']", "domains.a.volumes.1: must be a path (file, folder"),
        ("domains.a.volumes={}", "domains.a.volumes.csv: is missing"),
        (
            "domains.a.volumes={csv: x, colunm: p}",
            "domains.a.volumes.colunm: unknown key (did you mean 'column'?)",
        ),
        ("domains.a.volumes=[y, {csv: x, z: 1}]", "domains.a.volumes.1.z: unknown key; known here"),
        ("domains.a.volumes={csv: 3}", "domains.a.volumes.csv: must be a path"),
        ("domains.a.volumes={csv: x, column: ''}", "must be text that is not empty, got ''"),
        ("domains.a.volumes={csv: x, patient: 3}", "must be text, got 3"),
        ("domains.a.volumes={csv: x, where: 3}", "must be a section: the name of a column"),
        ("domains.a.volumes={csv: x, where: {a: [[1]]}}", "column 'a': must be text, a number"),
        ("domains.a.volumes={csv: x, where: {a: []}}", "column 'a': must be text, a number"),
        ("reading.split4d=true", "unknown key (did you mean 'split_4d'?)"),
        ("slices.match_position=maybe", "must be true or false, got 'maybe'"),
        ("output=", "--set output: must be a path"),
        ("output.x=1", "--set output.x: output: must be a path"),
        ("training.seed", "--set training.seed: write KEY=VALUE"),
        ("=3", "--set =3: write KEY=VALUE"),
        ("training..seed=3", "write KEY=VALUE"),
        ("training.seed=&x 3", "--set training.seed: has an anchor or alias"),
        ("training.seed=[", "--set training.seed: is no YAML"),
    ],
)
def test_overrides_that_are_refused(minimal: Path, override: str, expected: str) -> None:
    message = refused(minimal, override)
    assert message.startswith("--set")
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ouput: x", "ct.yaml:8: ouput: unknown key (did you mean 'output'?)"),
        ("training:\n  steps: 1\n  steeps: 2", "ct.yaml:10: training.steeps: unknown key"),
        ("training:\n  seed: x", "ct.yaml:9: training.seed: must be a whole number, got 'x'"),
        ("window: {low_hu: 5, high_hu: 5}", "ct.yaml:8: window: low_hu 5 must be below"),
        ("model: {kind: munit}", "ct.yaml:8: model.kind: must be 'cyclegan', got 'munit'"),
        ("<<: {training: 3}", "ct.yaml:8: <<: unknown key"),
    ],
)
def test_a_refusal_names_file_line_and_key(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "ct.yaml"
    path.write_text(
        "domains:\n  a:\n    name: x\n    volumes: x\n  b: {name: y, volumes: y}\n\n"
        f"output: z\n{text}\n"
    )
    assert f"{tmp_path}/{expected}" in refused(path)


def test_what_is_missing_is_put_down_to_its_section(tmp_path: Path) -> None:
    path = tmp_path / "ct.yaml"
    path.write_text("domains:\n  a: {name: x, volumes: x}\n  b: {name: y}\noutput: z\n")
    assert refused(path) == f"{path}:3: domains.b.volumes: is missing"
    path.write_text("")
    assert "is no config" in refused(path)
    with pytest.raises(ConfigError, match=r"^config: domains: is missing$"):
        parse_config({"output": "x"})


def test_rows_of_a_table_survive_the_round_trip(minimal: Path) -> None:
    where = "{phase: contrast, accepted: true, kvp: [120, 100.5]}"
    config = load_config(
        minimal,
        [
            f"domains.a.volumes={{csv: t.csv, column: p, where: {where}, patient: id, folder: f}}",
            "domains.b.volumes=[x, {csv: t.csv, series: uid}]",
        ],
    )
    assert config.domains.a.volumes == TableConfig(
        csv="t.csv",
        column="p",
        where={"phase": "contrast", "accepted": "true", "kvp": ["120", "100.5"]},
        patient="id",
        folder="f",
    )
    assert config.domains.b.volumes == ["x", TableConfig(csv="t.csv", series="uid")]
    minimal.write_text(config.to_yaml())
    assert load_config(minimal) == config


def test_a_table_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ct.yaml"
    path.write_text(
        "domains:\n  a:\n    name: x\n    volumes:\n      - y\n      - csv: t.csv\n"
        "        wher: {a: b}\n  b: {name: y, volumes: y}\noutput: z\n"
    )
    assert refused(path).startswith(f"{path}:7: domains.a.volumes.1.wher: unknown key (did you")


def test_positions_are_matched_unless_a_recipe_says_otherwise() -> None:
    assert load_config("ct_contrast.yaml").slices.match_position
    assert load_config("ct_contrast_small.yaml").slices.match_position
    assert not load_config("demo.yaml").slices.match_position
    assert not load_config("cyclegan_2017.yaml").slices.match_position


def test_numbers_that_yaml_reads_as_text(minimal: Path) -> None:
    training = load_config(
        minimal, ["training.learning_rate=2e-4", "training.steps=1e3", "slices.spacing_mm=2E0"]
    )
    assert training.training.learning_rate == 2e-4
    assert training.training.steps == 1000
    assert isinstance(training.training.steps, int)
    assert training.slices.spacing_mm == 2
    assert "must be text" in refused(minimal, "domains.a.name=7")


def test_numbers_are_finite() -> None:
    for value in (float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=r"^config: slices.spacing_mm: must be a finite"):
            parse_config(MINIMAL | {"slices": {"spacing_mm": value}})


def test_another_kind_of_generator(minimal: Path) -> None:
    config = load_config(minimal, ["model.generator.kind=unet", "model.generator.depth=3"])
    assert config.model.generator == UnetConfig(depth=3)
    assert load_config(minimal, ["model.generator.filters=8"]).model.generator == ResnetConfig(
        filters=8
    )
    message = refused(Path("ct_contrast.yaml"), "model.generator.kind=unet")
    assert "model.generator.blocks: does not belong to kind 'unet'" in message
    assert "set model.generator={kind: unet}" in message
    whole = load_config("ct_contrast.yaml", ["model.generator={kind: unet}"])
    assert whole.model.generator == UnetConfig()


def test_a_unet_needs_a_multiple_of_its_depth(minimal: Path) -> None:
    unet = "model.generator={kind: unet, depth: 5}"
    assert load_config(minimal, [unet, "slices.size=96"]).slices.size == 96
    assert "a multiple of 32 from 64: try 64" in refused(minimal, unet, "slices.size=80")


def test_later_overrides_win(minimal: Path) -> None:
    config = load_config(minimal, ["training={steps: 5, seed: 7}", "training.steps=9"])
    assert (config.training.steps, config.training.seed) == (9, 7)
    assert "--set training.seed:" in refused(minimal, "training.seed=1", "training.seed=x")


def test_values_do_not_change_afterwards() -> None:
    config = parse_config(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.training.steps = 3  # type: ignore[misc]  # what is shown to be impossible


@given(
    steps=st.integers(1, 10**9),
    rate=st.floats(1e-8, 1.0, exclude_min=True),
    low=st.floats(-1000, 0),
    cycle=st.floats(0, 100),
    neighbors=st.integers(0, 5),
    output=st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), min_size=1),
)
def test_any_config_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    steps: int,
    rate: float,
    low: float,
    cycle: float,
    neighbors: int,
    output: str,
) -> None:
    config = parse_config(
        MINIMAL
        | {
            "training": {"steps": steps, "learning_rate": rate},
            "window": {"low_hu": low, "high_hu": 300},
            "model": {"lambda_cycle": cycle},
            "slices": {"neighbors": 2 * neighbors + 1, "spacing_mm": None},
            "output": output,
        }
    )
    path = tmp_path_factory.mktemp("round") / "config.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(path) == config


def test_the_model_section_alone() -> None:
    model = load_config("cyclegan_2017.yaml").model
    assert parse_model(model.model_dump(mode="json")) == model
    with pytest.raises(ConfigError, match=r"^config: model.outptu: unknown key \(did you mean"):
        parse_model({"outptu": "direct"})


def test_every_key_is_documented() -> None:
    schema = Config.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    undocumented = [
        f"{section['title']}.{key}"
        for section in sections
        for key, value in section["properties"].items()
        if key != "kind" and "description" not in value
    ]
    assert not undocumented


def test_reading_a_config_loads_no_torch() -> None:
    code = (
        "import sys; from medcyclegan.config import load_config; load_config('ct_contrast.yaml');"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
