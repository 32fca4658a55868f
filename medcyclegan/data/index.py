"""Which volumes a domain is made of: files, folders and globs of the config, resolved."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from medcyclegan.errors import InputError

if TYPE_CHECKING:
    from medcyclegan.io import Source


class DomainSources(NamedTuple):
    """The volumes a domain names, and one line for each thing found that is none."""

    sources: list[Source]
    messages: list[str]


def open_domain(volumes: str | list[str], key: str) -> DomainSources:
    """Return the volumes that `volumes` names, in its order, each once.

    A folder is searched to its depth. A glob (`*`, `?`, `[...]`, `**`) stands for the files and
    folders it matches, sorted; where it matches all DICOM files of a series they are one volume,
    else each file is one of its own. A path that exists is never read as a glob. Files that are
    no CT in HU, or cannot be read right, are left out with a message.

    Args:
        volumes: a file, folder, glob, or list of them, relative to the working directory.
        key: the config key that named them, for example "domains.a.volumes".

    Raises:
        InputError: nothing is at a path, a glob matches nothing, a folder holds no volume, or no
            volume is left; the message names `key` and the path as given.
    """
    domain = DomainSources([], [])
    known: set[tuple[Path, ...]] = set()
    for entry in [volumes] if isinstance(volumes, str) else volumes:
        found = _entry(entry, key)
        domain.messages.extend(found.messages)
        for source in found.sources:
            files = tuple(file.resolve() for file in source.files)
            if files not in known:
                known.add(files)
                domain.sources.append(source)
    if not domain.sources:
        reason = f"; {domain.messages[0]}" if domain.messages else "; the list is empty"
        raise InputError(f"{key}: no CT volume to be used{reason}")
    return domain


def _entry(entry: str, key: str) -> DomainSources:
    if Path(entry).exists():
        try:
            return _search(Path(entry))
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    if not glob.has_magic(entry):
        raise InputError(f"{key}: {entry}: no such file or folder; correct the path")
    matches = sorted(glob.glob(entry, recursive=True))
    if not matches:
        raise InputError(f"{key}: {entry}: matches no file or folder; correct the pattern")
    found = DomainSources([], [])
    for match in matches:
        try:
            sources, messages = _search(Path(match))
        except InputError as error:
            found.messages.append(str(error))
        else:
            found.sources.extend(sources)
            found.messages.extend(messages)
    return DomainSources(_grouped(found.sources), found.messages)


def _search(path: Path) -> DomainSources:
    from medcyclegan.io import find_volumes

    found = find_volumes(path)
    refused = [f"{file}: {reason}" for file, reason in found.refused]
    skipped = [f"{file}: skipped, {reason}" for file, reason in found.skipped]
    return DomainSources(list(found.sources), refused + skipped)


def _grouped(sources: list[Source]) -> list[Source]:
    """Return `sources` with single DICOM files that make up whole series put together."""
    single = {
        source.files[0]: source
        for source in sources
        if source.format == "dicom" and len(source.files) == 1
    }
    series: dict[Path, Source] = {}
    for folder in sorted({file.parent for file in single}):
        siblings = [file for file in single if file.parent == folder]
        if len(siblings) > 1:
            for source in _search(folder).sources:
                if len(source.files) > 1 and single.keys() >= set(source.files):
                    series |= dict.fromkeys(source.files, source)
    result: dict[tuple[Path, ...], Source] = {}
    for source in sources:
        whole = series.get(source.files[0], source) if len(source.files) == 1 else source
        result[whole.files] = whole
    return list(result.values())
