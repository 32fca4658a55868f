"""Where and how training runs: device, precision, layout, and one process or many."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import torch
from torch import Tensor, nn

from medcyclegan.errors import ConfigError, Interrupted, MedCycleGANError
from medcyclegan.models.evaluating import whole
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.networks.convolution import choose_convolutions
from medcyclegan.networks.recomputing import recompute_activations
from medcyclegan.training.device import check_compiler, describe_device
from medcyclegan.training.launch import find_places, launch, lost_process

FIRST_SPEAKS_SECONDS = 2.0  # an error that all processes meet is told by the first alone
ORDERLY_SECONDS = 30.0  # for the others to end when training has
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

Precision = Literal["fp32", "bf16"]
FABRIC_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
}


@dataclass(frozen=True)
class EngineOptions:
    """What the config says about the machine.

    Args:
        device: auto, cpu, mps, cuda or cuda:1.
        devices: processes on one machine, a GPU each; torchrun and Slurm decide for themselves.
        nodes: machines; likewise.
        precision: of the networks; auto is bf16 autocast on a GPU that has it, fp32 elsewhere.
        channels_last: memory layout; None takes it on a GPU alone.
        compile: whether torch.compile builds the networks.
        convolution: auto is Winograd's way on a CPU in fp32 without `compile`, which cannot see
            through it; plain elsewhere.
        activation_checkpointing: whether activations are computed twice instead of kept.
        threads: of a CPU, in each process; 0 shares out the cores.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool | None = None
    compile: bool = False
    convolution: Literal["auto", "plain", "winograd"] = "auto"
    activation_checkpointing: bool = False
    threads: int = 0


class Engine:
    """One process of a training run, over Lightning Fabric; the others run the same program.

    Models are not wrapped: the loop averages gradients between backward and the update, so that
    any method of the protocol trains on many devices. Only tensors pass between processes. Use it
    in a `with` statement: the other processes end where it does, and the first goes on alone.

    Args:
        options: what the config says about the machine.

    Raises:
        InputError: this machine has no such device, or not so many.
        ConfigError: options that do not go together.

    Attributes:
        device: of this process.
        rank: of this process among all; 0 is the first.
        processes: how many take part.
        precision: what was chosen.
        channels_last: what was chosen.
        convolution: what was chosen.
    """

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        places = find_places(options.device, options.devices, options.nodes)
        kind = places.devices[0].type
        self.precision: Precision = _choose_precision(options.precision, kind)
        self.channels_last = (
            kind == "cuda" if options.channels_last is None else options.channels_last
        )
        if self.channels_last and kind == "cpu":
            raise ConfigError(
                "training.channels_last: torch's gradients are wrong with it on a CPU; leave it out"
            )
        winograd = kind == "cpu" and self.precision == "fp32" and not options.compile
        self.convolution: Literal["plain", "winograd"] = (
            ("winograd" if winograd else "plain")
            if options.convolution == "auto"
            else options.convolution
        )
        if options.compile:
            check_compiler()
        self._crew = launch(places, FABRIC_PRECISION[self.precision])
        self.device: torch.device = self._crew.fabric.device
        self.rank: int = self._crew.fabric.global_rank
        self.processes: int = self._crew.fabric.world_size
        if options.threads:
            torch.set_num_threads(options.threads)
        if kind == "cuda":
            torch.backends.cudnn.benchmark = True  # crops have one size

    @property
    def first(self) -> bool:
        """Whether this process is the one that speaks, validates and writes."""
        return self.rank == 0

    def describe(self) -> str:
        """Return device, precision, convolutions and the number of processes in words."""
        words = [describe_device(self.device), self.precision, f"{self.convolution} convolutions"]
        words += ["channels_last"] if self.channels_last else []
        words += ["compiled"] if self.options.compile else []
        words += [f"{self.processes} processes"] if self.processes > 1 else []
        return ", ".join(words)

    def prepare(self, model: TranslationModel) -> tuple[str, ...]:
        """Make `model` ready for training here, equal in all processes.

        Call it before optimisers are made. A copy of `model` made later is not compiled.

        Returns:
            Warnings for people, a line each.
        """
        for part in (whole(model), model.discriminators):
            part.to(self.device).train()
            self._share_weights(part)
        said = self._share_statistics(model)
        for part in (model.generators, model.discriminators):
            choose_convolutions(part, self.convolution)
            if self.options.activation_checkpointing:
                recompute_activations(part)
            if self.channels_last:
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if self.options.compile:
                for network in part.values():
                    network.compile(dynamic=False)  # one graph for any size fails to build
        if self.precision == "bf16" and self.device.type == "cpu":
            said.append(
                "training.precision bf16 on a CPU: far slower than fp32, unless the CPU has "
                "instructions for it"
            )
        return tuple(said)

    def _share_weights(self, networks: nn.Module) -> None:
        if self.processes > 1:
            for tensor in (*networks.parameters(), *networks.buffers()):
                torch.distributed.broadcast(tensor.data, 0)

    def _share_statistics(self, model: TranslationModel) -> list[str]:
        """Take the statistics of batch norms over all processes, where torch can; say where not."""
        parts = (model.generators, model.discriminators)
        norms = [m for part in parts for m in part.modules() if isinstance(m, BATCH_NORMS)]
        if self.processes == 1 or not norms:
            return []
        if self.device.type == "cuda":
            for part in parts:
                nn.SyncBatchNorm.convert_sync_batchnorm(part)
            return []
        return [
            f"batch norm: each of the {self.processes} processes normalises by its own slices; "
            "norm: instance trains as one process would"
        ]

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context for forward passes and losses in the chosen precision."""
        return self._crew.fabric.autocast()

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace `tensors` by their means over all processes, in place.

        Each process gives as many, in the same order and of the same shapes.
        """
        if self.processes == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            same = [tensor.detach() for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            torch.distributed.all_reduce(flat)
            means = (flat / self.processes).split([tensor.numel() for tensor in same])
            for tensor, mean in zip(same, means, strict=True):
                tensor.copy_(mean.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Return whether `flag` holds in any process."""
        if self.processes == 1:
            return flag
        count = torch.tensor(float(flag), device=self.device)
        torch.distributed.all_reduce(count)
        return bool(count > 0)

    def of_first(self, number: int) -> int:
        """Return the first process's `number`."""
        if self.processes == 1:
            return number
        told = torch.tensor(number, device=self.device)
        torch.distributed.broadcast(told, 0)
        return int(told)

    def part(self, batch_size: int) -> slice:
        """Return which elements of a batch this process takes: r, r + n, r + 2n, ... of n.

        So a batch that is taken in several parts, one after the other, is in the same order
        whatever the number of processes.

        Raises:
            ConfigError: the batch does not divide among the processes.
        """
        if batch_size % self.processes:
            raise ConfigError(
                f"training.batch_size {batch_size} is for all {self.processes} processes together; "
                f"use a multiple of {self.processes}"
            )
        return slice(self.rank, batch_size, self.processes)

    def wait(self) -> None:
        """Wait for all processes."""
        self._crew.fabric.barrier()

    def close(self) -> None:
        """Wait for all processes and leave them; those that this one started have ended then."""
        self.wait()
        self._crew.disband(ORDERLY_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self.processes > 1:
            self._leave(error)
        if not self.first and (error is None or _is_stop(error)):
            raise SystemExit(0)  # the first tells how it ended

    def _leave(self, error: BaseException) -> None:
        """Leave the others because of `error`, which all, some or this process alone may have met.

        Raises:
            MedCycleGANError: it is that another process ended.
        """
        lost = isinstance(error, RuntimeError) and "gloo" in str(error)
        lost = lost or isinstance(error, torch.distributed.DistError)
        if not self.first and not _is_stop(error):
            time.sleep(FIRST_SPEAKS_SECONDS)
        seconds = ORDERLY_SECONDS if _is_stop(error) else FIRST_SPEAKS_SECONDS * lost
        codes = self._crew.disband(seconds)
        if lost:
            raise MedCycleGANError(lost_process(codes)) from error


def _choose_precision(asked: Literal["auto", "fp32", "bf16"], kind: str) -> Precision:
    if asked != "auto":
        return asked
    gpu = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if gpu else "fp32"


def _is_stop(error: BaseException) -> bool:
    return isinstance(error, Interrupted | KeyboardInterrupt)
