"""What a run writes down as it goes: figures, warnings and pictures of samples, step by step."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from medcyclegan import files
from medcyclegan.errors import MedCycleGANError
from medcyclegan.training.events import EventFile

METRICS = "metrics.jsonl"
WARNINGS = "warnings.jsonl"
SAMPLES = "samples"
TENSORBOARD = "tensorboard"
_PICTURE = re.compile(r"step-(\d{8,})\.png")


class RunLog:
    """Keeps `metrics.jsonl`, `warnings.jsonl`, `samples/` and `tensorboard/` of a run folder.

    What is written is on the file system when the call returns. A run that goes on from an earlier
    step begins by dropping what it will write again, and the half line or record that a killed
    run may have left.

    Args:
        folder: the run folder.
        first_step: what is there of this step and later is dropped.

    Raises:
        MedCycleGANError: the disk is full, read-only or not ours.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self.folder = folder
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in (METRICS, WARNINGS):
                _drop_lines(folder / name, first_step)
            for path in (folder / SAMPLES).glob("step-*.png"):
                found = _PICTURE.fullmatch(path.name)
                if found and int(found[1]) >= first_step:
                    path.unlink(missing_ok=True)
            self._events = EventFile(folder / TENSORBOARD, first_step)

    def __enter__(self) -> RunLog:
        """Return this log; leaving the `with` closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def losses(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield step and figures of what was logged of training, not of validation, so far."""
        path = self.folder / METRICS
        for line in path.read_bytes().splitlines() if path.exists() else ():
            values = json.loads(line)
            step = values.pop("step")
            if not any("/" in name for name in values):
                yield step, {name: x for name, x in values.items() if x is not None}

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line of figures; one that is not finite is null in the line.

        Args:
            step: how many steps are done.
            values: name -> figure. TensorBoard groups names by what stands before their slash;
                those without one are shown below `training/`.
        """
        figures = {name: float(value) for name, value in values.items()}
        finite = {name: x if math.isfinite(x) else None for name, x in figures.items()}
        self._append(METRICS, {"step": step} | finite)
        with _writing(self.folder / TENSORBOARD):
            self._events.scalars(
                step,
                {name if "/" in name else f"training/{name}": x for name, x in figures.items()},
            )

    def warn(self, step: int, text: str) -> None:
        """Append a warning: one line for people, with its figure."""
        self._append(WARNINGS, {"step": step, "warning": text})

    def picture(self, step: int, png: bytes) -> None:
        """Keep the picture of samples after `step` steps, a PNG."""
        files.write_bytes(self.folder / SAMPLES / f"step-{step:08d}.png", png)
        with _writing(self.folder / TENSORBOARD):
            self._events.picture(step, "samples", png)

    def close(self) -> None:
        """Close the files."""
        self._events.close()

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        path = self.folder / name
        with _writing(path), path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")


def _drop_lines(path: Path, first_step: int) -> None:
    """Keep the whole lines of steps before `first_step`."""
    if not path.exists():
        return
    with files.atomic_path(path) as temporary, path.open("rb") as old, temporary.open("wb") as new:
        new.writelines(line for line in old if _is_before(line, first_step))


def _is_before(line: bytes, first_step: int) -> bool:
    try:
        return line.endswith(b"}\n") and int(json.loads(line)["step"]) < first_step
    except files.NOT_OURS:
        return False  # cut off, or blocks that never reached the disk


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise MedCycleGANError(
            f"{path}: cannot write ({reason}); make room and go on with --resume"
        ) from error
