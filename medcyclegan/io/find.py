"""Volumes in a folder tree, from names and headers alone: what to read and how to call it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path, PurePosixPath

from medcyclegan.errors import InputError, MedCycleGANError
from medcyclegan.files import TEMPORARY_PREFIX
from medcyclegan.io.formats import READERS, format_of, split_suffix
from medcyclegan.io.sorting import Series, sort_series
from medcyclegan.io.stored import reading


@dataclass(frozen=True)
class Source:
    """A volume that can be read: one file, or the files of one DICOM series.

    Args:
        path: the file or series folder as the user named it: root joined with what is below.
        relative: its folder below root; for a series of several files the one above its own.
        stem: its name in outputs, unique within `relative`.
        format: a key of `READERS`.
        files: what to read; the voxels of a detached header come after it.
    """

    path: Path
    relative: PurePosixPath
    stem: str
    format: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Found:
    """What a search came upon, each in order of path.

    Args:
        sources: volumes, as far as headers tell.
        skipped: what does not claim to be a CT volume, with the reason.
        refused: what claims to be one and cannot be, with the reason.
    """

    sources: tuple[Source, ...]
    skipped: tuple[tuple[Path, str], ...]
    refused: tuple[tuple[Path, str], ...]


def find_volumes(root: Path) -> Found:
    """Return every volume in a file, a series folder or a folder tree, in order of path.

    Folders that are links are not entered. Only headers are read, where DICOM files are sorted
    into series and voxels may lie beside their header; other files are known by their suffix.

    Args:
        root: as the user typed it.

    Raises:
        InputError: there is no such path, or nothing in it claims to be a CT volume.
    """
    if not root.exists():
        raise InputError(f"{root}: no such file or folder; check the path")
    skipped: list[tuple[Path, str]] = []
    refused: list[tuple[Path, str]] = []
    sources: list[Source] = []
    beside: set[Path] = set()  # the voxels of detached headers
    for folder, files in _folders(root, skipped, refused):
        rest = []
        for path in files:
            format_ = _claims_format(path, skipped)
            if format_:
                stem, own = split_suffix(path.name)[0], files_of(path)
                sources.append(Source(path, _below(folder, root), stem, format_, own))
                beside.update(own[1:])
            elif format_ is not None:
                rest.append(path)
        series = sort_series(
            rest,
            skip=lambda path, reason: skipped.append((path, reason)),
            refuse=lambda path, reason: refused.append((path, reason)),
        )
        _name_series(folder, root, series, sources, refused)
    if not sources and not refused:
        raise InputError(f"{root}: {_nothing_here(root, skipped)}")
    ordered = sorted(_unique_stems(sources), key=lambda source: (source.path, source.stem))
    passed_over = sorted((path, reason) for path, reason in skipped if path not in beside)
    return Found(tuple(ordered), tuple(passed_over), tuple(sorted(refused)))


def files_of(path: Path) -> tuple[Path, ...]:
    """Return a volume's or label map's file, and after a detached header the file of its voxels."""
    format_ = format_of(path.name)
    if not format_:
        return (path,)
    try:
        with reading(path):
            voxels = import_module(READERS[format_].module).voxel_file(path)
    except MedCycleGANError:
        return (path,)  # what is wrong with it is said when it is read
    return (path,) if voxels == path else (path, voxels)


def own_name(path: Path) -> str:
    """Return a path's last name; where it is `.` or `..`, that of the folder it stands for.

    >>> own_name(Path("scans/p1"))
    'p1'
    """
    return path.resolve().name if path.name in ("", "..") else path.name


def _folders(
    root: Path, skipped: list[tuple[Path, str]], refused: list[tuple[Path, str]]
) -> Iterator[tuple[Path, list[Path]]]:
    if not root.is_dir():
        yield root.parent, [root]
        return

    def cannot_enter(error: OSError) -> None:
        refused.append((Path(str(error.filename)), f"cannot be read ({error.strerror})"))

    for name, folders, files in os.walk(root, onerror=cannot_enter):
        folder = root / Path(name).relative_to(root)
        folders[:] = sorted(sub for sub in folders if not sub.startswith(TEMPORARY_PREFIX))
        for sub in folders:
            if (folder / sub).is_symlink():
                skipped.append((folder / sub, "a link to a folder"))
        yield folder, sorted(folder / file for file in files)


def _claims_format(path: Path, skipped: list[tuple[Path, str]]) -> str | None:
    """Return a key of READERS, "" where only the content can tell, None if it was skipped."""
    reason = "" if path.is_file() else "no regular file"
    if path.name.startswith("."):
        reason = "a hidden file"
    elif path.suffix.lower() == ".zip":
        reason = "a zip archive; unpack it"
    if reason:
        skipped.append((path, reason))
        return None
    return format_of(path.name)


def _below(folder: Path, root: Path) -> PurePosixPath:
    return PurePosixPath(folder.relative_to(root).as_posix() if root.is_dir() else ".")


def _name_series(
    folder: Path,
    root: Path,
    series: list[Series],
    sources: list[Source],
    refused: list[tuple[Path, str]],
) -> None:
    relative = _below(folder, root)
    name = own_name(folder)
    several = sum(len(one.slices) > 1 for one in series) > 1
    for one in series:
        files = tuple(piece.path for piece in one.slices)
        label = f"series {one.number} " if several else ""
        if one.fault:
            refused.append((folder if len(files) > 1 else files[0], f"{label}{one.fault}"))
        elif len(files) == 1:
            stem = split_suffix(files[0].name)[0]
            sources.append(Source(files[0], relative, stem, "dicom", files))
        else:
            stem = f"{name}_{one.number}" if several and one.number else name
            sources.append(Source(folder, relative.parent, stem, "dicom", files))


def _unique_stems(sources: list[Source]) -> list[Source]:
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


def _nothing_here(root: Path, skipped: list[tuple[Path, str]]) -> str:
    if len(skipped) == 1 and skipped[0][0] == root:
        return f"is no CT volume: {skipped[0][1]}"
    advice = "give CT as NIfTI, DICOM, MHA or NRRD"
    if not skipped:
        return f"holds no volume; {advice}"
    reason, count = Counter(reason for _, reason in skipped).most_common(1)[0]
    return f"holds no CT volume ({count} of {len(skipped)} files: {reason}); {advice}"
