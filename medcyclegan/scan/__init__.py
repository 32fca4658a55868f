"""One row about every volume in a folder: what it is, its contrast phase, if it can be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medcyclegan.cases import find_cases
from medcyclegan.io import find_volumes
from medcyclegan.io.skipped import skip_lines
from medcyclegan.io.stored import ReadOptions
from medcyclegan.scan.judging import Task, below
from medcyclegan.scan.proposal import Proposal, propose_config
from medcyclegan.scan.rows import ScanRow, rows_to_csv, rows_to_json
from medcyclegan.scan.workers import cores, judge_all

__all__ = [
    "OrganLabels",
    "Proposal",
    "Scan",
    "ScanRow",
    "cores",
    "propose_config",
    "rows_to_csv",
    "rows_to_json",
    "scan",
]

Progress = Callable[[str, int, int], None]


class Scan(NamedTuple):
    """What a scan came upon.

    Args:
        rows: one for each volume, in order of path.
        skipped: what does not claim to be a CT volume, with its path as typed; see `skip_lines`.
    """

    rows: list[ScanRow]
    skipped: list[str]


@dataclass(frozen=True)
class OrganLabels:
    """Label maps whose organs are evidence of the contrast phase.

    Args:
        path: folder of label maps, or the one of a single volume; see `find_cases`.
        tissues: name of an organ -> its label values; empty takes the names that labels bring.
    """

    path: Path
    tissues: Mapping[str, tuple[int, ...]]


def scan(
    folder: Path,
    options: ReadOptions = ReadOptions(),
    *,
    labels: OrganLabels | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Scan:
    """Return a row for each volume in a file or folder tree, and what was passed over.

    Every volume is read, since its HU and its contrast phase are in its voxels.

    Args:
        folder: or a file, a series, a zip, a data set; as the user typed it.
        options: how volumes are read.
        labels: label maps, where there are.
        workers: processes, so that a crash costs one row; 0 reads everything in this one. The rows
            are the same for any number.
        progress: is told what is counted, how many are done, and of how many.

    Raises:
        InputError: there is no such folder, or nothing in it claims to be a CT volume.
    """
    tasks, refused, skipped = _tasks(folder, options, labels, progress)
    rows = [
        ScanRow(below(path, folder), "", problems=(reason.removeprefix(f"{path}: "),))
        for path, reason in refused
    ]
    judged: dict[int, ScanRow] = {}
    for index, row in judge_all(tasks, workers):
        judged[index] = row
        if progress is not None:
            progress("volumes", len(judged), len(tasks))
    rows += [judged[index] for index in sorted(judged)]
    return Scan(sorted(rows, key=lambda row: row.path), skipped)


def _tasks(
    folder: Path, options: ReadOptions, labels: OrganLabels | None, progress: Progress | None
) -> tuple[list[Task], list[tuple[Path, str]], list[str]]:
    """Return volumes to judge, what is refused with its reason, and what was passed over."""
    if labels is not None:
        found = find_cases(folder, labels.path, options)
        tasks = [Task(case.source, folder, case.label, labels.tissues) for case in found.cases]
        return tasks, found.refused, found.warnings

    def files(done: int, of: int) -> None:
        if progress is not None:
            progress("files", done, of)

    volumes = find_volumes(folder, options, progress=files)
    tasks = [Task(source, folder) for source in volumes.sources]
    return tasks, list(volumes.refused), skip_lines(volumes.skipped)
