"""Batches drawn ahead by other processes, the same whatever their number."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import math
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Generator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import numpy as np
import torch

from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.errors import MedCycleGANError
from medcyclegan.processes import end_with_parent

AHEAD = 2  # batches each worker draws before they are asked for
MOST_NAMED = 4  # volumes in an error
START: Literal["fork", "spawn"] = "fork" if sys.platform == "linux" else "spawn"
DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the parent decides what they mean
TURN_SECONDS = 1.0  # of waiting; a run that is stopped for an hour has waited one turn, not an hour
WHAT_TO_DO = "check them and the memory, and go on with --resume"


class BatchLoader:
    """Batches of unpaired slices, step by step, prepared ahead by worker processes.

    A batch depends on its step alone (see `UnpairedSlices`), so the number of workers changes
    nothing but time. Workers write into memory that all share and only ever say "done": one that
    is killed or stopped at any moment cannot block who waits for it. With `torch.utils.data`'s
    loader it can, whatever its timeout, as tensors are handed over by the worker itself.

    Workers do not hear Ctrl-C, SIGTERM and SIGUSR1, which their parent acts on, and end with it.

    Args:
        slices: what batches are drawn from.
        steps: of the whole run; the last batch is that of step `steps - 1`.
        workers: processes; 0 draws here, when a batch is asked for.
        pin: put batches into page-locked memory, for asynchronous copies to a GPU.
        part: which elements of each batch this process takes.
        timeout_seconds: how long a batch may take before its worker counts as hung.
    """

    def __init__(
        self,
        slices: UnpairedSlices,
        *,
        steps: int,
        workers: int,
        pin: bool = False,
        part: slice = slice(None),
        timeout_seconds: float = 120.0,
    ) -> None:
        self.slices = slices
        self.steps = steps
        self.workers = workers
        self.pin = pin
        self.part = part
        self.timeout_seconds = timeout_seconds

    def batches(self, first_step: int) -> Generator[Pair[torch.Tensor]]:
        """Yield the batches of step `first_step` and all after it, (B, C, H, W) for each domain.

        Close the generator, or run it to its end, and the workers are gone.

        Args:
            first_step: from 0.

        Raises:
            MedCycleGANError: a worker died or hangs; names the step and the volumes it draws from.
        """
        steps = range(first_step, self.steps)
        if not self.workers or not steps:
            for step in steps:
                batch = self.slices.batch(step, self.part)
                yield Pair(*(side.pin_memory() for side in batch)) if self.pin else batch
            return
        crew = _Crew(self.slices, self.part, min(self.workers, len(steps)))
        try:
            crew.start()
            for step in steps[: crew.places]:
                crew.ask(step)
            for step in steps:
                self._wait_for(crew, step)
                shared = crew.room[step % crew.places]
                batch = Pair(*(side.pin_memory() if self.pin else side.clone() for side in shared))
                if step + crew.places < self.steps:
                    crew.ask(step + crew.places)
                yield batch
        finally:
            crew.end()

    def _wait_for(self, crew: _Crew, step: int) -> None:
        process, connection = crew.worker(step)
        turn = min(TURN_SECONDS, self.timeout_seconds)
        for _ in range(math.ceil(self.timeout_seconds / turn)):
            ready = wait([connection, process.sentinel], turn)
            if connection in ready:
                try:
                    connection.recv()
                except (EOFError, OSError):
                    process.join()
                else:
                    return
            if ready:
                raise self._failure(step, _how_it_ended(process))
        raise self._failure(step, f"gave nothing for {self.timeout_seconds:g} s")

    def _failure(self, step: int, what: str) -> MedCycleGANError:
        names = self.slices.names(step, self.part)
        named = ", ".join(names[:MOST_NAMED])
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return MedCycleGANError(
            f"step {step}: the worker that draws from {named}{more} {what}; {WHAT_TO_DO}"
        )


class _Crew:
    """The workers, and the memory they write batches into.

    Each place in it belongs to one worker, which fills it when it is asked for a step and says
    so by the step's number: a message too short to be written by halves.
    """

    def __init__(self, slices: UnpairedSlices, part: slice, workers: int) -> None:
        self.workers = workers
        self.places = AHEAD * workers
        self._context: ForkContext | SpawnContext = (
            multiprocessing.get_context("fork")
            if START == "fork"
            else multiprocessing.get_context("spawn")
        )
        batch_size = len(range(slices.batch_size)[part])
        shape = (self.places, 2, batch_size, slices.neighbors, slices.size, slices.size)
        memory = self._context.RawArray(ctypes.c_float, math.prod(shape))
        self._work = (slices, part, memory, shape)
        self.room = _as_tensor(memory, shape)
        self._crew: list[tuple[BaseProcess, Connection]] = []

    def start(self) -> None:
        """Start the workers; MedCycleGANError where the system has no room for them."""
        atexit.register(self.end)  # before multiprocessing asks them to end, and they are deaf
        before = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF_TO)  # which a worker inherits
        try:
            for _ in range(self.workers):
                self._crew.append(self._start_one())
        except OSError as error:
            raise MedCycleGANError(
                f"training.workers: cannot start {self.workers} processes ({error.strerror}); "
                "lower it"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _start_one(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, *self._work), daemon=True)
        with theirs, warnings.catch_warnings():  # Python 3.12 warns of threads: see `_serve`
            warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
            process.start()
        return process, ours

    def worker(self, step: int) -> tuple[BaseProcess, Connection]:
        """Return who draws the batch of this step."""
        return self._crew[step % self.workers]

    def ask(self, step: int) -> None:
        """Ask for the batch of this step; what was in its place is lost."""
        with contextlib.suppress(OSError):  # dead: that is noticed when its batch is waited for
            self.worker(step)[1].send(step)

    def end(self) -> None:
        """End the workers, hung ones too: they hold nothing that must be kept."""
        atexit.unregister(self.end)
        for process, connection in self._crew:
            process.kill()
            process.join()
            connection.close()
        self._crew.clear()


def _serve(
    connection: Connection, slices: UnpairedSlices, part: slice, memory: Any, shape: tuple[int, ...]
) -> None:
    """Draw what is asked for, until killed.

    With one thread no parallel region is entered, which after a fork would wait forever for the
    threads of the parent.
    """
    end_with_parent()
    torch.set_num_threads(1)
    room = _as_tensor(memory, shape)
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            step = connection.recv()
            for place, drawn in zip(room[step % len(room)], slices.batch(step, part), strict=True):
                place.copy_(drawn)
            connection.send(step)


def _as_tensor(memory: Any, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(memory, np.float32)).view(shape)


def _how_it_ended(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
