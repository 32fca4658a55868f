from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medcyclegan.errors import MedCycleGANError
from medcyclegan.proof.workers import Job, run_jobs


def test_one_worker_does_all_here_and_in_order() -> None:
    done: list[tuple[int, int]] = []

    def note(number: int, check: Callable[[], None]) -> None:
        check()
        done.append((number, os.getpid()))

    jobs = [Job(f"job {number}", note, (number,)) for number in range(3)]
    titles = [one.title for one in run_jobs(jobs, 1)]
    assert titles == ["job 0", "job 1", "job 2"]
    assert done == [(number, os.getpid()) for number in range(3)]


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A module that worker processes can import."""
    (tmp_path / "jobs_for_workers.py").write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "def write(path, check):\n"
        "    check()\n"
        "    Path(path).write_text(str(os.getpid()))\n"
        "def work_on(path, check):\n"
        "    Path(path).write_text('begun')\n"
        "    try:\n"
        "        for _ in range(6000):\n"
        "            check()\n"
        "            time.sleep(0.01)\n"
        "    finally:\n"
        "        Path(path).write_text('saved')\n"
        "def die(check):\n"
        "    os._exit(9)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    import jobs_for_workers  # type: ignore[import-not-found]

    return jobs_for_workers


def test_several_workers_are_other_processes_that_stop_when_told(
    functions: object, tmp_path: Path
) -> None:
    write, work_on = functions.write, functions.work_on  # type: ignore[attr-defined]
    long = tmp_path / "long"
    jobs = [Job("long", work_on, (str(long),)), Job("short", write, (str(tmp_path / "short"),))]
    running = run_jobs(jobs, 2)
    assert next(running).title == "short"
    assert (tmp_path / "short").read_text() != str(os.getpid())
    while not long.exists():
        time.sleep(0.01)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt())
    assert time.monotonic() - start < 30
    assert long.read_text() == "saved"
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_an_error_with_what_to_do(functions: object) -> None:
    jobs = [Job("die", functions.die, ()), Job("die too", functions.die, ())]  # type: ignore[attr-defined]
    with pytest.raises(MedCycleGANError, match="lower workers and go on with --resume"):
        list(run_jobs(jobs, 2))
