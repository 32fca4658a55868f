"""Jobs in several processes, which stop when they are told to and end with who started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NamedTuple

from medcyclegan.errors import MedCycleGANError
from medcyclegan.processes import end_with_parent

_told_to_stop = threading.Event()


class Job(NamedTuple):
    """Something to be done.

    Args:
        title: what people are told.
        function: does it; its last argument is `check`, to be called often, which raises when
            the work is to stop.
        arguments: those before.
    """

    title: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]


class Done(NamedTuple):
    """A finished job and the CPU seconds it took."""

    title: str
    seconds: float


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those it has waited for."""
    return sum(os.times()[:4])


def run_jobs(jobs: Sequence[Job], workers: int) -> Generator[Done]:
    """Do all jobs, and yield each when it is done.

    One worker does them here and in order; several are processes with one thread each. When this
    is left early, by Ctrl-C or an error, the workers are told to stop and waited for.

    Raises:
        MedCycleGANError: a job's own, or a process died.
    """
    if workers == 1:
        for job in jobs:
            yield _do(job)
        return
    with _pool(min(workers, max(1, len(jobs)))) as pool:
        waiting: list[Future[Done]] = [pool.submit(_do, job) for job in jobs]
        for future in as_completed(waiting):
            yield future.result()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise MedCycleGANError(
            "a worker died, most likely for want of memory; lower workers and go on with --resume"
        ) from error
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _do(job: Job) -> Done:
    start = cpu_seconds()
    job.function(*job.arguments, _check)
    return Done(job.title, cpu_seconds() - start)


def _check() -> None:
    if _told_to_stop.is_set():
        raise MedCycleGANError("stopped")


def _begin() -> None:
    """Prepare a worker: one thread, deaf to Ctrl-C, which its parent hears, but not to SIGTERM."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: _told_to_stop.set())
    end_with_parent()
