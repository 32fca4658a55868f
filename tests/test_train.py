from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
import yaml

from medcyclegan.config import Config, load_config, parse_config
from medcyclegan.data.cache import entries, slices_folder
from medcyclegan.data.store import StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.errors import ConfigError, InputError, Interrupted
from medcyclegan.files import locked
from medcyclegan.intensity import Window
from medcyclegan.io import write_volume
from medcyclegan.models import TranslationModel
from medcyclegan.models.artefact import load_model
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.networks import Viewed
from medcyclegan.train import train
from medcyclegan.volume import Volume


def quiet(line: str) -> None:
    """Say nothing."""


def write_domain(folder: Path, level_hu: float, count: int) -> Path:
    """Write `count` patients: a trunk of `level_hu` with noise, in air."""
    y, x = np.mgrid[-1:1:24j, -1:1:28j]
    for patient in range(count):
        noise = np.random.default_rng((patient, int(level_hu))).normal(0, 15, (24, 28, 3))
        array = np.where((x**2 + y**2 < 0.6)[..., None], level_hu + noise, -1000).astype(np.int16)
        write_volume(Volume(array, np.diag([2.0, 2.0, 5.0, 1.0])), folder / f"{patient}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    folder = tmp_path_factory.mktemp("volumes")
    return Pair(write_domain(folder / "a", 150, 5), write_domain(folder / "b", 40, 6))


@pytest.fixture
def options(tmp_path: Path, domains: Pair[Path]) -> dict[str, Any]:
    return {
        "domains": {
            "a": {"name": "contrast", "volumes": str(domains.a)},
            "b": {"name": "noncontrast", "volumes": str(domains.b)},
        },
        "slices": {"size": 16, "spacing_mm": 4.0},
        "model": {
            "kind": "cyclegan",
            "generator": {"kind": "resnet", "filters": 2, "blocks": 1},
            "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
        },
        "training": {
            "steps": 4,
            "batch_size": 2,
            "log_every": 1,
            "sample_every": 3,
            "device": "cpu",
            "validation_fraction": 0.2,
        },
        "output": str(tmp_path / "runs" / "one"),
    }


def with_training(options: dict[str, Any], **changed: Any) -> Config:
    return parse_config(options | {"training": options["training"] | changed})


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_run_folder_holds_all_it_should(options: dict[str, Any]) -> None:
    config = parse_config(options)
    said: list[str] = []
    folder = train(config, say=said.append)
    assert folder == Path(config.output)
    found = tree(folder)
    checkpoints = [name for name in found if name.startswith("checkpoints/")]
    assert len(checkpoints) == 1
    assert [name for name in found if name not in checkpoints] == [
        "config.yaml",
        "environment.json",
        "finished.json",
        "metrics.jsonl",
        "model-last/model.json",
        "model-last/model.safetensors",
        "model/model.json",
        "model/model.safetensors",
        "samples/step-00000003.png",
        "samples/step-00000004.png",
        "tensorboard/events.out.tfevents.00000",
        "warnings.jsonl",
    ]
    assert load_config(folder / "config.yaml") == config
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "learning_rate" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "validation/score" in line] == [4]
    assert json.loads((folder / "finished.json").read_text()) == {"steps": 4}
    assert "5 and 6 patients: 1 and 1 of them validate, the others train" in said
    assert "domain contrast: 4 volumes; 0% of their slices are larger than the crop" in said
    assert "domain noncontrast: 5 volumes; 0% of their slices are larger than the crop" in said


def test_the_model_is_described_by_the_config_and_by_no_path(options: dict[str, Any]) -> None:
    config = parse_config(options)
    folder = train(config, say=quiet)
    _, card, _ = load_model(folder / "model")
    assert card.model == config.model.model_dump(mode="json")
    assert card.window == Window(-200.0, 600.0)
    assert (card.spacing_mm, card.size, card.neighbors) == (4.0, 16, 1)
    assert card.domains == Pair("contrast", "noncontrast")
    assert set(card.versions) == {"medcyclegan", "torch", "monai"}
    for file in [*(folder / "model").iterdir(), *(folder / "checkpoints").iterdir()]:
        assert config.output.encode() not in file.read_bytes()
        assert str(config.domains.a.volumes).encode() not in file.read_bytes()


def test_equal_seeds_make_equal_models(options: dict[str, Any], tmp_path: Path) -> None:
    weights: list[bytes] = []
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        torch.manual_seed(len(weights))  # the caller's random state has no say
        config = with_training(options | {"output": str(tmp_path / name)}, seed=seed)
        weights.append((train(config, say=quiet) / "model/model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_a_resumed_run_makes_the_same_model(options: dict[str, Any], tmp_path: Path) -> None:
    straight = train(with_training(options, steps=6), say=quiet)

    class Stopped(CycleGAN):
        """Asks to be stopped in the third step."""

        def discriminator_losses(self, *images: Any) -> Any:
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().discriminator_losses(*images)

    config = with_training(options | {"output": str(tmp_path / "stopped")}, steps=6)
    torch.manual_seed(config.training.seed)
    with pytest.raises(KeyboardInterrupt):
        train(config, model=Stopped(config.model), say=quiet)
    stopped = Path(config.output)
    assert not (stopped / "finished.json").exists()
    (stopped / ".medcyclegan-left-by-a-kill").mkdir()
    said: list[str] = []
    train(config, resume=True, say=said.append)
    assert f"{stopped}: going on from step 2" in said
    for name in ("model/model.safetensors", "model/model.json", "metrics.jsonl"):
        assert (stopped / name).read_bytes() == (straight / name).read_bytes(), name
    assert not list(stopped.rglob(".medcyclegan-*"))


def test_resuming_a_finished_run_leaves_it_as_it_is(options: dict[str, Any]) -> None:
    config = parse_config(options)
    folder = train(config, say=quiet)
    before = {name: (folder / name).read_bytes() for name in tree(folder)}
    train(config, resume=True, say=quiet)
    assert {name: (folder / name).read_bytes() for name in tree(folder)} == before


def test_an_existing_run_is_not_written_over(options: dict[str, Any]) -> None:
    config = parse_config(options)
    folder = train(config, say=quiet)
    before = {name: (folder / name).read_bytes() for name in tree(folder)}
    with pytest.raises(InputError, match="exists already; go on with --resume") as caught:
        train(config, say=quiet)
    assert str(caught.value).startswith(config.output)
    assert {name: (folder / name).read_bytes() for name in tree(folder)} == before


@pytest.mark.parametrize(
    ("section", "changed"),
    [
        ("slices", {"size": 32, "spacing_mm": 4.0}),
        ("window", {"low_hu": -100, "high_hu": 500}),
        ("training", {"seed": 5}),
        ("training", {"batch_size": 1}),
    ],
)
def test_another_config_is_not_resumed(
    options: dict[str, Any], section: str, changed: dict[str, Any]
) -> None:
    folder = Path(options["output"])
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(parse_config(options).to_yaml())
    other = options | {section: options.get(section, {}) | changed}
    with pytest.raises(ConfigError, match=f"--resume with another '{section}' section") as caught:
        train(parse_config(other), resume=True, say=quiet)
    assert str(caught.value).startswith(str(folder / "config.yaml"))
    assert tree(folder) == ["config.yaml"]


def test_a_resumed_run_may_be_longer_and_slower(options: dict[str, Any]) -> None:
    folder = train(parse_config(options), say=quiet)
    longer = with_training(options, steps=5, learning_rate=1e-5, log_every=2)
    train(longer, resume=True, say=quiet)
    assert json.loads((folder / "finished.json").read_text()) == {"steps": 5}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    trained, validated = lines[-2:]
    assert trained["step"] == validated["step"] == 5
    assert trained["learning_rate"] <= 1e-5
    assert "validation/score" in validated


def test_resuming_where_nothing_is_begins_at_step_0_and_says_so(options: dict[str, Any]) -> None:
    said: list[str] = []
    folder = train(parse_config(options), resume=True, say=said.append)
    assert f"{folder}: no complete checkpoint; beginning at step 0" in said
    assert (folder / "finished.json").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_is_no_run_is_left_alone(options: dict[str, Any], resume: bool) -> None:
    folder = Path(options["output"])
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="set another output"):
        train(parse_config(options), resume=resume, say=quiet)
    assert tree(folder) == ["thesis.txt"]


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_in_the_place_of_the_run_is_left_alone(
    options: dict[str, Any], tmp_path: Path, resume: bool
) -> None:
    (tmp_path / "file").write_text("mine")
    config = parse_config(options | {"output": str(tmp_path / "file")})
    with pytest.raises(InputError, match="is a file; choose another output"):
        train(config, resume=resume, say=quiet)


def test_a_run_below_a_file_is_refused_before_anything_is_read(
    options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    options["domains"]["a"]["volumes"] = str(tmp_path / "absent")
    with pytest.raises(InputError, match="file is a file"):
        train(parse_config(options | {"output": str(tmp_path / "file" / "run")}), say=quiet)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_another_run_works_in_is_refused(options: dict[str, Any], resume: bool) -> None:
    folder = Path(options["output"])
    if resume:
        train(parse_config(options), say=quiet)
    with locked(folder):
        before = tree(folder)
        with pytest.raises(InputError, match="another run is at work there"):
            train(parse_config(options), resume=resume, say=quiet)
        assert tree(folder) == before
    train(parse_config(options), resume=resume, say=quiet)


def test_a_run_that_goes_on_is_not_finished(options: dict[str, Any]) -> None:
    folder = train(parse_config(options), say=quiet)
    assert (folder / "finished.json").exists()
    longer = with_training(options, steps=10**6)
    finished: list[bool] = []

    def stop(line: str) -> None:
        if "done about" in line:
            finished.append((folder / "finished.json").exists())
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(longer, resume=True, say=stop)
    assert finished == [False]
    assert not (folder / "finished.json").exists()


def test_files_in_both_domains_are_said(options: dict[str, Any]) -> None:
    options["domains"]["b"]["volumes"] = options["domains"]["a"]["volumes"]
    said: list[str] = []
    train(parse_config(options), say=said.append)
    assert "warning: 5 volumes are in both domains; a volume belongs to one" in said


def test_positions_are_matched_where_there_are_slices_enough(options: dict[str, Any]) -> None:
    said: list[str] = []
    train(with_training(options, steps=1), say=said.append)
    assert sum(line.startswith("slices are matched by position in ") for line in said) == 1
    said.clear()
    options |= {"output": options["output"] + "-free"}
    options["slices"] |= {"match_position": False}
    train(with_training(options, steps=1), say=said.append)
    assert not any("by position" in line for line in said)


def test_a_table_names_volumes_and_patients(options: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(options["domains"]["b"]["volumes"])
    rows = [f"{folder / f'{n}.nii.gz'},p{n // 2},{n < 4}" for n in range(6)]
    (tmp_path / "b.csv").write_text("\n".join(["path,case,use", *rows]))
    table = {"csv": str(tmp_path / "b.csv"), "patient": "case"}
    options["domains"]["b"]["volumes"] = table | {"where": {"use": True}}
    said: list[str] = []
    train(with_training(options, steps=1), say=said.append)
    assert "5 and 2 patients: too few for a validation split, all train" in said
    assert "domain noncontrast: 4 volumes; 0% of their slices are larger than the crop" in said
    balance = [line for line in said if "as often" in line]
    assert balance == [
        "2 patients of noncontrast to 5 of contrast: both domains are drawn equally often, "
        "so each of the few comes up 2 times as often"
    ]


def test_what_readers_refuse_is_read_on_request(options: dict[str, Any], tmp_path: Path) -> None:
    array = np.full((24, 28, 3, 5), -1000, np.int16)
    array[4:20, 4:24] = 100 + np.arange(5, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 5.0, 1.0])), tmp_path / "4d.nii")
    options["domains"]["a"]["volumes"] = str(tmp_path / "4d.nii")
    with pytest.raises(InputError, match=r"4d\.nii"):
        train(with_training(options, steps=1), say=quiet)
    said: list[str] = []
    train(with_training(options | {"reading": {"split_4d": True}}, steps=1), say=said.append)
    assert any(line.startswith("domain contrast: 5 volumes") for line in said)


def test_the_store_is_kept_within_its_limit(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(with_training(options, steps=1), say=quiet)
    assert len(entries(slices_folder())) == 11
    monkeypatch.setenv("MEDCYCLEGAN_CACHE_GB", "0")
    said: list[str] = []
    options["slices"] |= {"spacing_mm": 3.9}
    train(with_training(options | {"output": options["output"] + "-2"}, steps=1), say=said.append)
    assert len(entries(slices_folder())) == 11, "those of this run alone"
    assert sum("MEDCYCLEGAN_CACHE_GB" in line for line in said) == 1


@pytest.mark.parametrize(
    ("norm", "spacing_mm", "warned"),
    [("instance", 2.0, 1), ("batch", 2.0, 0), ("instance", 4.0, 0)],
)
def test_instance_norm_on_crops_of_the_body_is_warned_of(
    options: dict[str, Any], norm: str, spacing_mm: float, warned: int
) -> None:
    options["model"]["generator"] |= {"norm": norm}
    options["slices"] |= {"spacing_mm": spacing_mm}
    said: list[str] = []
    train(parse_config(options), say=said.append)
    assert sum("instance norm and crops" in line for line in said) == warned


def test_bad_input_leaves_no_run_folder(options: dict[str, Any], tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    options["domains"]["b"]["volumes"] = absent
    with pytest.raises(InputError, match="absent"):
        train(parse_config(options), say=quiet)
    assert not Path(options["output"]).exists()


def test_all_patients_train_where_none_are_held_out(options: dict[str, Any]) -> None:
    said: list[str] = []
    train(with_training(options, steps=1, validation_fraction=0), say=said.append)
    assert "5 and 6 patients: all train" in said
    assert "domain contrast: 5 volumes; 0% of their slices are larger than the crop" in said


def test_pictures_are_of_patients_that_do_not_train(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    patients: list[set[str]] = []

    def spied(volumes: Pair[list[StoredVolume]], **kept: Any) -> UnpairedSlices:
        patients.append({volume.facts.patient for domain in volumes for volume in domain})
        return UnpairedSlices(volumes, **kept)

    monkeypatch.setattr("medcyclegan.train.opening.UnpairedSlices", spied)
    train(with_training(options, steps=1), say=quiet)
    trains, shown = patients
    assert (len(trains), len(shown)) == (9, 2)
    assert not trains & shown


def test_a_method_of_ones_own_is_not_taken_for_the_configs(options: dict[str, Any]) -> None:
    class Mine(CycleGAN):
        """Another method with the very same networks."""

    config = parse_config(options)
    model: TranslationModel = Mine(config.model)
    before = {name: value.clone() for name, value in model.generators.state_dict().items()}
    folder = train(config, model=model, say=quiet)
    card = json.loads((folder / "model/model.json").read_text())
    assert card["model"] == {"kind": "Mine"}
    after = model.generators.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_to_the_command_leaves_a_checkpoint(
    options: dict[str, Any], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    options["training"] |= {"steps": 100_000}
    path = tmp_path / "ct.yaml"
    path.write_text(yaml.safe_dump(options))
    command = [
        sys.executable,
        "-c",
        "import sys; from medcyclegan.cli import main; sys.exit(main())",
    ]
    running = subprocess.Popen(
        [*command, "train", "--config", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    folder = Path(options["output"])
    try:
        deadline = time.monotonic() + 60
        while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        sent = time.monotonic()
        running.send_signal(number)
        _, errors = running.communicate(timeout=30)
        assert time.monotonic() - sent < 10
    finally:
        running.kill()
    assert running.returncode == code, errors.decode()
    assert b"Traceback" not in errors
    assert len(list((folder / "checkpoints").iterdir())) == 1
    assert (folder / "model/model.json").exists()
    assert not list(folder.rglob(".medcyclegan-*"))


def test_views_mean_the_same_hu_in_training_and_in_the_model(options: dict[str, Any]) -> None:
    options["window"] = {"low_hu": -100, "high_hu": 300}
    options["model"]["views"] = [{"low_hu": 0, "high_hu": 100}]
    seen: list[torch.Tensor] = []

    def note(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if isinstance(module, Viewed):
            images = given[0]
            (low, high), *_ = module.views
            seen.append(torch.tensor([low, high]))
            assert images.shape[1] == 1

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        run = train(parse_config(options), say=quiet)
    finally:
        hook.remove()
    model, card, _ = load_model(run / "model-last")
    assert card.window == Window(-100.0, 300.0)
    assert seen
    loaded = [one.views for one in model.generators.modules() if isinstance(one, Viewed)]
    assert loaded == [((-0.5, 0.0),)] * 2
    assert all(ends.tolist() == [-0.5, 0.0] for ends in seen)
