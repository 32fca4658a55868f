"""Where the networks run."""

from __future__ import annotations

import re

import torch

from medcyclegan.config.sections import DEVICES
from medcyclegan.errors import InputError


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
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r}: not on this machine ({reason}); use auto") from error
    return device


def describe_device(device: torch.device) -> str:
    """Return the device in words, with the number of threads on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
