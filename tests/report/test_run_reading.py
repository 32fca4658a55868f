from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from medcyclegan.errors import CheckpointError
from medcyclegan.report import run_reading
from medcyclegan.report.run_reading import read_run
from medcyclegan.training.logs import RunLog


def test_a_run_is_read_whole(run_folder: Path, picture: bytes) -> None:
    run = read_run(run_folder)
    assert (run.name, run.domains) == ("hospital", ("contrast", "noncontrast"))
    assert (run.planned, run.step, run.finished) == (40, 40, True)
    assert set(run.figures) == {"cycle_a", "cycle_b", "learning_rate"}
    assert [p.mean for p in run.figures["cycle_b"].points] == [2 / step for step in range(1, 41)]
    assert run.validations.count == 4
    assert run.validations.best is not None
    assert run.validations.best[0] == 30
    assert run.validations.best[1]["edges_invented"] == pytest.approx(0.3)
    assert run.validations.last is not None
    assert run.validations.last[0] == 40
    assert run.warnings == [(20, "bone moved by 9.0 HU")]
    assert run.pictures == [(step, picture) for step in (10, 20, 30, 40)]
    assert run.environment["cores"] == 2
    assert "volumes: one" in run.config


def test_of_equal_scores_the_first_is_chosen(run_folder: Path) -> None:
    with RunLog(run_folder, 41) as log:
        log.write(50, {"validation/score": 20.0})
    best = read_run(run_folder).validations.best
    assert best is not None
    assert best[0] == 30


def test_a_run_that_has_only_begun_is_read(run_folder: Path) -> None:
    for path in run_folder.rglob("*"):
        if path.is_file() and path.name != "config.yaml":
            path.unlink()
    run = read_run(run_folder)
    assert not run.finished
    assert (run.step, run.figures, run.pictures, run.warnings) == (0, {}, [], [])
    assert (run.validations.best, run.environment, run.sittings) == (None, {}, 0)


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_where_no_run_is_that_is_said(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "there"
    if what == "empty":
        folder.mkdir()
    elif what == "file":
        folder.write_text("")
    with pytest.raises(CheckpointError, match=r"there: no run there \(config.yaml is missing\)"):
        read_run(folder)


def test_a_config_of_another_version_is_shown_as_it_stands(run_folder: Path) -> None:
    (run_folder / "config.yaml").write_bytes(b"older: true\n\xff")
    run = read_run(run_folder)
    assert run.config == "older: true\n�"
    assert (run.planned, run.domains) == (None, ("a", "b"))


def test_speed_is_told_from_tensorboard_and_lost_steps_do_not_count(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "timed"
    folder.mkdir()
    (folder / "config.yaml").write_bytes((run_folder / "config.yaml").read_bytes())
    now = 1.7e9
    monkeypatch.setattr(time, "time", lambda: now)
    for first, last, seconds in ((1, 30, 2.0), (21, 40, 4.0)):
        with RunLog(folder, first) as log:
            for step in range(first, last + 1):
                now += seconds
                log.write(step, {"cycle_a": 1.0})
                log.write(step, {"validation/score": 1.0})
    run = read_run(folder)
    assert [p.mean for p in run.pace.points] == pytest.approx([2.0] * 19 + [4.0] * 19)
    assert run.hours == pytest.approx((19 * 2.0 + 19 * 4.0) / 3600)
    assert run.sittings == 2


@pytest.mark.parametrize(
    "damage", [bytes(64), b"\xff" * 64, b"\x08" + bytes(11) + b"\xff" * 12, b"x"]
)
def test_damaged_event_files_are_read_up_to_the_damage(run_folder: Path, damage: bytes) -> None:
    whole = read_run(run_folder)
    with (run_folder / "tensorboard/events.out.tfevents.00000").open("ab") as stream:
        stream.write(damage)
    assert read_run(run_folder).hours == whole.hours
    (run_folder / "tensorboard/events.out.tfevents.00001").write_bytes(damage)
    (run_folder / "tensorboard/events.out.tfevents.somebody").write_bytes(b"\xff" * 99)
    assert read_run(run_folder).sittings == 1


LINES = [
    b"",
    b"[1]\n",
    b"{}\n",
    b'{"step": "x"}\n',
    b'{"step": true, "cycle_a": 1.0}\n',
    b'{"step": -1, "cycle_a": 1.0}\n',
    b'{"step": 1e400, "cycle_a": 1.0}\n',
    b'{"step": 1%s, "cycle_a": 1.0}\n' % (b"0" * 5000),
    b'{"step": 41, "cycle_a": "1", "cycle_b": true, "learning_rate": null}\n',
    b'{"step": 41, "cycle_a": NaN, "cycle_b": Infinity, "learning_rate": 1e400}\n',
    b'{"step": 41, "cycle_a": 1%s}\n' % (b"0" * 400),
    b'{"step": 41, "<script>": 1.0, "a\\nb": 1.0, "": 1.0, "\xc3\xa4": 1.0, "$x^2$": 1.0}\n',
    b'{"step": 41, "cycle_a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
    b'{"step": 41, "cycle_a": 7.0, "x": "' + b"y" * 200_000 + b'"}\n',
    b'{"step": 41, "validation/score": NaN}\n',
    b'{"step": 41, "cycle_a": 7.0',
]


@pytest.mark.parametrize("line", LINES)
def test_lines_that_training_never_wrote_are_passed_over(run_folder: Path, line: bytes) -> None:
    before = read_run(run_folder)
    for name in ("metrics.jsonl", "warnings.jsonl"):
        with (run_folder / name).open("ab") as stream:
            stream.write(line)
    after = read_run(run_folder)
    assert {n: len(s.points) for n, s in after.figures.items()} == {
        n: len(s.points) for n, s in before.figures.items()
    }
    assert after.validations.count == 4
    assert after.warnings == before.warnings


def test_an_environment_that_is_none_is_passed_over(run_folder: Path) -> None:
    for text in ("[]", "x", "[" * 100_000):
        (run_folder / "environment.json").write_text(text)
        assert read_run(run_folder).environment == {}


def test_a_long_run_is_thinned_but_its_validations_are_all_read(run_folder: Path) -> None:
    count = 200_000
    with (run_folder / "metrics.jsonl").open("w") as stream:
        for step in range(1, count + 1):
            stream.write(json.dumps({"step": step, "cycle_a": 1.0, "cycle_b": step / count}) + "\n")
            if step % 1000 == 0:
                stream.write(json.dumps({"step": step, "validation/score": abs(step - 77_000)}))
                stream.write("\n")
    run = read_run(run_folder)
    assert sum(p.count for p in run.figures["cycle_a"].points) < 60_000
    assert len(run.figures["cycle_a"].points) < 1200
    assert run.figures["cycle_b"].points[-1].mean == pytest.approx(1.0, abs=0.01)
    assert run.validations.count == 200
    assert run.validations.best is not None
    assert run.validations.best[0] == 77_000
    assert run.step == count


def test_the_last_step_of_a_thinned_run_is_told(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_reading, "MOST_LINES", 7)
    with (run_folder / "metrics.jsonl").open("w") as stream:
        stream.writelines(f'{{"step": {step}, "cycle_a": 1.0}}\n' for step in range(1, 41))
    run = read_run(run_folder)
    assert sum(p.count for p in run.figures["cycle_a"].points) < 10
    assert run.step == 40


def test_names_warnings_and_pictures_are_bounded(
    run_folder: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLog(run_folder, 41) as log:
        log.write(41, {f"figure {number}": 1.0 for number in range(1000)})
        for step in range(41, 541):
            log.warn(step, "x")
    for step in range(41, 141):
        (run_folder / f"samples/step-{step:08d}.png").write_bytes(picture)
    (run_folder / "samples/step-00000100.png").write_bytes(b"no picture")
    run = read_run(run_folder)
    assert len(run.figures) == run_reading.MOST_NAMES
    assert (len(run.warnings), run.warned) == (200, 501)
    assert run.warnings[-1][0] == 540
    assert run.drawn == 104
    assert len(run.pictures) <= 12
    assert [run.pictures[0][0], run.pictures[-1][0]] == [10, 140]
    monkeypatch.setattr(run_reading, "MOST_PICTURE_BYTES", 3 * len(picture))
    assert len(read_run(run_folder).pictures) <= 3
    monkeypatch.setattr(run_reading, "MOST_PICTURE_BYTES", len(picture) - 1)
    assert read_run(run_folder).pictures == []
