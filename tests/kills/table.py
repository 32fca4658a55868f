"""What a trial found, as a line of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


def as_one(where: str, faults: list[str]) -> list[str]:
    """Return the faults that one attempt showed as one failure, if there are any."""
    return [f"{where}: {'; '.join(faults)}"] if faults else []


class Row(NamedTuple):
    """One claim: how often it was put to the test, how often it held, and what did not hold."""

    claim: str
    tried: int
    failures: list[str]
    note: str = ""

    def lines(self) -> Iterator[str]:
        """Return the row as it is printed, with the first failures below."""
        held = self.tried - len(self.failures)
        yield f"{self.claim:<66} {held:>4} of {self.tried:<4} {self.note}".rstrip()
        for failure in self.failures[:5]:
            yield f"    FAILED {failure}"
