"""Workers that die or hang."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from medcyclegan.data.loader import BatchLoader
from tests.kills.folders import faults, newest_step, temporaries
from tests.kills.runs import Run, are_gone, train, write_config
from tests.kills.table import Row, as_one

TIMEOUT_SECONDS = 3.0
MOST_SECONDS = 10.0
WORDS = {signal.SIGKILL: "was killed by SIGKILL", signal.SIGSTOP: "gave nothing for 3 s"}


def lost_workers(volumes: Path, folder: Path, *, times: int) -> Iterator[Row]:
    """Kill and stop a worker of a run; then resume the run."""
    for number, words in WORDS.items():
        failures: list[str] = []
        longest = 0.0
        for time_of in range(times):
            run_folder = folder / f"{number.name}{time_of}"
            found, seconds = _without_worker(volumes, run_folder, number, words)
            failures += as_one(run_folder.name, found)
            longest = max(longest, seconds)
        claim = f"{number.name} to a worker: exit 1, one line with its volumes; resumed"
        yield Row(claim, times, failures, f"in {longest:.2f} s at most")


def _without_worker(
    volumes: Path, folder: Path, number: signal.Signals, words: str
) -> tuple[list[str], float]:
    run = Run(write_config(volumes, folder, workers=2), before=_hurry)
    run.until(lambda: newest_step(folder) > 0)
    workers = run.children()
    began = time.monotonic()
    os.kill(workers[-1], number)
    code = run.wait()
    seconds = time.monotonic() - began
    found = [] if code == 1 else [f"exit code {code}"]
    said = run.complaints
    if len(said) != 1 or words not in said[0] or ".nii.gz" not in said[0]:
        found.append(f"said {said}")
    found += [] if seconds < MOST_SECONDS else [f"took {seconds:.1f} s"]
    found += [] if are_gone(workers) else ["workers live on"]
    found += faults(folder) + [f"{path} is left" for path in temporaries(folder)]
    train(write_config(volumes, folder, steps=newest_step(folder) + 1), resume=True)
    return found, seconds


def _hurry() -> None:
    """Let a worker count as hung sooner than the two minutes that people's disks are given."""
    defaults = BatchLoader.__init__.__kwdefaults__
    assert defaults is not None
    defaults["timeout_seconds"] = TIMEOUT_SECONDS
