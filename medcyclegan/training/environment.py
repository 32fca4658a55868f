"""What a run ran on: versions and hardware, nothing that names a machine or a person."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("medcyclegan", "torch", "lightning-fabric", "monai", "numpy", "nibabel", "pydicom")
_CPUINFO = Path("/proc/cpuinfo")


def environment() -> dict[str, Any]:
    """Return versions, operating system, processor and GPUs, as plain values for JSON.

    There is no name of a host, a user or a folder in it; None stands for what this system does
    not tell.
    """
    import torch

    found: dict[str, Any] = {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "threads": torch.get_num_threads(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "gpus": [],
    }
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = round(properties.total_memory / 1e9, 1)
            found["gpus"].append({"name": properties.name, "memory_gb": memory})
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


def _processor() -> str | None:
    """Return the processor's model in its maker's words."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # macOS
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return asked.stdout.strip() or None
    return None


def _memory_gb() -> float | None:
    """Return the machine's memory, in units of 1e9 bytes."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None
