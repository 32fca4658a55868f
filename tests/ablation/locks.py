"""Locks by name: programs that share a folder share the work out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from medcyclegan.errors import InputError
from medcyclegan.files import locked

POLL_SECONDS = 0.5


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Yield whether `folder` could be locked; another program that holds it is not waited for."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
            held = True
        except InputError:
            held = False
        yield held


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock `folder`, when whoever holds it is done."""
    while True:
        with claimed(folder) as held:
            if held:
                yield
                return
        time.sleep(POLL_SECONDS)
