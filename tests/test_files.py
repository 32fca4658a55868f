"""Files are whole or absent."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
from pathlib import Path
from typing import BinaryIO

import pytest

from medcyclegan import files
from medcyclegan.errors import InputError, MedCycleGANError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.nii.gz"
    with files.atomic_path(target) as temporary:
        assert temporary.name == target.name
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["file.nii.gz"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    files.write_bytes(target, b"old")

    def fail() -> None:
        with files.atomic_path(target) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MedCycleGANError, match="cannot write") as caught:
        files.write_bytes(tmp_path / "file" / "below", b"")
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_json_holds_no_nan(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"dice": 0.5, "name": "Ü"})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {
        "dice": 0.5,
        "name": "Ü",
    }
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "y.json", float("nan"))
    assert names(tmp_path) == ["x.json"]


def test_what_was_interrupted_is_removed_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / ".medcyclegan-x").mkdir(parents=True)
    (tmp_path / "a" / ".medcyclegan-x" / "half").write_bytes(b"")
    (tmp_path / ".medcyclegan-y").write_bytes(b"")
    (tmp_path / "a" / "kept").write_bytes(b"")
    files.remove_temporaries(tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["kept"]
    assert names(tmp_path) == ["a"]


def test_alone_in_a_folder_that_is_gone_unless_something_was_put_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    with files.alone_in(folder):
        with (
            pytest.raises(InputError, match="another run is at work there"),
            files.alone_in(folder),
        ):
            pytest.fail("both are in")
        assert names(folder) == [files.LOCK]
    assert names(tmp_path) == []
    folder.mkdir(parents=True)
    with files.alone_in(folder):
        pass
    assert names(folder) == [], "it was there before"
    with files.alone_in(folder / "more"):
        (folder / "more" / "file").touch()
    assert names(folder / "more") == ["file"]


def test_sha256_is_that_of_all_bytes_in_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "bc").write_bytes(b"bc")
    digest = files.sha256(tmp_path / "a", tmp_path / "bc")
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_files_written_together_leave_nothing_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "deep" / "out"
    files.write_together(out, {"plots/a.png": b"1", "figures": b"2"})
    assert (out / "plots" / "a.png").read_bytes() == b"1"
    assert names(out) == ["figures", "plots"]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device", descriptor)

    monkeypatch.setattr("os.fsync", full)
    for folder in (out, tmp_path / "new" / "out"):
        with pytest.raises(MedCycleGANError, match=f"{folder}: cannot write .No space left"):
            files.write_together(folder, {"figures": b"3", "more": b"4"})
    assert names(out) == ["figures", "plots"]
    assert (out / "figures").read_bytes() == b"2"
    assert names(tmp_path) == ["deep"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python 3.12 on fork
def test_a_worker_that_outlives_a_run_that_is_killed_holds_no_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    run = os.fork()
    if run == 0:
        with files.locked(tmp_path):
            if os.fork() == 0:
                os.close(writing)
                os.read(reading, 1)  # until the test is over
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(run, 0)
    assert (tmp_path / files.LOCK).exists()
    with files.locked(tmp_path):
        pass
    os.close(writing)
    os.close(reading)


def test_a_disk_without_locks_is_not_taken_for_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(stream: BinaryIO, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    line = r"cannot be locked \(Function not implemented\); choose an output on another disk"
    with pytest.raises(MedCycleGANError, match=line) as refused, files.locked(tmp_path):
        pytest.fail("holds no lock")
    assert refused.value.exit_code == 1


def test_a_lock_that_was_taken_away_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, the run that held it may have removed it."""
    lock = fcntl.flock

    def late(stream: BinaryIO, operation: int) -> None:
        (tmp_path / files.LOCK).unlink()
        lock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(InputError, match="another run is at work there"), files.locked(tmp_path):
        pytest.fail("holds a lock that the next one does not see")
