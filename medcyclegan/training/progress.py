"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from medcyclegan.domains import DOMAINS

if TYPE_CHECKING:
    from rich.progress import Progress

WARM_UP_STEPS = 5  # not counted: the first steps make buffers, or compile networks
FEWEST_STEPS = 10  # counted before anything is said of the end
REMEMBERED = 101  # steps of which the median is the speed
LINE_SECONDS = 60.0  # between lines where there is no terminal
BAR_SECONDS = 0.1  # between changes of the bar


class Pace:
    """How long steps take, and how long those that are left will.

    A step's time is the median of the last 101. What comes between steps now and then (pictures,
    validations, checkpoints) is counted apart and added on average. The first five steps are left
    out: they are no measure of the others.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=REMEMBERED)
        self._counted = -WARM_UP_STEPS
        self._between = 0.0

    @property
    def known(self) -> bool:
        """Whether enough steps were counted to say anything."""
        return self._counted >= FEWEST_STEPS

    @property
    def seconds_per_step(self) -> float:
        """The median time of the last steps, seconds."""
        return statistics.median(self._recent)

    def add(self, seconds: float, between: float) -> None:
        """Take one step's seconds, and those that passed between the step before and it."""
        self._counted += 1
        if self._counted > 0:
            self._recent.append(seconds)
            self._between += max(0.0, between)

    def seconds_for(self, steps: int) -> float:
        """Return how long `steps` more steps will take with what comes between them."""
        return steps * (self.seconds_per_step + self._between / self._counted)


class RunProgress:
    """Shows how far a run is: losses, speed and the time left.

    On a terminal a bar on stderr; elsewhere `say` gets a line about every minute.

    Args:
        steps: of the whole run.
        say: takes lines for people.
        terminal: whether there is one; None looks at stderr.
    """

    def __init__(
        self, steps: int, say: Callable[[str], None], *, terminal: bool | None = None
    ) -> None:
        self.steps, self._say = steps, say
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._pace = Pace()
        self._last, self._shown = time.monotonic(), float("-inf")
        self._bar: Progress | None = None

    def __enter__(self) -> RunProgress:
        """Show the bar where there is a terminal; leaving the `with` takes it away."""
        if self._terminal:
            self._bar = _bar()
            self._bar.add_task("", total=self.steps, losses="", speed="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: int, losses: Mapping[str, float], seconds: float) -> None:
        """Take a step that is done.

        Args:
            step: how many are done with it.
            losses: name -> weighted loss.
            seconds: how long it took.
        """
        now = time.monotonic()
        self._pace.add(seconds, now - self._last - seconds)
        self._last = now
        due = now - self._shown >= (LINE_SECONDS if self._bar is None else BAR_SECONDS)
        if self._bar is not None and (due or step == self.steps):
            self._shown = now
            speed = self._speed(step) if self._pace.known else ""
            self._bar.update(
                self._bar.task_ids[0], completed=step, losses=short(losses), speed=speed
            )
        elif self._bar is None and due and self._pace.known:
            self._shown = now
            self._say(f"step {step} of {self.steps}: {self._speed(step)}, {self._end(step)}")

    def _speed(self, step: int) -> str:
        each = self._pace.seconds_per_step
        speed = f"{each:.2g} s a step" if each >= 0.5 else f"{1 / max(each, 1e-9):.3g} steps/s"
        return f"{speed}, {duration(self._pace.seconds_for(self.steps - step))} left"

    def _end(self, step: int) -> str:
        left = self._pace.seconds_for(self.steps - step)
        return f"done about {time.strftime('%a %H:%M', time.localtime(time.time() + left))}"


def short(losses: Mapping[str, float]) -> str:
    """Return losses in one short line, those of the two domains side by side.

    >>> short({"cycle_a": 1.25, "cycle_b": 2.0, "other": 0.5})
    'cycle 1.25/2.00 other 0.50'
    """
    first, second = (f"_{domain}" for domain in DOMAINS)
    parts = []
    for name, value in losses.items():
        stem = name.removesuffix(first)
        if stem != name and stem + second in losses:
            parts.append(f"{stem} {value:.2f}/{losses[stem + second]:.2f}")
        elif not name.endswith(second) or name.removesuffix(second) + first not in losses:
            parts.append(f"{name} {value:.2f}")
    return " ".join(parts)


def duration(seconds: float) -> str:
    """Return a time span for people.

    >>> duration(42.4), duration(600), duration(7500), duration(200_000)
    ('42 s', '10 min', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Column

    whole, rest = Column(no_wrap=True), Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return Progress(
        BarColumn(bar_width=10, table_column=whole),
        MofNCompleteColumn(table_column=whole),
        TextColumn("{task.fields[speed]}", markup=False, table_column=whole),
        TextColumn("{task.fields[losses]}", markup=False, table_column=rest),
        expand=True,
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # lines for a file go to the file
    )
