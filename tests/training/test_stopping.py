from __future__ import annotations

import inspect
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest
import torch
from torch import nn

from medcyclegan.training import stopping
from medcyclegan.training.stopping import STOPPING, Signals, Stopped, hearing


def send_and(go_on: Callable[[], None]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    go_on()


def shrug_off(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001  # as somebody's network or reader may do
        pytest.fail("taken")


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_noted_and_nothing_else_happens(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    signals = Signals()
    with signals.collected():
        assert signals.caught is None
        os.kill(os.getpid(), number)
        assert signals.caught == number
    assert signal.getsignal(number) is before


def test_the_first_one_counts() -> None:
    signals = Signals()
    with signals.collected():
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert signals.caught == signal.SIGUSR1


def test_it_breaks_off_what_may_be_broken_off() -> None:
    signals = Signals()
    done: list[str] = []
    with signals.collected():
        with pytest.raises(Stopped), signals.at_once():
            send_and(lambda: done.append("more"))
        with pytest.raises(Stopped), signals.at_once():
            done.append("more after it")
        os.kill(os.getpid(), signal.SIGTERM)  # what comes while a checkpoint is written
    assert done == []


def test_what_came_before_breaks_off_at_once() -> None:
    signals = Signals()
    with signals.collected():
        with signals.at_once():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped), signals.at_once():
            pytest.fail("begun")


def stopped_at(place: int, code: CodeType) -> bool:
    """Return whether a signal at the `place`th line of `code` keeps the work from beginning."""
    lines = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not code:
            return None
        if event == "line" and next(lines) == place:
            os.kill(os.getpid(), signal.SIGTERM)
        return trace

    signals, before, begun = Signals(), sys.gettrace(), False
    with signals.collected():
        sys.settrace(trace)
        try:
            with signals.at_once():
                begun = True
        except Stopped:
            return not begun
        finally:
            sys.settrace(before)
    return False


def test_it_is_heard_wherever_in_the_beginning_it_comes() -> None:
    """Between the look at what came before and the work itself, too: a step may take a minute."""
    code = inspect.unwrap(Signals.at_once).__code__
    assert all(stopped_at(place, code) for place in range(3))


class Finalised:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_one_that_comes_within_a_finaliser_is_noted_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    signals = Signals()
    with signals.collected(), signals.at_once():
        Finalised()
    assert signals.caught == signal.SIGTERM
    assert not told
    assert sys.unraisablehook == told.append


def test_an_error_handler_does_not_take_it_for_its_own() -> None:
    signals = Signals()
    with signals.collected(), pytest.raises(Stopped), signals.at_once():
        shrug_off(lambda: os.kill(os.getpid(), signal.SIGTERM))


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with Signals().collected():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(2, 1, 3)))


def test_signals_are_heard_after_each_layer_of_a_backward_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(stopping, "_hear", lambda gradient: heard.append(1))
    layers = network()
    with hearing([layers]):
        layers(torch.rand(1, 1, 8, 8)).sum().backward()
        with torch.no_grad():
            layers(torch.rand(1, 1, 8, 8))
    assert len(heard) == 3
    layers(torch.rand(1, 1, 8, 8)).sum().backward()
    assert len(heard) == 3


def test_a_backward_pass_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals()
    monkeypatch.setattr(stopping, "_hear", lambda gradient: os.kill(os.getpid(), signal.SIGTERM))
    layers = network()
    with signals.collected(), hearing([layers]):
        loss = layers(torch.rand(1, 1, 8, 8)).sum()
        with pytest.raises(Stopped), signals.at_once():
            loss.backward()
    assert all(weight.grad is None for weight in layers.parameters())
