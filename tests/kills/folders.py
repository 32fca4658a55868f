"""What must be true of a run folder at any moment, and when two of them are the same."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medcyclegan import files
from medcyclegan.errors import MedCycleGANError
from medcyclegan.training.checkpoint import load_newest
from medcyclegan.translator import Translator

CHECKPOINT = re.compile(r"step-(\d+)-([0-9a-f]{64})\.pt")


def newest_step(folder: Path) -> int:
    """Return the step of the newest complete checkpoint; 0 where there is none."""
    steps = (_step_of(path) for path in (folder / "checkpoints").glob("*"))
    return max((step for step in steps if step is not None), default=0)


def logged_steps(folder: Path) -> int:
    """Return how many lines the log of figures has."""
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def faults(folder: Path) -> list[str]:
    """Return what lies there under a final name and cannot be read back."""
    return [
        f"{path.relative_to(folder)}: {fault}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_temporary(path.relative_to(folder))
        for fault in _faults_of(path)
    ]


def temporaries(folder: Path) -> list[Path]:
    """Return the temporary files and locks that lie there."""
    return [path for path in folder.rglob("*") if _is_temporary(path.relative_to(folder))]


def differences(one: Path, other: Path) -> list[str]:
    """Return by name what two finished runs do not share bit for bit: state, logs, models."""
    found = sorted(_differing(*(_newest_state(folder) for folder in (one, other))))
    for pattern in ("*.jsonl", "finished.json", "model*/*", "samples/*"):
        names = {p.relative_to(folder) for folder in (one, other) for p in folder.glob(pattern)}
        found += [str(name) for name in sorted(names) if not _same(one / name, other / name)]
    return found


def flat(state: Any, name: str = "state") -> dict[str, Any]:
    """Return all that a state holds by its dotted name."""
    if isinstance(state, dict):
        return {k: v for key, x in state.items() for k, v in flat(x, f"{name}.{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for i, x in enumerate(state) for k, v in flat(x, f"{name}.{i}").items()}
    return {name: state}


def _is_temporary(path: Path) -> bool:
    return any(part.startswith(files.TEMPORARY_PREFIX) or part == files.LOCK for part in path.parts)


def _faults_of(path: Path) -> Iterator[str]:
    if path.parent.name == "checkpoints":
        if _step_of(path) is None:
            yield "is no complete checkpoint"
    elif path.name == "model.json":
        try:
            Translator.load(path.parent, "cpu")
        except MedCycleGANError as error:
            yield str(error)
    elif not CHECKS.get(path.suffix, _anything)(path.read_bytes()):
        yield "is cut off"


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _is_lines(data: bytes) -> bool:
    return all(map(_is_json, data.split(b"\n")[:-1]))  # a last line may be cut off


def _is_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG") and b"IEND" in data[-12:]


def _anything(_data: bytes) -> bool:
    return True


CHECKS = {".json": _is_json, ".jsonl": _is_lines, ".png": _is_png}


def _step_of(path: Path) -> int | None:
    """Return the step of a checkpoint that is whole."""
    found = CHECKPOINT.fullmatch(path.name)
    if found is None:
        return None
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # the run at work has just removed it
        return None
    if hashlib.sha256(data).hexdigest() != found[2]:
        return None
    torch.load(io.BytesIO(data), weights_only=True)  # noqa: TID251  # whether it can be read
    return int(found[1])


def _newest_state(folder: Path) -> dict[str, Any]:
    said: list[str] = []
    found = load_newest(folder / "checkpoints", said.append)
    if found is None or said:
        raise RuntimeError(f"{folder}: no good checkpoint: {said}")
    return flat(found[1]) | {"step": found[0]}


def _differing(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for name in one.keys() | other.keys():
        first, second = one.get(name), other.get(name)
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            same = first.dtype == second.dtype and torch.equal(first, second)
        else:
            same = type(first) is type(second) and first == second
        if not same:
            yield name


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.read_bytes() == other.read_bytes()
