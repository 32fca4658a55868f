"""`medcyclegan train` in processes of their own, forked from one that has imported everything."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import lightning_fabric  # noqa: F401  # as torch below: imported once for all the runs
import numpy as np
import tensorboard.summary.writer.record_writer  # noqa: F401
import torch  # noqa: F401
import yaml

import medcyclegan.train  # noqa: F401
from medcyclegan.cli import main
from medcyclegan.io import write_volume
from medcyclegan.volume import Volume

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.004
ENDLESS = 1_000_000  # steps
COMMAND = "import sys; from medcyclegan.cli import main; sys.exit(main())"

Before = Callable[[], None]


def write_volumes(folder: Path) -> None:
    """Write five patients of one domain and six of the other: a trunk with noise, in air."""
    y, x = np.mgrid[-1:1:24j, -1:1:28j]
    for domain, level_hu, count in (("a", 150, 5), ("b", 40, 6)):
        for patient in range(count):
            noise = np.random.default_rng((patient, level_hu)).normal(0, 15, (24, 28, 3))
            trunk = np.where((x**2 + y**2 < 0.6)[..., None], level_hu + noise, -1000)
            volume = Volume(trunk.astype(np.int16), np.diag([2.0, 2.0, 5.0, 1.0]))
            write_volume(volume, folder / domain / f"{patient}.nii.gz")


def write_config(volumes: Path, output: Path, **training: Any) -> Path:
    """Write the config of a run with networks as small as can be; return its path."""
    config = {
        "domains": {
            "a": {"name": "contrast", "volumes": str(volumes / "a")},
            "b": {"name": "noncontrast", "volumes": str(volumes / "b")},
        },
        "slices": {"size": 16, "spacing_mm": 4.0},
        "model": {
            "kind": "cyclegan",
            "pool_size": 4,
            "generator": {"kind": "resnet", "filters": 2, "blocks": 1, "norm": "batch"},
            "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
        },
        "training": {
            "steps": ENDLESS,
            "batch_size": 2,
            "constant_fraction": 1.0,  # so that a run may be ended anywhere
            "learning_rate": 1e-3,
            "log_every": 1,
            "sample_every": 20,
            "device": "cpu",
            "threads": 1,
            "validation_fraction": 0,
            "checkpoint_minutes": 1e-6,
        }
        | training,
        "output": str(output),
    }
    path = output.with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


class Run:
    """A `medcyclegan train` at work, leader of a process group of its own.

    Args:
        config: its YAML file; what it says goes to files beside it.
        resume: whether it is to go on.
        before: called in the process before it begins.
        anew: let Python begin anew, as a person's command does, and import everything itself.
    """

    def __init__(
        self,
        config: Path,
        *,
        resume: bool = False,
        before: Before | None = None,
        anew: bool = False,
    ) -> None:
        self._out, self._err = config.with_suffix(".out"), config.with_suffix(".err")
        self._status: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            words = ["train", "--config", str(config), *(["--resume"] if resume else [])]
            self._begin(words, before, anew)

    def _begin(self, words: list[str], before: Before | None, anew: bool) -> NoReturn:
        code = 70
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for path, descriptor in ((self._out, 1), (self._err, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            if before is not None:
                before()
            if anew:
                os.execv(  # noqa: S606  # no shell is wanted
                    sys.executable, [sys.executable, "-c", COMMAND, *words]
                )
            code = main(words)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def is_over(self) -> bool:
        """Return whether it has ended."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if ended else None
        return self._status is not None

    def wait(self) -> int:
        """Wait for its end; return the exit code, or minus the signal that it died of.

        Raises:
            TimeoutError: it took minutes; it is killed.
        """
        try:
            self.until(self.is_over)
        except TimeoutError:
            self.send(signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, or the run is over.

        Raises:
            TimeoutError: neither came.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_over() and not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._err.read_text()} ... still at work")
            time.sleep(POLL_SECONDS)

    def until_stoppable(self) -> None:
        """Wait until it takes SIGTERM for itself."""
        self.until(self._hears_sigterm)

    def _hears_sigterm(self) -> bool:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
        return False

    def send(self, number: int, *, group: bool = False) -> None:
        """Send a signal to it, or to all its processes as a terminal's Ctrl-C is."""
        with contextlib.suppress(ProcessLookupError):
            if not self.is_over():
                (os.killpg if group else os.kill)(self.pid, number)

    def kill(self) -> None:
        """Kill it as `kill -9` does, and wait for its end."""
        self.send(signal.SIGKILL)
        self.wait()

    def children(self) -> list[int]:
        """Return the process ids of its workers."""
        try:
            return [
                int(pid)
                for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        except OSError:
            return []

    @property
    def said(self) -> str:
        """What it said on stdout."""
        return self._out.read_text() if self._out.exists() else ""

    @property
    def complaints(self) -> list[str]:
        """The lines that it wrote to stderr."""
        return self._err.read_text().splitlines() if self._err.exists() else []


def train(config: Path, *, resume: bool = False) -> None:
    """Train to the end.

    Raises:
        RuntimeError: it did not get there.
    """
    run = Run(config, resume=resume)
    if code := run.wait():
        raise RuntimeError(f"exit code {code}: {' '.join(run.complaints)}")


def are_gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Return whether processes have ended, or do so soon."""
    deadline = time.monotonic() + seconds
    while any(map(_lives, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
