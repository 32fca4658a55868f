"""What is known of a scan for good: worked out once, kept while the scan lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from medcyclegan.metrics.reference import Scan

T = TypeVar("T")


class Remembered(Generic[T]):
    """A function of a scan that is worked out once for each scan.

    A patient's source and the target patients are looked at again for every method that is
    measured. What was worked out goes when the scan itself goes. Decorates a function whose first
    argument is the scan and whose others can be keys of a dictionary.

    Args:
        make: (scan, ...) -> what is kept.
    """

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._known: dict[int, dict[Hashable, T]] = {}
        self.__doc__ = make.__doc__

    def __call__(self, scan: Scan, *others: Hashable) -> T:
        """Return what the function gives of this scan, from memory where it was asked before."""
        key = id(scan)
        if key not in self._known:
            self._known[key] = {}
            weakref.finalize(scan, self._known.pop, key).atexit = False
        of_scan = self._known[key]
        if others not in of_scan:
            of_scan[others] = self._make(scan, *others)
        return of_scan[others]
