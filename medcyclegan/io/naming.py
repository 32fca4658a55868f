"""What found volumes are called: stems after files and folders, unique in each folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from medcyclegan.io.formats import split_suffix
from medcyclegan.io.source import Source


def own_name(path: Path) -> str:
    """Return a path's last name; where it is `.` or `..`, that of the folder it stands for.

    >>> own_name(Path("scans/p1"))
    'p1'
    """
    return path.resolve().name if path.name in ("", "..") else path.name


def with_numbers(sources: Sequence[Source]) -> list[Source]:
    """Return sources, several series of one folder or archive with their SeriesNumber added."""
    count = Counter(source.path for source in sources if _is_series(source))
    return [
        replace(source, stem=f"{source.stem}_{source.number}")
        if _is_series(source) and source.number and count[source.path] > 1
        else source
        for source in sources
    ]


def with_unique_stems(sources: Sequence[Source]) -> list[Source]:
    """Return sources with stems that differ within a folder.

    Where files of several suffixes share a stem all take the suffix in; what still shares one is
    counted: `ct`, `ct_2`, `ct_3`.
    """
    sharing: dict[tuple[PurePosixPath, str], list[Source]] = defaultdict(list)
    for source in sources:
        sharing[source.relative, source.stem].append(source)
    taken: set[tuple[PurePosixPath, str]] = set()
    unique = []
    for source in sources:
        wanted = _told_apart(source, sharing[source.relative, source.stem])
        stem, number = wanted, 1
        while (source.relative, stem) in taken:
            number += 1
            stem = f"{wanted}_{number}"
        taken.add((source.relative, stem))
        unique.append(replace(source, stem=stem))
    return unique


def _is_series(source: Source) -> bool:
    return len(source.members or source.files) > 1 and source.format == "dicom"


def _told_apart(source: Source, sharing: list[Source]) -> str:
    """Return the stem with the suffix in where volumes of several suffixes share it."""
    for suffix_of in (_short_suffix, _whole_suffix):
        suffixes = [suffix_of(one) for one in sharing]
        if len(set(suffixes)) == len(suffixes) > 1:
            return f"{source.stem}_{suffix_of(source)}"
    return source.stem


def _short_suffix(source: Source) -> str:
    return _whole_suffix(source).removesuffix("gz")


def _whole_suffix(source: Source) -> str:
    suffix = split_suffix(source.path.name)[1] if source.path in source.files else ""
    return suffix.lower().replace(".", "") or source.format
