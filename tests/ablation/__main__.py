"""Find a recipe by evidence: `python -m tests.ablation OUT [--stage S ...] [--rows NAME ...]`.

Each row is trained on phantom patients for as much CPU time as the others of its stage, measured
against exact twins of patients that nobody trained on, and put into its table of docs/ablation.md.
Rows that are there are not done again. Started several times over the same OUT, it shares the rows
out. Runs and cohorts stay in OUT. The exit code is 1 if a row could not be trained.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "ablation.md"


def main(typed: Sequence[str] | None = None) -> int:
    """Do all rows or those named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation", description=__doc__)
    parser.add_argument("out", type=Path, help="folder of cohorts and runs")
    parser.add_argument("--stage", nargs="+", default=[], metavar="S", help="these alone")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="these alone")
    parser.add_argument("--list", action="store_true", help="say what is done and what is not")
    options = parser.parse_args(typed)
    from medcyclegan.errors import MedCycleGANError
    from tests.ablation.jobs import is_done, jobs_of, work
    from tests.ablation.rows import check_stages
    from tests.ablation.stages import STAGES

    try:
        check_stages(STAGES)
        jobs = list(jobs_of(STAGES))
        for option, names in (
            (options.stage, {job.table for job in jobs}),
            (options.rows, {job.name for job in jobs}),
        ):
            if unknown := set(option) - names:
                parser.error(f"there is no {', '.join(sorted(unknown))}; see --list")
        jobs = [
            job
            for job in jobs
            if (not options.stage or job.table in options.stage)
            and (not options.rows or job.name in options.rows)
        ]
        if options.list:
            for job in jobs:
                print("done   " if is_done(job, DOCUMENT) else "missing", job.name)
            return 0
        out = options.out.resolve()
        os.environ.setdefault("MEDCYCLEGAN_CACHE", str(out / "cache"))
        failed = work(jobs, out, DOCUMENT, lambda line: print(line, flush=True))
    except MedCycleGANError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
