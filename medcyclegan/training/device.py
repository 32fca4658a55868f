"""Where the networks run."""

from __future__ import annotations

import os
import re
import shutil

import torch

from medcyclegan.config.sections import DEVICES
from medcyclegan.errors import ConfigError, InputError

COMPILERS = ("c++", "g++", "clang++")


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is the first GPU, else the CPU.

    Raises:
        InputError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(DEVICES, name):
        raise InputError(f"device {name!r}: unknown; use auto, cpu, mps, cuda or cuda:1")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise InputError(f"device {name!r}: not on this machine ({reason}); use auto") from error
    return device


def describe_device(device: torch.device) -> str:
    """Return the device in words, with the number of threads on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = torch.get_num_threads()
    return f"{device.type}, {count} thread{'' if count == 1 else 's'}"


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that the device had no memory left.

    A GPU's has a class of its own; a CPU's is a RuntimeError among others, told by its words.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("DefaultCPUAllocator", "MPS backend out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def check_compiler() -> None:
    """Check that torch.compile has the C++ compiler it calls.

    Raises:
        ConfigError: there is none.
    """
    asked = os.environ.get("CXX")
    if not any(map(shutil.which, (asked,) if asked else COMPILERS)):
        raise ConfigError(
            "training.compile: torch.compile needs a C++ compiler; install g++, or set it to false"
        )
