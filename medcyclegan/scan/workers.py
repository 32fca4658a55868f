"""Volumes judged in several processes: a crash costs one volume, an end of the parent ends all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from medcyclegan.scan.judging import Task, judge, refused
from medcyclegan.scan.rows import ScanRow

CRASHED = "reading it crashes, or takes more memory than there is; leave it out, or convert it"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def judge_all(tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, ScanRow]]:
    """Yield the index and the row of each task, in the order they are done.

    Args:
        tasks: volumes.
        workers: processes; 1 judges here, where a crash would end the whole.
    """
    if workers == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks):
            yield index, judge(task)
        return
    done: set[int] = set()
    for index, row in _together(tasks, range(len(tasks)), min(workers, len(tasks))):
        done.add(index)
        yield index, row
    for index in (index for index in range(len(tasks)) if index not in done):
        alone = list(_together(tasks, [index], 1))
        yield alone[0] if alone else (index, refused(tasks[index], CRASHED))


def _together(
    tasks: Sequence[Task], chosen: Sequence[int], workers: int
) -> Iterator[tuple[int, ScanRow]]:
    """Yield what is done before a worker dies, if one does."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    try:
        index_of = {pool.submit(judge, tasks[index]): index for index in chosen}
        for future in as_completed(index_of):
            try:
                yield index_of[future], future.result()
            except BrokenProcessPool:
                continue
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Prepare a worker: deaf to Ctrl-C, which its parent hears, and gone when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
