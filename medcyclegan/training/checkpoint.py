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

LATEST = 2  # kept whatever else is
_NAME = re.compile(r"step-\d{8,}-[0-9a-f]{64}\.pt")


def save_checkpoint(
    folder: Path, step: int, state: dict[str, Any], *, best: int | None = None, every: int = 0
) -> None:
    """Write `state` after `step` steps; of those before, keep the last one and those asked for.

    Checkpoints of later steps are of a run that went on from here before: were they kept, those
    that turned out damaged would push out the good ones.

    Args:
        folder: where checkpoints lie.
        step: updates done.
        state: tensors and plain values.
        best: the step whose checkpoint is kept as long as it is the best.
        every: checkpoints of multiples of this are kept for good; 0: of none.

    Raises:
        MedCycleGANError: the disk is full or read-only; those before are as they were.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getbuffer()
    name = _name(step, data)
    with files.atomic_path(folder / name) as temporary, temporary.open("wb") as stream:
        stream.write(data)
    found = _newest_first(folder)
    latest = [path for path in found if _step(path) <= step][:LATEST]
    for path in found:
        of = _step(path)
        kept = of <= step and (of == best or (every > 0 and of % every == 0))
        if path not in latest and not kept:
            path.unlink(missing_ok=True)


def load_newest(folder: Path, say: Callable[[str], None]) -> tuple[int, dict[str, Any]] | None:
    """Return the newest undamaged checkpoint's step and state, or None; says which it passes over.

    Loaded with `weights_only=True`: a checkpoint can hold tensors and plain values only.
    """
    for path in _newest_first(folder):
        try:
            data = path.read_bytes()
        except OSError as error:
            say(f"{path.name}: cannot be read ({error.strerror}); trying the one before")
            continue
        if path.name != _name(_step(path), data):
            say(f"{path.name}: damaged; trying the one before")
            continue
        try:
            state = torch.load(  # noqa: TID251  # with weights_only, here alone
                io.BytesIO(data), weights_only=True, map_location="cpu"
            )
        except Exception:  # noqa: BLE001  # whatever it holds, the one before may be good
            say(f"{path.name}: not a checkpoint of ours; trying the one before")
            continue
        return _step(path), state
    return None


def _newest_first(folder: Path) -> list[Path]:
    ours = (path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name))
    return sorted(ours, key=lambda path: (_step(path), path.name), reverse=True)


def _name(step: int, data: bytes | memoryview) -> str:
    return f"step-{step:08d}-{hashlib.sha256(data).hexdigest()}.pt"


def _step(path: Path) -> int:
    return int(path.name.split("-")[1])
