from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medcyclegan.config.segmentation import LabelledFolder, load_protocol
from medcyclegan.errors import ConfigError, InputError
from medcyclegan.proof import jobs, scores
from medcyclegan.proof.protocol import run_protocol

SMALL = [
    "data={kind: phantom, labelled: 2, unpaired: 2, validation: 1, test_in: 2, test_out: 2, "
    "size: 32, slices: 4}",
    "network={kind: unet_2d, size: 32, spacing_mm: 12, filters: 2, levels: 2}",
    "translation={config: demo.yaml, seeds: [0], overrides: [training.steps=2, slices.size=32, "
    "model.generator.filters=2, model.discriminator.filters=2, model.generator.blocks=1, "
    "model.discriminator.layers=2]}",
    "training={seeds: [0, 1], steps: 1, most_steps: 2, batch_size: 2, tolerance: 0.000001}",
    "statistics.resamples=100",
    "workers=1",
]


def small(out: Path, *more: str) -> list[str]:
    return [*SMALL, f"output={out}", *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of all arms, made small."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDCYCLEGAN_CACHE", str(cache))
        lines: list[str] = []
        out = tmp_path_factory.mktemp("protocol") / "out"
        assert run_protocol("phantom.yaml", small(out), say=lines.append) == out
        (out / "said.txt").write_text("\n".join(lines))
    return out


def test_every_arm_is_trained_with_its_seeds_and_tested(finished: Path) -> None:
    result = json.loads((finished / "results.json").read_bytes())
    assert list(result["arms"]) == load_protocol("phantom.yaml").arms
    assert {arm: found["trainings"] for arm, found in result["arms"].items()} == dict.fromkeys(
        result["arms"], 2
    )
    records = sorted((finished / "arms").rglob("*.json"))
    assert len(records) == 2 * len(result["arms"])
    for path in records:
        record = json.loads(path.read_bytes())
        assert set(record["validation"]) == {"1", "2"}
        assert record["tested_at"] == 2
        assert {domain: len(found) for domain, found in record["test"].items()} == {
            "in": 2,
            "out": 2,
        }
    names = {path.name for path in (finished / "arms" / "cyclegan_offline").iterdir()}
    assert names == {"t0-s0.json", "t0-s1.json"}  # weights are gone
    names = {path.name for path in (finished / "arms" / "strong").iterdir()}
    assert names == {"s0.json", "s1.json"}


def test_steps_are_doubled_to_the_cap_and_the_cap_is_owned_up_to(finished: Path) -> None:
    result = json.loads((finished / "results.json").read_bytes())
    assert (result["steps"], result["settled"]) == (2, False)
    assert [one["steps"] for one in result["rounds"]] == [1, 2]
    change = result["rounds"][1]["change"]["standard"]["out"]
    dice = [one["dice"]["standard"]["out"] for one in result["rounds"]]
    assert change == pytest.approx(dice[1] - dice[0])
    assert "NOT settled" in (finished / "table.txt").read_text()
    assert "NOT settled" in (finished / "report.html").read_text()


def test_tables_hold_every_arm_and_time(finished: Path) -> None:
    result = json.loads((finished / "results.json").read_bytes())
    text, markdown = ((finished / name).read_text() for name in ("table.txt", "table.md"))
    for found in result["arms"].values():
        assert text.count(found["title"]) >= 5
        assert f"| {found['title']} |" in markdown
        assert found["cpu_seconds"] > 0
    assert "translation t0" in result["cpu_seconds"]
    assert "Mean over organs" in (finished / "said.txt").read_text()


def test_a_finished_protocol_is_only_compared_anew(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train_segmentation", "train", "predict"):
        monkeypatch.setattr(jobs, name, None, raising=True)
    before = json.loads((finished / "results.json").read_bytes())
    again = small(finished, "statistics.margin=0.3")
    run_protocol("phantom.yaml", again, resume=True, say=lambda line: None)
    after = json.loads((finished / "results.json").read_bytes())
    assert after["margin"] == 0.3
    assert after["arms"]["oracle"]["out"] == before["arms"]["oracle"]["out"]


def test_a_stopped_protocol_goes_on_to_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = "arms=[nothing, standard]"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    said: list[str] = []
    run_protocol("phantom.yaml", small(whole, arms), resume=True, say=said.append)
    assert said[0] == f"{whole}: nothing to resume; beginning anew"
    original = scores.mean_dice
    calls: list[int] = []

    def interrupted(*given: object) -> float:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "mean_dice", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_protocol("phantom.yaml", small(parts, arms), say=lambda line: None)
    assert not (parts / "results.json").exists()
    said.clear()
    run_protocol("phantom.yaml", small(parts, arms), resume=True, say=said.append)
    assert "nothing to resume" not in said[0]
    assert len(calls) == 18  # of 16, those of the network that was being looked at were made twice
    figures = [
        json.loads((out / "results.json").read_bytes())["arms"]["standard"]["out"]
        for out in (whole, parts)
    ]
    assert figures[0] == figures[1]


def test_training_ends_once_twice_the_steps_change_little(tmp_path: Path) -> None:
    lazy = ["training.tolerance=1.0", "training.most_steps=64", "arms=[standard]"]
    out = run_protocol("phantom.yaml", small(tmp_path / "out", *lazy), say=lambda line: None)
    result = json.loads((out / "results.json").read_bytes())
    assert (result["steps"], result["settled"]) == (2, True)
    assert "the last doubling changed no arm's mean Dice" in (out / "table.txt").read_text()


def test_folders_and_configs_that_do_not_fit_are_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already; go on with --resume"):
        run_protocol("phantom.yaml", small(finished))
    with pytest.raises(ConfigError, match="--resume with another 'training'"):
        run_protocol("phantom.yaml", small(finished, "training.steps=2"), resume=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other things than a protocol"):
        run_protocol("phantom.yaml", small(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_volume_network_and_the_users_own_files(
    write_scans: Callable[..., LabelledFolder], tmp_path: Path
) -> None:
    folders = {
        name: write_scans(name, domain, 2)
        for name, domain in {
            "labelled": "contrast",
            "unpaired": "noncontrast",
            "validation": "contrast",
            "test_in": "contrast",
            "test_out": "noncontrast",
        }.items()
    }
    data = ", ".join(
        f"{name}: {{images: {folder.images}, labels: {folder.labels}}}"
        for name, folder in folders.items()
    )
    out = tmp_path / "out"
    changes = [
        f"data={{kind: files, {data}, twins: {tmp_path / 'labelled' / 'twins'}, "
        "organs: {liver: [1], spleen: [2]}}",
        "network={kind: unet_3d, size: 32, slices: 32, spacing_mm: 12, slice_mm: 10, filters: 2, "
        "levels: 2, residual_units: 1}",
        "arms=[standard, cyclegan_on_the_fly, label_shift, oracle]",
        "training.seeds=[0]",
        "training.most_steps=1",
    ]
    run_protocol("phantom.yaml", small(out, *changes), say=lambda line: None)
    result = json.loads((out / "results.json").read_bytes())
    assert result["organs"] == ["liver", "spleen"]
    assert set(result["rounds"][0]["dice"]["oracle"]) == {"in"}
    assert 0 <= result["arms"]["oracle"]["out"]["mean"]["dice"]["value"] <= 1
    assert "never doubled" in (out / "table.txt").read_text()
