from __future__ import annotations

import doctest
import re
import time

import pytest

from medcyclegan.training import progress as module
from medcyclegan.training.progress import Pace, RunProgress


class Clock:
    """A clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_the_first_steps_and_single_slow_ones_do_not_count() -> None:
    pace = Pace()
    for _ in range(5):
        pace.add(100.0, 50.0)  # compiling
    for number in range(100):
        assert pace.known == (number >= 10)
        pace.add(40.0 if number == 50 else 2.0, 0.0)
    assert pace.seconds_per_step == 2.0
    assert pace.seconds_for(50) == 100.0


def test_a_changed_speed_is_followed() -> None:
    pace = Pace()
    for seconds in (1.0,) * 300 + (3.0,) * 60:
        pace.add(seconds, 0.0)
    assert pace.seconds_per_step == 3.0


def test_what_comes_between_steps_is_part_of_the_time_left() -> None:
    pace = Pace()
    for number in range(105):
        pace.add(1.0, 30.0 if number % 10 == 9 else 0.0)
    assert pace.seconds_per_step == 1.0
    assert pace.seconds_for(100) == pytest.approx(100 + 10 * 30)


def test_without_a_terminal_a_line_comes_about_every_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, said = Clock(monkeypatch), list[str]()
    with RunProgress(1000, said.append, terminal=False) as progress:
        for step in range(1, 301):
            clock.now += 2.5
            progress(step, {"cycle_a": 1.0}, 2.0)
    assert len(said) == 12  # after 15 steps, then every 24 of 2.5 s
    assert re.fullmatch(
        r"step 15 of 1000: 2 s a step, 41 min left, done about \w+ \d\d:\d\d", said[0]
    )
    assert said[1].startswith("step 39 of 1000: ")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("columns", "losses"), [(160, True), (80, True), (60, False)])
def test_on_a_terminal_a_bar_shows_speed_time_left_and_losses(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    losses: bool,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("NO_COLOR", raising=False)
    said = list[str]()
    clock = Clock(monkeypatch)
    with RunProgress(100, said.append, terminal=True) as progress:
        for step in range(1, 41):
            clock.now += 0.25
            progress(step, {"cycle_a": 1.0, "cycle_b": 2.5, "[bold]odd": 3.0}, 0.25)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "40/100" in shown
    assert "4 steps/s, 15 s left" in shown
    assert ("cycle 1.00/2.50 [bold]odd 3.00" in shown) == losses
    assert "cycle 1.00" in shown
    assert said == []
