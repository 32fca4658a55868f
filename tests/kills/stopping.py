"""Signals that ask a run to stop, at random times."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kills.folders import differences, faults, newest_step, temporaries
from tests.kills.runs import Run, are_gone, train, write_config
from tests.kills.table import Row, as_one

MOST_SECONDS = 10.0
SIGNALS = {signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGINT: 130}
VALIDATION = {"validation_fraction": 0.2}
MOMENTS: dict[str, dict[str, Any]] = {  # what most of the time goes into
    "opening": {},
    "training": {"checkpoint_minutes": 1},
    "training with workers": {"workers": 2, "checkpoint_minutes": 1},
    "validation": VALIDATION | {"validate_every": 1, "checkpoint_minutes": 1},
    "drawing and saving": {"sample_every": 1},
}
LONGEST_SECONDS = {"opening": 0.3}  # before the signal, where it is not this:
LONG_SECONDS = 1.5


def signals(
    volumes: Path, folder: Path, *, times: dict[signal.Signals, int], seed: int
) -> Iterator[Row]:
    """Stop a run by a signal, resume it, stop it again, and so on; then let it end."""
    run_folder = folder / "run"
    for place, (number, count) in enumerate(times.items()):
        chance = random.Random(f"{seed} {number.name}")
        failures: list[str] = []
        longest = 0.0
        for time_of in range(count):
            moment = list(MOMENTS)[(place + time_of) % len(MOMENTS)]
            found, seconds = _stopped(volumes, run_folder, number, moment, chance)
            failures += as_one(moment, found)
            longest = max(longest, seconds)
        code = SIGNALS[number]
        claim = f"{number.name}: exit {code}, one line, all readable, nothing left"
        yield Row(claim, count, failures, f"in {longest:.2f} s at most")
    steps = newest_step(run_folder) + 2
    train(write_config(volumes, run_folder, steps=steps, **VALIDATION), resume=True)
    straight = folder / "straight"
    train(write_config(volumes, straight, steps=steps, **VALIDATION))
    state = [name for name in differences(straight, run_folder) if _decides(name)]
    failures = as_one("differ", state)
    yield Row("... and then the run ends as an undisturbed one", 1, failures, f"{steps} steps")


def _decides(name: str) -> bool:
    """Return whether this of a run depends on what it trained, not on how often it validated."""
    return name.startswith(("state.model", "state.average", "state.optimizers"))


def _stopped(
    volumes: Path, folder: Path, number: signal.Signals, moment: str, chance: random.Random
) -> tuple[list[str], float]:
    config = write_config(volumes, folder, **VALIDATION | MOMENTS[moment])
    opening = moment == "opening"
    before = newest_step(folder)
    cache = folder.parent / "caches" / f"{chance.random()}"
    run = Run(
        config, resume=folder.exists(), before=(lambda: _new_cache(cache)) if opening else None
    )
    run.until_stoppable()
    if not opening:
        run.until(lambda: "training on" in run.said)
    time.sleep(chance.uniform(0, LONGEST_SECONDS.get(moment, LONG_SECONDS)))
    workers = run.children()
    sent = time.monotonic()
    run.send(number, group=number == signal.SIGINT)
    code = run.wait()
    seconds = time.monotonic() - sent
    found = [] if code == SIGNALS[number] else [f"exit code {code}"]
    found += [] if seconds < MOST_SECONDS else [f"took {seconds:.1f} s"]
    if len(run.complaints) != 1 or "go on with --resume" not in run.complaints[0]:
        found.append(f"said {run.complaints}")
    found += faults(folder) + [f"{path} is left" for path in temporaries(folder)]
    found += [] if are_gone(workers) else ["workers live on"]
    found += [] if newest_step(folder) >= before else [f"was at step {before}"]
    return found, seconds


def _new_cache(folder: Path) -> None:
    os.environ["MEDCYCLEGAN_CACHE"] = str(folder)
