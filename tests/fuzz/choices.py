"""Decisions taken from bytes, so that a fuzzer which changes bytes changes decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Bytes as a source of decisions; zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def number(self, below: int) -> int:
        """Return a whole number from 0 to `below` - 1."""
        size = 1 if below <= 256 else 4
        return int.from_bytes(self.take(size), "little") % below

    def pick(self, options: Sequence[T]) -> T:
        """Return one of some options."""
        return options[self.number(len(options))]

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        taken = self._data[self._place : self._place + count]
        self._place += count
        return taken.ljust(count, b"\0")

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        taken = self._data[self._place :]
        self._place = len(self._data)
        return taken
