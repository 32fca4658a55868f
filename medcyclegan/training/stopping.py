"""Signals that ask training to stop."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator
from types import FrameType

from torch import Tensor, nn

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stopped(BaseException):
    """A signal came where work may be broken off; nothing on the way takes it for its own."""


class Signals:
    """Collects SIGTERM, SIGUSR1 and Ctrl-C instead of dying of them.

    Only the main thread of a program can: elsewhere signals are left to whoever runs it.

    Attributes:
        caught: the first that came; None before.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._at_once = False

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Collect signals while what is inside goes on.

        One that comes within a finaliser, where Python can raise nothing, is heard after the step.
        """
        try:
            old = {number: signal.signal(number, self._note) for number in STOPPING}
        except ValueError:  # not the main thread
            old = {}
        tell = sys.unraisablehook
        sys.unraisablehook = lambda found: None if _is_stop(found) else tell(found)
        try:
            yield
        finally:
            sys.unraisablehook = tell
            for number, handler in old.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Break off what is inside when a signal comes.

        Raises:
            Stopped: one came, before or inside.
        """
        try:
            self._at_once = True
            if self.caught is not None:
                raise Stopped
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, _frame: FrameType | None) -> None:
        first = self.caught is None
        self.caught = self.caught or number
        if first and self._at_once:
            raise Stopped


def _is_stop(found: sys.UnraisableHookArgs) -> bool:
    return isinstance(found.exc_value, Stopped)


@contextlib.contextmanager
def hearing(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Let signals be heard between the layers of a backward pass while what is inside goes on.

    Python hears them between its own steps alone. A backward pass through layers of torch's own is
    one such step, and of large networks on a CPU it takes a minute.
    """
    layers = [layer for part in networks for layer in part.modules() if _is_leaf(layer)]
    handles = [layer.register_forward_hook(_listen) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _listen(_layer: nn.Module, _inputs: object, output: object) -> None:
    if isinstance(output, Tensor) and output.requires_grad:
        output.register_hook(_hear)


def _hear(_gradient: Tensor) -> None:
    """Do nothing: that Python is called is enough."""
