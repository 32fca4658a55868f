"""What a command says when a signal stops it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from medcyclegan.cli.options import tell
from medcyclegan.errors import Interrupted


@contextlib.contextmanager
def stoppable(line: str) -> Iterator[None]:
    """Say `line` when Ctrl-C, SIGTERM or SIGUSR1 stop what is inside and says nothing itself.

    Raises:
        Interrupted: with that line, after SIGTERM and SIGUSR1.
        KeyboardInterrupt: after Ctrl-C.
    """
    caught: list[int] = []

    def stop(number: int, _frame: object) -> None:
        caught.append(number)
        raise KeyboardInterrupt  # unlike other errors, nothing on the way takes it for its own

    old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    except KeyboardInterrupt as error:
        if caught:
            raise Interrupted(line) from error
        tell(str(error) or line)
        raise
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
