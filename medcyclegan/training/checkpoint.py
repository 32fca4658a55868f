"""Resume state: whole, checked, and unable to run code.

A checkpoint is one file, `step-<step>-<sha256>.pt`: the digest in its name is that of its bytes,
so that a flipped bit is noticed.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from medcyclegan import files

KEEP = 2
_NAME = re.compile(r"step-\d{8,}-[0-9a-f]{64}\.pt")


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` after `step` steps and keep the one before it, no other.

    Checkpoints of later steps are of a run that went on from here before: were they kept, those
    that turned out damaged would push out the good ones.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    files.write_bytes(folder / _name(step, data), data)
    found = _newest_first(folder)
    kept = [path for path in found if _step(path) <= step][:KEEP]
    for path in found:
        if path not in kept:
            path.unlink(missing_ok=True)


def load_newest(folder: Path, say: Callable[[str], None]) -> tuple[int, dict[str, Any]] | None:
    """Return the newest undamaged checkpoint's step and state, or None; says which it passes over.

    Loaded with `weights_only=True`: a checkpoint can hold tensors and plain values only.
    """
    for path in _newest_first(folder):
        data = path.read_bytes()
        if path.name == _name(_step(path), data):
            try:
                state = torch.load(  # noqa: TID251  # with weights_only, here alone
                    io.BytesIO(data), weights_only=True, map_location="cpu"
                )
            except Exception:  # noqa: BLE001  # whatever it holds, the one before may be good
                say(f"{path.name}: not a checkpoint of ours; trying the one before")
                continue
            return _step(path), state
        say(f"{path.name}: damaged; trying the one before")
    return None


def _newest_first(folder: Path) -> list[Path]:
    ours = (path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name))
    return sorted(ours, key=lambda path: (_step(path), path.name), reverse=True)


def _name(step: int, data: bytes) -> str:
    return f"step-{step:08d}-{hashlib.sha256(data).hexdigest()}.pt"


def _step(path: Path) -> int:
    return int(path.name.split("-")[1])
