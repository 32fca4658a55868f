"""Two runs in one folder, and locks that nobody holds."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from medcyclegan.files import LOCK
from tests.kills.folders import differences, newest_step
from tests.kills.runs import Run, train, write_config
from tests.kills.table import Row, as_one

SHARED_STEPS = 40
CLAIM = "a second run in the folder: exit 2, one line, and the first is not disturbed"


def shared_folders(volumes: Path, folder: Path, *, times: int) -> Iterator[Row]:
    """Start a second run where one is at work, or was killed, or lies stopped."""
    failures: list[str] = []
    straight = folder / "straight"
    train(write_config(volumes, straight, steps=SHARED_STEPS, checkpoint_minutes=1))
    for number in range(times):
        run_folder = folder / f"run{number}"
        config = write_config(volumes, run_folder, steps=SHARED_STEPS, checkpoint_minutes=1)
        first = Run(config)
        first.until((run_folder / "metrics.jsonl").exists)
        found = _refused(config, resume=number % 2 == 0)
        if code := first.wait():
            found.append(f"the first ended with exit code {code}: {first.complaints}")
        failures += as_one(f"run {number}", found + differences(straight, run_folder))
    yield Row(CLAIM, times, failures)
    failures = []
    for number in range(times):
        failures += as_one(f"run {number}", _stale(volumes, folder, number))
    claim = "a lock left by kill -9, its worker stopped and alive, is taken over"
    yield Row(claim, times, failures)


def _refused(config: Path, *, resume: bool) -> list[str]:
    copy = config.with_name(f"second-{config.name}")
    copy.write_text(config.read_text())
    second = Run(copy, resume=resume)
    code = second.wait()
    found = [] if code == 2 else [f"the second ended with exit code {code}"]
    reason = "another run is at work there" if resume else "exists already"
    if len(second.complaints) != 1 or reason not in second.complaints[0]:
        found.append(f"the second said {second.complaints}")
    return found


def _stale(volumes: Path, folder: Path, number: int) -> list[str]:
    run_folder = folder / f"stale{number}"
    run = Run(write_config(volumes, run_folder, workers=1))
    run.until(lambda: newest_step(run_folder) > 0)
    workers = run.children()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    run.kill()
    try:
        found = [] if workers else ["there was no worker"]
        found += [] if (run_folder / LOCK).exists() else ["there is no lock"]
        steps = newest_step(run_folder) + 1
        train(write_config(volumes, run_folder, steps=steps), resume=True)
    except RuntimeError as error:
        found.append(str(error))
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
    return found
