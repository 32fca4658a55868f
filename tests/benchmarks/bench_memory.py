"""Measure the peak memory of a whole training step against the plain step's.

    python tests/benchmarks/bench_memory.py [--size 256] [--batch 1]

Each kind takes two steps in a process of its own, one thread, identity loss on; the figure is the
most memory that the process ever held, libraries included (ru_maxrss).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

STEP = Path(__file__).with_name("bench_training_step.py")
TARGETS_MB = {"plain": None, "medcyclegan": 2200, "checkpointing": 1300}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    shape = ["--size", str(options.size), "--batch", str(options.batch)]
    print(
        f"peak memory of a training step, {options.size}x{options.size}, batch {options.batch}, "
        "64 filters, 9 blocks, in MB"
    )
    for name, target in TARGETS_MB.items():
        command = [sys.executable, str(STEP), *shape, "--alone", name]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"  {name:13} {peak:>6}" + ("" if target is None else f"   target {target}"))


if __name__ == "__main__":
    main()
