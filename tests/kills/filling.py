"""A disk that takes no more."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.kills.folders import faults, newest_step, temporaries
from tests.kills.runs import Run, train, write_config
from tests.kills.table import Row, as_one

DISK = "4m"
MOST_LEFT = 60_000  # bytes free on a disk that is nearly full
CLAIM = "one line, exit 1, all readable, no temporaries; goes on when there is room"


def full_disk(volumes: Path, folder: Path, *, times: int, seed: int) -> Iterator[Row]:
    """Fill the disk under a run at work, with some bytes left at random; then make room."""
    chance = random.Random(seed)
    with _small_disk(folder) as disk:
        failures = []
        for number in range(times):
            left = chance.randrange(MOST_LEFT) if disk else 0
            found = _filled(volumes, folder / "disk" / f"run{number}", left, disk)
            failures += as_one(f"{left} bytes left", found)
        kind = "disk full (tmpfs)" if disk else "no file may be large (no tmpfs allowed here)"
        yield Row(f"{kind}: {CLAIM}", times, failures)


def _filled(volumes: Path, folder: Path, left: int, disk: bool) -> list[str]:
    config = write_config(volumes, folder)  # what is said must have room: it lies elsewhere
    config = Path(shutil.move(config, folder.parent.parent))
    run = Run(config, before=None if disk else _limit)
    run.until(lambda: newest_step(folder) >= 2)
    filler = folder.parent / "filler"
    if disk:
        _fill(filler, left)
    code, complaints = run.wait(), run.complaints
    found = [] if code == 1 else [f"exit code {code}: {complaints}"]
    if len(complaints) != 1 or "cannot write" not in complaints[0]:
        found.append(f"said {complaints}")
    found += faults(folder) + [f"{path} is left" for path in temporaries(folder)]
    filler.unlink(missing_ok=True)
    before = newest_step(folder)
    if disk and before < 2:
        found.append("the checkpoint is lost")
    train(write_config(volumes, folder, steps=before + 2), resume=True)
    shutil.rmtree(folder)  # room for the next
    return found


def _fill(path: Path, left: int) -> None:
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    os.truncate(path, max(0, path.stat().st_size - left))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk where that is allowed."""
    (folder / "disk").mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder / "disk")]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", str(folder / "disk")], check=True)
