from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medcyclegan.io import find_volumes
from medcyclegan.scan import workers
from medcyclegan.scan.judging import Task, judge
from medcyclegan.scan.rows import ScanRow


def crash_on_p2(task: Task) -> ScanRow:
    """Stands for a native library that takes its process with it; a worker imports it by name."""
    if task.source.stem == "p2":
        os._exit(11)
    return judge(task)


def test_a_crash_costs_one_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "judge", crash_on_p2)
    monkeypatch.setattr(workers, "_begin", None)
    monkeypatch.setattr("multiprocessing.get_context", forked)
    tasks = [Task(source, folder) for source in find_volumes(folder).sources]
    rows = dict(workers.judge_all(tasks, 2))
    assert sorted(rows) == list(range(len(tasks)))
    for index, task in enumerate(tasks):
        if task.source.stem == "p2":
            assert "crashes" in rows[index].problems[0]
            assert not rows[index].accepted
        else:
            assert rows[index] == judge(task)


def forked(method: str) -> object:
    """The context of a test: a spawned worker could not import this file by its name."""
    import multiprocessing.context

    assert method == "spawn"
    return multiprocessing.context.ForkContext()


def test_one_worker_is_this_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write_body: Callable[..., Path]
) -> None:
    del write_body
    monkeypatch.setattr(workers, "ProcessPoolExecutor", None)
    tasks = [Task(source, folder) for source in find_volumes(folder).sources]
    assert len(dict(workers.judge_all(tasks, 1))) == len(tasks)
