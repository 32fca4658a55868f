"""What a run folder tells of its training, read with suspicion and in bounded memory."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medcyclegan import files
from medcyclegan.config import load_config
from medcyclegan.errors import CheckpointError, ConfigError
from medcyclegan.report.series import Series
from medcyclegan.training.events import read_times
from medcyclegan.training.logs import METRICS, SAMPLES, TENSORBOARD, WARNINGS

VALIDATION = "validation/"
SCORE = VALIDATION + "score"
FIGURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./ -]{0,79}")  # names that can be shown
MOST_NAMES = 200
MOST_LINES = 50_000  # of training figures that are read; of more, every second, third, ...
MOST_WARNINGS = 200  # that are shown
MOST_PICTURES = 12
MOST_PICTURE_BYTES = 12_000_000  # of all together
MOST_LINE_BYTES = 100_000
MOST_FILE_BYTES = 1_000_000  # of a config or the environment
MOST_STEP = 10**12
_SAMPLE = re.compile(r"step-(\d{8,12})\.png")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Validations:
    """What validations found.

    Args:
        series: name -> its figures, in order; the names without `validation/`.
        count: how many validations there were.
        best: step and figures of the lowest score, the first such.
        last: step and figures of the last.
    """

    series: dict[str, Series] = field(default_factory=dict)
    count: int = 0
    best: tuple[int, Mapping[str, float]] | None = None
    last: tuple[int, Mapping[str, float]] | None = None

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of one line."""
        named = {name.removeprefix(VALIDATION): value for name, value in figures.items()}
        _add(self.series, step, named)
        if "score" not in named:
            return
        self.count += 1
        self.last = (step, named)
        if self.best is None or named["score"] < self.best[1]["score"]:
            self.best = (step, named)


@dataclass
class Run:
    """What a run folder tells.

    Args:
        name: of the folder.
        config: its text as it stands there.
        domains: names of domain a and b.
        planned: how many steps the config asks for; None: it cannot be read.
        step: the last one logged.
        finished: whether training came to its end.
        figures: name -> its values, in order, those of validations apart.
        validations: what those found.
        warnings: step and text, the last of them.
        warned: how many there were.
        pictures: step and PNG, from first to last.
        drawn: how many pictures there are in the folder.
        environment: what it ran on.
        pace: seconds a step, over the steps.
        hours: how long it trained, less what was done twice.
        sittings: how often it was begun or resumed.
    """

    name: str
    config: str
    domains: tuple[str, str] = ("a", "b")
    planned: int | None = None
    step: int = 0
    finished: bool = False
    figures: dict[str, Series] = field(default_factory=dict)
    validations: Validations = field(default_factory=Validations)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    warned: int = 0
    pictures: list[tuple[int, bytes]] = field(default_factory=list)
    drawn: int = 0
    environment: dict[str, Any] = field(default_factory=dict)
    pace: Series = field(default_factory=Series)
    hours: float = 0.0
    sittings: int = 0


def read_run(folder: Path) -> Run:
    """Return what `folder` tells of its training, running, stopped or finished.

    Raises:
        CheckpointError: there is no run.
    """
    config = folder / "config.yaml"
    try:
        text = _start_of(config) if config.is_file() else None
    except OSError as error:
        raise CheckpointError(f"{config}: cannot be read ({error.strerror})") from error
    if text is None:
        raise CheckpointError(
            f"{folder}: no run there ({config.name} is missing); give a folder that train wrote"
        )
    run = Run(name=folder.resolve().name, config=text.decode("utf-8", "replace"))
    _read_config(run, config)
    _read_metrics(run, folder / METRICS)
    _read_warnings(run, folder / WARNINGS)
    _read_pictures(run, folder / SAMPLES)
    _read_times(run, folder / TENSORBOARD)
    run.finished = (folder / "finished.json").exists()
    run.environment = _environment(folder / "environment.json")
    return run


def _start_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MOST_FILE_BYTES)


def _read_config(run: Run, path: Path) -> None:
    try:
        config = load_config(path)
    except ConfigError:
        return  # of another version: shown as it stands
    run.planned = config.training.steps
    run.domains = (config.domains.a.name, config.domains.b.name)


def _read_metrics(run: Run, path: Path) -> None:
    """Read all validations, and as many of the other lines as can be shown."""
    every, last = None, b""
    for number, line in enumerate(_lines(path)):
        if every is None:
            every = 1 + path.stat().st_size // (len(line) * MOST_LINES)
        validation = VALIDATION.encode() in line
        last = line
        if number % every and not validation:
            continue
        found = _object(line)
        if found is None:
            continue
        step, figures = found
        run.step = max(run.step, step)
        if validation:
            run.validations.add(step, figures)
        else:
            _add(run.figures, step, figures)
    if found := _object(last):  # it may be one that was passed over
        run.step = max(run.step, found[0])


def _read_warnings(run: Run, path: Path) -> None:
    last: deque[tuple[int, str]] = deque(maxlen=MOST_WARNINGS)
    for line in _lines(path):
        found = _parsed(line)
        if found is not None and isinstance(text := found.get("warning"), str):
            run.warned += 1
            last.append((found["step"], text))
    run.warnings = list(last)


def _read_pictures(run: Run, folder: Path) -> None:
    """Read pictures of steps spread evenly, the first and the last among them."""
    named = ((_SAMPLE.fullmatch(path.name), path) for path in folder.glob("step-*.png"))
    paths = sorted((int(name[1]), path) for name, path in named if name)
    run.drawn = len(paths)
    if not paths:
        return
    largest = max(path.stat().st_size for _, path in paths)
    count = max(1, min(MOST_PICTURES, len(paths), MOST_PICTURE_BYTES // max(1, largest)))
    last = len(paths) - 1
    chosen = {last - round(place * last / max(1, count - 1)) for place in range(count)}
    for place in sorted(chosen):
        step, path = paths[place]
        with path.open("rb") as stream:
            data = stream.read(MOST_PICTURE_BYTES + 1)
        if data.startswith(_PNG) and len(data) <= MOST_PICTURE_BYTES:
            run.pictures.append((step, data))


def _read_times(run: Run, folder: Path) -> None:
    sittings = [sitting for sitting in read_times(folder) if sitting]
    run.sittings = len(sittings)
    for number, sitting in enumerate(sittings):
        again = min((later[0][0] for later in sittings[number + 1 :]), default=math.inf)
        before: tuple[int, float] | None = None
        for step, time in sitting:
            if step >= again:
                break  # lost, and done again
            if before is not None and step > before[0] and time > before[1]:
                run.pace.add(step, (time - before[1]) / (step - before[0]))
                run.hours += (time - before[1]) / 3600
            if before is None or step > before[0]:
                before = (step, time)


def _environment(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_start_of(path))
    except files.NOT_OURS:
        return {}
    return found if isinstance(found, dict) else {}


def _add(series: dict[str, Series], step: int, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        if name not in series:
            if len(series) >= MOST_NAMES:
                continue
            series[name] = Series()
        series[name].add(step, value)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield whole lines that are not too long; none where there is no file."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        while line := stream.readline(MOST_LINE_BYTES):
            if line.endswith(b"}\n"):
                yield line


def _object(line: bytes) -> tuple[int, dict[str, float]] | None:
    """Return the step of a line and those of its figures that can be shown."""
    found = _parsed(line)
    if found is None:
        return None
    return found["step"], {
        name: float(value)
        for name, value in found.items()
        if name != "step" and FIGURE.fullmatch(name) and _is_figure(value)
    }


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line's object, if it has a step."""
    try:
        found = json.loads(line)
        right = type(found["step"]) is int and 0 <= found["step"] <= MOST_STEP
    except files.NOT_OURS:
        return None
    return found if right else None


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
