"""Kills -9 at random times, and before every single change of the run folder."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.kills.folders import differences, faults, newest_step
from tests.kills.runs import Run, are_gone, train, write_config
from tests.kills.table import Row, as_one

OPTIONS: dict[str, Any] = {"ema": 0.9, "validation_fraction": 0.2, "validate_every": 4}
LONGEST_SECONDS = 1.5  # before a kill
ANEW = 20  # one of so many commands imports everything itself, the others are forked
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR


def random_kills(volumes: Path, folder: Path, *, kills: int, seed: int) -> Iterator[Row]:
    """Kill a run at random times, resuming it each time; it saves after every step."""
    chance, run_folder = random.Random(seed), folder / "chain"
    config = write_config(volumes, run_folder, **OPTIONS)
    unreadable: list[str] = []
    lost: list[str] = []
    orphans: list[str] = []
    begun = 0
    for number in range(kills):
        write_config(volumes, run_folder, workers=number % 3, **OPTIONS)
        before = newest_step(run_folder)
        run = Run(config, resume=number > 0, anew=number % ANEW == ANEW - 1)
        if number % 2:
            run.until(partial(_is_training, run))
        time.sleep(chance.uniform(0, LONGEST_SECONDS))
        workers = run.children()
        run.send(signal.SIGKILL)
        code = run.wait()
        unreadable += as_one(f"kill {number}", faults(run_folder))
        going_on = re.search(r"going on from step (\d+)", run.said)
        from_step = int(going_on[1]) if going_on else 0
        begins_anew = "beginning at step 0" in run.said
        if code != -signal.SIGKILL or (from_step < before and (going_on or begins_anew)):
            what = f"had step {before}, went on from {from_step}, exit code {code}"
            lost.append(f"kill {number}: {what}, {run.complaints}")
        begun += bool(going_on)
        orphans += [] if are_gone(workers) else [f"kill {number}: workers live on"]
    note = f"{begun} went on from a checkpoint, {newest_step(run_folder)} steps"
    yield Row("kill -9 at a random time: all under a final name is readable", kills, unreadable)
    yield Row("... and nothing is lost: the next goes on from the newest", kills, lost, note)
    yield Row("... and no worker lives on", kills, orphans)
    steps = newest_step(run_folder) + 3
    train(write_config(volumes, run_folder, steps=steps, **OPTIONS), resume=True)
    train(write_config(volumes, folder / "straight", steps=steps, **OPTIONS))
    found = [
        name
        for name in differences(folder / "straight", run_folder)
        if name != "warnings.jsonl"  # when some are armed depends on how long the run is to be
    ]
    claim = "... and it ends as an undisturbed run, bit for bit"
    yield Row(claim, 1, as_one("differ", found))


def _is_training(run: Run) -> bool:
    return "training on" in run.said


def kills_at_changes(volumes: Path, folder: Path, *, most: int | None, seed: int) -> Iterator[Row]:
    """Kill a new and a resumed run before each change of its folder; then resume it to the end.

    Args:
        volumes: what they train on.
        folder: to work in.
        most: moments of each run that are tried, drawn at random; None: every one.
        seed: of these draws.
    """
    options = OPTIONS | {"steps": 4, "validate_every": 2, "sample_every": 3}
    straight, killed = folder / "straight", folder / "killed"
    train(write_config(volumes, straight, **options))
    config = write_config(volumes, killed, **options)
    half = folder / "half"
    late = 2 * _changes(config, killed, None) // 3
    Run(write_config(volumes, half, **options), before=lambda: _watch(half, late)).wait()
    for kind, start in (("new", None), ("resumed", half)):
        count = _changes(config, killed, start)
        moments = list(range(1, count + 1))
        if most is not None:
            moments = sorted(random.Random(seed).sample(moments, min(most, count)))
        failures = [
            f"before change {moment} of {count}: {fault}"
            for moment in moments
            for fault in _killed_before(moment, config, killed, start, straight)
        ]
        claim = f"kill -9 before a change of the folder of a {kind} run, resumed"
        yield Row(claim, len(moments), failures, f"of {count} changes")


def _killed_before(
    moment: int, config: Path, folder: Path, start: Path | None, straight: Path
) -> list[str]:
    _begin_with(folder, start)
    run = Run(config, resume=start is not None, before=lambda: _watch(folder, moment))
    if (code := run.wait()) != -signal.SIGKILL:
        return [f"exit code {code}: {run.complaints}"]
    if found := faults(folder):
        return found[:1]
    again = Run(config, resume=(folder / "config.yaml").exists())
    if code := again.wait():
        return [f"not resumed, exit code {code}: {again.complaints}"]
    return differences(straight, folder)[:1]


def _changes(config: Path, folder: Path, start: Path | None) -> int:
    """Return how often an undisturbed run changes its folder."""
    _begin_with(folder, start)
    count = config.with_suffix(".count")
    count.write_bytes(b"")
    run = Run(config, resume=start is not None, before=lambda: _watch(folder, 0, count))
    if code := run.wait():
        raise RuntimeError(f"exit code {code}: {run.complaints}")
    return count.stat().st_size


def _begin_with(folder: Path, start: Path | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if start is not None:
        shutil.copytree(start, folder)


def _watch(folder: Path, moment: int, count: Path | None = None) -> None:
    """Count the changes of `folder` from now on; kill this process before one of them."""
    seen = 0
    counting = None if count is None else os.open(count, os.O_WRONLY | os.O_APPEND)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if not (writes or event in CHANGES) or not _is_below(arguments, str(folder)):
            return
        seen += 1
        if counting is not None:
            os.write(counting, b".")
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def _is_below(arguments: tuple[Any, ...], folder: str) -> bool:
    return any(
        os.fsdecode(argument).startswith(folder)
        for argument in arguments[:2]
        if isinstance(argument, str | bytes | os.PathLike)
    )
