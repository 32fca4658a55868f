"""Volumes judged in several processes: a crash costs one volume, an end of the parent ends all."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from medcyclegan.processes import end_with_parent
from medcyclegan.scan.judging import Task, judge, refused
from medcyclegan.scan.rows import ScanRow

CRASHED = "reading it crashes, or takes more memory than there is; leave it out, or convert it"


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def judge_all(tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, ScanRow]]:
    """Yield the index and the row of each task, in the order they are done.

    Where a process dies, what was being read at that moment is read again, each alone: what kills
    its process a second time is refused.

    Args:
        tasks: volumes.
        workers: processes; 0 judges here, where a crash would end the whole.
    """
    if not workers:
        yield from ((index, judge(task)) for index, task in enumerate(tasks))
        return
    waiting = deque(range(len(tasks)))
    while waiting:
        for index in (yield from _together(tasks, waiting, workers)):
            if (yield from _together(tasks, deque([index]), 1)):
                yield index, refused(tasks[index], CRASHED)


def _together(
    tasks: Sequence[Task], waiting: deque[int], workers: int
) -> Generator[tuple[int, ScanRow], None, list[int]]:
    """Yield rows of what is waiting, until a worker dies; return what was in hand then."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(waiting)), context, initializer=_begin)
    in_hand: dict[Future[ScanRow], int] = {}
    try:
        while waiting or in_hand:
            while waiting and len(in_hand) < workers:
                future = pool.submit(judge, tasks[waiting[0]])
                in_hand[future] = waiting.popleft()
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                row = future.result()
                yield in_hand.pop(future), row
    except BrokenProcessPool:
        return sorted(in_hand.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return []


def _begin() -> None:
    """Prepare a worker: deaf to Ctrl-C, which its parent hears, and gone when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
