"""What became of the volumes of a run, said as it comes and summed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from medcyclegan.errors import InputError


@dataclass(frozen=True)
class Summary:
    """What became of the volumes.

    Args:
        written: translated volumes, written by this run (by a dry run: that would be).
        skipped: translated volumes that were finished before.
        failed: volumes that were refused, each with the reason.
        warnings: what else a person should know, one line each.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Report:
    """Fills a summary, and says refusals as they come.

    While nothing is finished the last one is kept back, since it may become the error: leaving the
    block raises it if nothing ever was.

    Args:
        say: told one line at a time.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.summary = Summary()
        self._say = say
        self._kept = ""

    def warn(self, line: str) -> None:
        """Note and say what a person should know."""
        self.summary.warnings.append(line)
        self._say(line)

    def refuse(self, path: Path, reason: str) -> None:
        """Note a volume that is not translated, with the line that says why."""
        self._say_kept()
        self.summary.failed.append((path, reason))
        self._kept = reason
        if self.summary.written or self.summary.skipped:
            self._say_kept()

    def finish(self, output: Path, *, made: bool) -> None:
        """Note a volume that is translated, by this run or before."""
        (self.summary.written if made else self.summary.skipped).append(output)
        self._say_kept()

    def _say_kept(self) -> None:
        if self._kept:
            self._say(self._kept)
        self._kept = ""

    def __enter__(self) -> None:
        """Begin with the volumes."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._kept:
            raise InputError(self._kept)
        self._say_kept()
