"""The processes of one training run: found where torchrun or Slurm started them, or started.

Without either, the first process starts the command again for each further device of the machine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from medcyclegan.errors import ConfigError, InputError
from medcyclegan.training.device import choose_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

PARENT = "MEDCYCLEGAN_PARENT"  # the process that starts others tells them its number
PATIENCE = dt.timedelta(hours=12)  # others wait while the first reads volumes, validates
POLL_SECONDS = 0.5
HUNG_SECONDS = 60.0
LAST_WORDS_SECONDS = 3.0  # when another process fails, this one may fail by itself, and say why
CHANGED = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")  # by Fabric
CHANGED_TOO = ("OMP_NUM_THREADS", PARENT)


class Places(NamedTuple):
    """Where the processes of a run are.

    Args:
        environment: who started them.
        devices: of the processes on this machine.
        nodes: machines.
    """

    environment: ClusterEnvironment
    devices: list[torch.device]
    nodes: int


@dataclass
class Crew:
    """The processes of a run, seen from one of them.

    Args:
        fabric: Lightning Fabric, launched.
        children: processes that this one started.
        before: environment variables as they were before it did.
        leaving: set when this process no longer minds that others end.
    """

    fabric: Fabric
    children: Sequence[subprocess.Popen[bytes]]
    before: dict[str, str | None]
    leaving: threading.Event

    def disband(self, seconds: float) -> list[int]:
        """Leave the others; return the exit codes of those that this one started, if they failed.

        Args:
            seconds: those that take longer to end are ended.
        """
        self.leaving.set()
        if torch.distributed.is_initialized():
            hung = threading.Timer(HUNG_SECONDS, _end_alone)  # a GPU may wait for the others
            hung.daemon = True
            hung.start()
            torch.distributed.destroy_process_group()
            hung.cancel()
        deadline = time.monotonic() + seconds
        for child in self.children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        return [child.returncode for child in self.children if child.returncode]


def find_places(device: str, devices: int, nodes: int) -> Places:
    """Return where the processes of this run are.

    Args:
        device: auto, cpu, mps, cuda or cuda:1.
        devices: processes on one machine, where neither torchrun nor Slurm started this one.
        nodes: machines, likewise.

    Raises:
        InputError: this machine has no such device, or not so many.
        ConfigError: what torchrun, Slurm or the config say cannot be done.
    """
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        devices, nodes = _count_torchrun()
        return Places(TorchElasticEnvironment(), _devices(device, devices, nodes), nodes)
    if "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        devices, nodes = _count_slurm()
        return Places(SLURMEnvironment(), _devices(device, devices, nodes, own=True), nodes)
    if nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise ConfigError(
            f"training.nodes {nodes}: start the command on each machine by torchrun or Slurm, or "
            "with MASTER_ADDR, MASTER_PORT and NODE_RANK set"
        )
    return Places(LightningEnvironment(), _devices(device, devices, nodes), nodes)


def launch(places: Places, precision: Literal["32-true", "bf16-mixed"]) -> Crew:
    """Start the processes that nobody started yet; return when all have met.

    Args:
        places: where they are.
        precision: Fabric's name of it.
    """
    with _quiet():
        fabric = _make_fabric(places, precision)
        if len(places.devices) * places.nodes == 1:
            fabric.launch()
            return Crew(fabric, (), {}, threading.Event())
        _follow_parent()
        before = {name: os.environ.get(name) for name in (*CHANGED, *CHANGED_TOO)}
        os.environ[PARENT] = str(os.getpid())
        launcher: Any = fabric.strategy.launcher
        started: list[subprocess.Popen[bytes]] = launcher.procs
        met, leaving = threading.Event(), threading.Event()
        _start(_watch, started, met, 0.0)
        fabric.launch()
        children = list(started)
        met.set()
        started.clear()  # Fabric, which kills the first process when another fails, sees none
    _start(_watch, children, leaving, LAST_WORDS_SECONDS)
    return Crew(fabric, children, before, leaving)


def _make_fabric(places: Places, precision: Literal["32-true", "bf16-mixed"]) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    kind = places.devices[0].type
    if len(places.devices) * places.nodes == 1:
        index = places.devices[0].index
        devices = 1 if index is None else [index]
        return Fabric(
            accelerator=kind, devices=devices, precision=precision, plugins=[places.environment]
        )
    strategy = DDPStrategy(
        parallel_devices=places.devices, cluster_environment=places.environment, timeout=PATIENCE
    )
    there = sorted({device.index for device in places.devices}) if kind == "cuda" else 1
    return Fabric(
        accelerator=kind,
        strategy=strategy,
        devices=there,
        num_nodes=places.nodes,
        precision=precision,
    )


def _count_torchrun() -> tuple[int, int]:
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if everywhere % here:
        raise ConfigError(
            f"torchrun: {here} of {everywhere} processes are on this machine; start equally many "
            "on each"
        )
    return here, everywhere // here


def _count_slurm() -> tuple[int, int]:
    tasks, nodes = (int(os.environ.get(f"SLURM_{name}", "1")) for name in ("NTASKS", "NNODES"))
    here = os.environ.get("SLURM_NTASKS_PER_NODE", "")
    if not here.isdecimal() or int(here) * nodes != tasks:
        raise ConfigError(
            f"Slurm: {tasks} tasks on {nodes} machines; give --ntasks-per-node, the same for all"
        )
    return int(here), nodes


def _devices(device: str, count: int, nodes: int, *, own: bool = False) -> list[torch.device]:
    """Return the device of each of `count` processes on this machine.

    With `own`, each process may have been shown its own GPU alone, as Slurm does when asked to.
    """
    if count * nodes == 1:
        return [choose_device(device)]
    kind = choose_device("auto").type if device == "auto" else device
    if kind == "cpu":
        return [torch.device("cpu")] * count
    if kind != "cuda":
        raise ConfigError(
            f"training.device {device!r} is one device; {count * nodes} processes take cuda or cpu"
        )
    there = torch.cuda.device_count()
    if own and there == 1:
        return [torch.device("cuda", 0)] * count
    if there < count:
        raise InputError(f"training.devices {count}: this machine has {there} GPUs; use fewer")
    return [torch.device("cuda", index) for index in range(count)]


def _watch(
    children: Sequence[subprocess.Popen[bytes]], leaving: threading.Event, seconds: float
) -> None:
    """End this process when one of `children` failed, which it may wait for in vain."""
    while not leaving.wait(POLL_SECONDS):
        codes = [child.poll() for child in children]
        if any(codes) and not leaving.wait(seconds):
            for child in children:
                child.kill()
            _end_alone([code for code in codes if code])


def _end_alone(codes: Sequence[int] = ()) -> None:
    sys.stderr.write(f"{lost_process(codes)}\n")
    os._exit(1)


def lost_process(codes: Sequence[int]) -> str:
    """Return what is said when other processes of the run ended before their time."""
    how = f" with exit code {codes[0]}" if codes else ""
    return f"another process of this run ended{how}; go on from the last checkpoint with --resume"


def _follow_parent() -> None:
    """See to it that this process ends when the one that started it does, however that ends."""
    parent = os.getppid()
    if os.environ.get(PARENT) == str(parent):
        _start(_end_after, parent)


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _start(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Fabric's tips to itself."""
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning_fabric")
        yield
