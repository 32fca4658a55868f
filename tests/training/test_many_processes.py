from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from medcyclegan.config import parse_config, parse_model
from medcyclegan.errors import Interrupted, MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.io import write_volume
from medcyclegan.models import make_model
from medcyclegan.models.artefact import load_model
from medcyclegan.train import observing, train
from medcyclegan.training import engine as engine_module
from medcyclegan.training import launch
from medcyclegan.training.engine import Engine, EngineOptions
from medcyclegan.validation import Scored
from medcyclegan.volume import Volume

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

PROGRAMS = Path(sys.executable).parent
TIMEOUT = 120
CPU = EngineOptions(device="cpu")
MODEL: dict[str, Any] = {
    "kind": "cyclegan",
    "pasted": 0.5,
    "cycle_noise_hu": 20.0,
    "doses": [0.5, 2.0],
    "balanced": True,
    "pool_size": 3,
    "generator": {"kind": "resnet", "filters": 2, "blocks": 1},
    "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
}


Start = Callable[[Callable[[], Any]], list[BaseProcess]]


@pytest.fixture(params=["torchrun", "slurm"])
def start(request: pytest.FixtureRequest) -> Start:
    """Do work in two processes that see what torchrun, or Slurm, tells those they start."""

    def run(work: Callable[[], Any]) -> list[BaseProcess]:
        port = find_free_network_port()
        told: dict[str, Any] = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        if request.param == "torchrun":
            told |= {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 2}
            ranks = ("RANK", "LOCAL_RANK")
        else:
            names = {"STEP_ID": 0, "NTASKS": 2, "NTASKS_PER_NODE": 2, "NNODES": 1, "NODEID": 0}
            told |= {f"SLURM_{name}": value for name, value in names.items()}
            ranks = ("SLURM_PROCID", "SLURM_LOCALID")

        def told_its_rank(rank: int) -> None:
            seen = told | dict.fromkeys(ranks, rank)
            os.environ.update({name: str(value) for name, value in seen.items()})
            work()

        fork = multiprocessing.get_context("fork")
        processes = [fork.Process(target=told_its_rank, args=(rank,)) for rank in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(TIMEOUT)
        return list(processes)

    return run


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    for domain, level_hu in (("a", 150), ("b", 40)):
        noise = np.random.default_rng(level_hu).normal(level_hu, 30, (24, 24, 4))
        for patient in range(2):
            array = np.roll(noise, 5 * patient, axis=0).astype(np.int16)
            volume = Volume(array, np.diag([2.0, 2.0, 5.0, 1.0]))
            write_volume(volume, folder / domain / f"{patient}.nii.gz")
    return folder


@pytest.fixture
def options(tmp_path: Path, volumes: Path) -> dict[str, Any]:
    return {
        "domains": {key: {"name": key, "volumes": str(volumes / key)} for key in "ab"},
        "slices": {"size": 16, "spacing_mm": 4.0},
        "model": MODEL,
        "training": {
            "steps": 6,
            "batch_size": 4,
            "constant_fraction": 1.0,
            "log_every": 1,
            "device": "cpu",
            "threads": 1,
            "validation_fraction": 0.0,
        },
        "output": str(tmp_path / "run"),
    }


def with_training(options: dict[str, Any], name: str, **changed: Any) -> dict[str, Any]:
    folder = Path(options["output"]).parent / name
    return options | {"training": options["training"] | changed, "output": str(folder)}


def write_config(options: dict[str, Any]) -> str:
    path = Path(options["output"]).with_suffix(".yaml")
    path.write_text(yaml.safe_dump(options))
    return str(path)


def losses(options: dict[str, Any]) -> list[dict[str, float]]:
    lines = (Path(options["output"]) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def weights(options: dict[str, Any]) -> torch.Tensor:
    model, _, _ = load_model(Path(options["output"]) / "model-last")
    return torch.cat(
        [parameter.reshape(-1) for parameter in model.generators.parameters()]
    ).detach()


def check_equal_to_rounding(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for one, other in zip(losses(found), losses(expected), strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds_per_step"}:
            assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-6), name
    torch.testing.assert_close(weights(found), weights(expected), rtol=1e-3, atol=1e-5)


def test_two_processes_of_one_command_train_as_one_does(options: dict[str, Any]) -> None:
    alone = with_training(options, "alone")
    train(parse_config(alone), say=lambda line: None)
    both = with_training(options, "both", devices=2)
    done = subprocess.run(
        [PROGRAMS / "medcyclegan", "train", "--config", write_config(both)],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sum("trained 6 steps" in line for line in lines) == 1
    assert any(line.startswith("training on cpu") and "2 processes" in line for line in lines)
    check_equal_to_rounding(both, alone)


def test_training_goes_on_with_another_number_of_processes(
    options: dict[str, Any], start: Start
) -> None:
    straight = with_training(options, "straight", accumulate=2)
    train(parse_config(straight), say=lambda line: None)
    begun = with_training(options, "begun", accumulate=2, steps=3)
    train(parse_config(begun), say=lambda line: None)
    begun["training"]["steps"] = 6
    said: list[str] = []
    processes = start(lambda: train(parse_config(begun), resume=True, say=said.append))
    assert [process.exitcode for process in processes] == [0, 0]
    check_equal_to_rounding(begun, straight)


def test_a_signal_within_a_validation_that_the_others_wait_for(
    options: dict[str, Any], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Validation:
        def score(self, *_: object, **__: object) -> Scored:
            if stops:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(TIMEOUT)
            return Scored({"score": 1.0})

    monkeypatch.setattr(observing, "_make_validation", lambda *_: Validation())
    stops = True
    chosen = with_training(options, "stopped", validate_every=2)
    began = time.monotonic()
    processes = start(lambda: train(parse_config(chosen), say=lambda line: None))
    assert [process.exitcode for process in processes] == [1, 0]
    assert time.monotonic() - began < TIMEOUT / 2
    stops = False
    said: list[str] = []
    train(parse_config(chosen), resume=True, say=said.append)
    assert any(line.endswith("going on from step 2") for line in said)
    steps = [line["step"] for line in losses(chosen) if "validation/score" in line]
    assert steps == [2, 4, 6]


def test_all_processes_have_the_weights_of_the_first_and_the_mean_of_all(
    start: Start, tmp_path: Path
) -> None:
    def work() -> None:
        with Engine(CPU) as engine:
            torch.manual_seed(engine.rank)
            model = make_model(parse_model(MODEL), 1, Window(-200, 600))
            engine.prepare(model)
            weights = [parameter.detach() for parameter in model.generators.parameters()]
            values = [
                torch.full((2, 3), float(engine.rank)),
                torch.tensor(3 - engine.rank).double(),
            ]
            engine.average(values)
            engine.wait()
            found = {
                "weights": sum(weight.double().sum().item() for weight in weights),
                "means": [value.tolist() for value in values],
                "any": [engine.any(flag) for flag in (engine.rank == 1, False)],
                "of_first": engine.of_first(engine.rank + 5),
                "words": engine.describe(),
            }
            (tmp_path / f"{engine.rank}.json").write_text(json.dumps(found))

    processes = start(work)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first["means"] == [[[0.5] * 3] * 2, 2.5]
    assert first["any"] == [True, False]
    assert first["of_first"] == 5
    assert first["words"].endswith(", 2 processes")


@pytest.mark.parametrize("error", [Interrupted("stopped"), KeyboardInterrupt()])
def test_the_first_alone_says_that_all_were_stopped(
    start: Start, capfd: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def work() -> None:
        with Engine(CPU) as engine:
            engine.wait()
            raise error

    processes = start(work)
    assert [process.exitcode for process in processes] == [1, 0]
    assert capfd.readouterr().err.count("Interrupted: stopped") <= 1


def test_of_an_error_that_all_meet_the_first_speaks_first(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "FIRST_SPEAKS_SECONDS", 0.5)

    def work() -> None:
        with contextlib.suppress(MedCycleGANError), Engine(CPU) as engine:
            engine.wait()
            raise MedCycleGANError("for all")
        (tmp_path / str(engine.rank)).write_text(str(time.monotonic()))

    start(work)
    first, second = (float((tmp_path / str(rank)).read_text()) for rank in range(2))
    assert second - first > 0.25


def test_a_process_that_is_left_alone_says_so(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        with Engine(CPU) as engine:
            if engine.rank == 1:
                os._exit(3)
            engine.any(True)

    assert [process.exitcode for process in start(work)] == [1, 3]
    error = "MedCycleGANError: another process of this run ended; go on from the last checkpoint"
    assert error in capfd.readouterr().err


SCRIPT = """
import os, signal, time
from medcyclegan.training.engine import Engine, EngineOptions

with Engine(EngineOptions(device="cpu", devices=2)) as engine:
    engine.wait()
    if engine.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
"""


def test_when_a_started_process_dies_the_first_ends_with_a_line(tmp_path: Path) -> None:
    """Also where it does nothing with the others, or waits for a GPU, which would never end."""
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "another process of this run ended with exit code -9; "
        "go on from the last checkpoint with --resume\n"
    )


def test_a_started_process_ends_with_the_one_that_started_it() -> None:
    reading, writing = os.pipe()

    def start_another() -> None:
        os.environ[launch.PARENT] = str(os.getpid())
        if os.fork() == 0:
            launch._follow_parent()
            os.write(writing, b"x")
            time.sleep(60)
            os._exit(0)
        os.read(reading, 1)
        os._exit(1)

    process = multiprocessing.get_context("fork").Process(target=start_another)
    process.start()
    process.join()
    os.close(writing)
    ended, _, _ = select.select([reading], [], [], 20)  # nobody holds the other end any more
    os.close(reading)
    assert ended
