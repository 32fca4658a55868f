"""Lines on what a search passed over: where much of a folder is alike, one line for all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

MOST_LINES = 3  # on files of one folder that were skipped for one kind of reason
KIND_WORDS = 4  # of a reason that say its kind: "an exact copy of a.dcm", "no CT (modality MR)"


def skip_lines(skipped: Iterable[tuple[Path, str]]) -> list[str]:
    """Return what was passed over, for people, in the order of what came first.

    Args:
        skipped: each path with its reason, as in `Found.skipped`.

    >>> skip_lines([(Path("in/a.txt"), "no volume")])
    ['in/a.txt: skipped, no volume']
    >>> skip_lines([(Path(f"in/mr/{name}"), "no CT (modality MR)") for name in "abcd"])
    ['in/mr: 4 skipped, no CT (modality MR)']
    """
    alike: dict[tuple[Path, tuple[str, ...]], list[tuple[Path, str]]] = defaultdict(list)
    for path, reason in skipped:
        alike[path.parent, tuple(reason.split()[:KIND_WORDS])].append((path, reason))
    lines: list[str] = []
    for (folder, _), group in alike.items():
        if len(group) <= MOST_LINES:
            lines += [f"{path}: skipped, {reason}" for path, reason in group]
            continue
        (first, reason), *_ = group
        if len({reason for _, reason in group}) > 1:
            reason = f"such as {first.name}, {reason}"
        lines.append(f"{folder}: {len(group)} skipped, {reason}")
    return lines
