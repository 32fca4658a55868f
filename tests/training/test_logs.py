from __future__ import annotations

import contextlib
import getpass
import json
import platform
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medcyclegan.errors import MedCycleGANError
from medcyclegan.training.logs import RunLog

PNG = bytes.fromhex(  # one black pixel
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63600000000200014827af0b0000000049454e44ae426082"
)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def filled(folder: Path, steps: int = 4) -> Path:
    with RunLog(folder, 1) as log:
        for step in range(1, steps + 1):
            log.write(step, {"cycle_a": float(step)})
            log.warn(step, f"warning {step}")
            log.picture(step, PNG)
    return folder


def test_each_line_is_an_object_with_its_step(tmp_path: Path) -> None:
    with RunLog(tmp_path, 1) as log:
        log.write(1, {"cycle_a": 0.5})
        log.write(2, {"cycle_a": 0.25, "learning_rate": 2e-4})
        log.write(2, {"validation/score": float("nan"), "validation/other": float("inf")})
        assert lines(tmp_path / "metrics.jsonl") == [
            {"step": 1, "cycle_a": 0.5},
            {"step": 2, "cycle_a": 0.25, "learning_rate": 2e-4},
            {"step": 2, "validation/score": None, "validation/other": None},
        ]
        assert not (tmp_path / "warnings.jsonl").exists()
        log.warn(2, 'one "line"\nfor people')
        assert lines(tmp_path / "warnings.jsonl") == [
            {"step": 2, "warning": 'one "line"\nfor people'}
        ]
        log.picture(2, PNG)
        assert (tmp_path / "samples/step-00000002.png").read_bytes() == PNG


def test_all_is_there_when_a_call_returns_for_tensorboard_too(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 1)
    log.write(1, {"cycle_a": 0.5, "validation/score": 2.0})
    log.picture(1, PNG)
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == ["training/cycle_a", "validation/score"]
    assert found.Images("samples")[0].encoded_image_string == PNG
    log.close()


@pytest.mark.parametrize("tail", [b'{"step": 1, "cyc', b'{"step": 1}'])
def test_a_resumed_run_drops_what_it_will_write_again_and_half_a_line(
    tmp_path: Path, tail: bytes
) -> None:
    filled(tmp_path)
    (tmp_path / "samples/other.png").write_bytes(PNG)
    for name in ("metrics.jsonl", "warnings.jsonl"):
        with (tmp_path / name).open("ab") as stream:
            stream.write(b'{"step": 1}x\n\0\0\0\n[1]\n{"other": 2}\n' + tail)  # killed
    with RunLog(tmp_path, 3) as log:
        log.write(3, {"cycle_a": 7.0})
        log.warn(3, "again")
    assert lines(tmp_path / "metrics.jsonl") == [
        {"step": 1, "cycle_a": 1.0},
        {"step": 2, "cycle_a": 2.0},
        {"step": 3, "cycle_a": 7.0},
    ]
    assert [line["warning"] for line in lines(tmp_path / "warnings.jsonl")] == [
        "warning 1",
        "warning 2",
        "again",
    ]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "other.png",
        "step-00000001.png",
        "step-00000002.png",
    ]


def test_no_host_and_no_user_is_in_any_name_or_file(tmp_path: Path) -> None:
    folder = filled(tmp_path / "run")
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert len(found) == 7
    forbidden = {platform.node(), getpass.getuser(), str(tmp_path)} - {"root", ""}
    for path in found:
        for text in forbidden:
            assert text not in path.name
            assert text.encode() not in path.read_bytes()


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Allow files of at most 4 kB, as on a full disk; the report of tests is a file, too."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize(
    ("values", "named"), [({}, "tensorboard"), ({"x/" + "y" * 900: 1.0}, r"metrics\.jsonl")]
)
def test_a_full_disk_is_one_line_that_names_the_file(
    tmp_path: Path, values: dict[str, float], named: str
) -> None:
    def write() -> None:
        with RunLog(tmp_path, 1) as log:
            for step in range(1, 1000):
                log.write(step, values)

    with small_files():
        with pytest.raises(MedCycleGANError, match=rf"{named}: cannot write \(File too large\)"):
            write()
        with RunLog(tmp_path, 2) as log:
            log.write(2, values)
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2]
