from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_crash_costs_one_row(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(workers, "judge", crash_on_p2)
    monkeypatch.setattr(workers, "_begin", None)
    monkeypatch.setattr("multiprocessing.get_context", forked)
    tasks = [Task(source, folder) for source in find_volumes(folder).sources]
    judged = list(workers.judge_all(tasks, count))
    assert len(judged) == len(tasks) > 3
    rows = dict(judged)
    for index, task in enumerate(tasks):
        if task.source.stem == "p2":
            assert "crashes" in rows[index].problems[0]
            assert not rows[index].accepted
        else:
            assert rows[index] == judge(task)


def test_after_a_crash_the_others_are_read_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = []

    class Counted(ProcessPoolExecutor):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            pools.append(arguments[0])
            super().__init__(*arguments, **options)

    monkeypatch.setattr(workers, "judge", crash_on_p2)
    monkeypatch.setattr(workers, "_begin", None)
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Counted)
    monkeypatch.setattr("multiprocessing.get_context", forked)
    sources = {source.stem: source for source in find_volumes(folder).sources}
    tasks = [Task(sources[stem], folder) for stem in ("p2", *["p1"] * 9)]
    assert len(list(workers.judge_all(tasks, 2))) == len(tasks)
    assert pools == [2, 1, 1, 2]  # the crash and what was beside it, each alone; then the rest


def forked(method: str) -> object:
    """The context of a test: a spawned worker could not import this file by its name."""
    import multiprocessing.context

    assert method == "spawn"
    return multiprocessing.context.ForkContext()


def test_without_workers_it_is_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ProcessPoolExecutor", None)
    tasks = [Task(source, folder) for source in find_volumes(folder).sources]
    assert len(dict(workers.judge_all(tasks, 0))) == len(tasks)
