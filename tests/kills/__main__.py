"""Kill, stop, starve and damage training runs: `python -m tests.kills [--kills N] [--seed N]`.

Prints a table of what held how often; the exit code is 1 if anything did not.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kills.table import Row

Trial = Callable[[Path], "Iterator[Row]"]


def main() -> int:
    """Run all trials or those named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("trials", nargs="*", help="by default all of them")
    parser.add_argument("--kills", type=int, default=100, help="at random times")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        os.environ["MEDCYCLEGAN_CACHE"] = str(folder / "cache")
        trials = _trials(folder / "volumes", arguments.kills, arguments.seed)
        if unknown := set(arguments.trials) - trials.keys():
            parser.error(f"no such trial: {', '.join(sorted(unknown))}; {', '.join(trials)}")
        for trial in arguments.trials or trials:
            for row in trials[trial](folder / trial):
                print("\n".join(row.lines()), flush=True)
                failed += bool(row.failures)
    print(f"{time.monotonic() - began:.0f} s; {failed or 'no'} claims failed")
    return 1 if failed else 0


def _trials(volumes: Path, kills: int, seed: int) -> dict[str, Trial]:
    """Return the trials by name; few kills make all of them short."""
    from tests.kills.filling import full_disk
    from tests.kills.flipping import flipped_bits
    from tests.kills.killing import kills_at_changes, random_kills
    from tests.kills.losing_workers import lost_workers
    from tests.kills.resuming import VARIANTS, resume_equality
    from tests.kills.runs import write_volumes
    from tests.kills.sharing import shared_folders
    from tests.kills.stopping import signals

    write_volumes(volumes)
    few = max(1, kills // 20)
    half = max(1, kills // 10)
    whole = kills >= 100
    stops = {signal.SIGTERM: max(1, kills // 5), signal.SIGUSR1: half, signal.SIGINT: half}
    variants = list(VARIANTS) if whole else list(VARIANTS)[-1:]
    return {
        "resume": lambda at: resume_equality(
            volumes, at, kills=min(10, kills), seed=seed, variants=variants
        ),
        "kills": lambda at: random_kills(volumes, at, kills=kills, seed=seed),
        "changes": lambda at: kills_at_changes(
            volumes, at, most=None if whole else kills, seed=seed
        ),
        "flips": lambda at: flipped_bits(volumes, at, flips=kills, seed=seed),
        "disk": lambda at: full_disk(volumes, at, times=half, seed=seed),
        "signals": lambda at: signals(volumes, at, times=stops, seed=seed),
        "folders": lambda at: shared_folders(volumes, at, times=few),
        "workers": lambda at: lost_workers(volumes, at, times=few),
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
