"""A few kills of each kind; `make kills` has many."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_runs_survive_a_few_kills_of_each_kind(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--kills", "2", "--seed", "1"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    *rows, last = done.stdout.splitlines()
    assert last.endswith("no claims failed")
    counts = [re.search(r" (\d+) of (\d+)", row) for row in rows]
    assert len(counts) == 20
    assert all(count and count[1] == count[2] for count in counts)
