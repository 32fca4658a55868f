"""Volumes in a folder tree, from names and headers alone: what to read and how to call it."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path, PurePosixPath

from medcyclegan.errors import InputError, MedCycleGANError
from medcyclegan.files import TEMPORARY_PREFIX
from medcyclegan.io import archive
from medcyclegan.io.data_set import DataSet, open_data_set
from medcyclegan.io.dicom.sorting import Series, sort_series
from medcyclegan.io.dicom.survey import read_headers
from medcyclegan.io.formats import READERS, format_of, split_suffix
from medcyclegan.io.naming import own_name, with_numbers, with_unique_stems
from medcyclegan.io.source import Found, Source
from medcyclegan.io.stored import ReadOptions, one_line, printable, reading

MOST_PARTS = 4096  # of one file; a header that claims more lies

Progress = Callable[[int, int], None]
Noted = list[tuple[Path, str]]


def find_volumes(
    root: Path, options: ReadOptions = ReadOptions(), *, progress: Progress | None = None
) -> Found:
    """Return every volume in a file, a series folder, a zip or a folder tree, in order of path.

    Folders that are links are not entered, nor hidden ones. Only headers are read, where DICOM
    files are sorted into series and voxels may lie beside their header; other files are known by
    their suffix. Of an nnU-Net or MSD data set only the training images are searched. What was
    found in an archive bears the archive's path, and why it is refused begins with the member's
    name; what is skipped there bears that name below the archive's.

    Args:
        root: as the user typed it.
        options: how the volumes are to be read.
        progress: is told now and then how many headers are read, and of how many.

    Raises:
        InputError: there is no such path, or nothing in it claims to be a CT volume.
    """
    _check_exists(root)
    data_set = open_data_set(root)
    search = _Search(root, options, progress, data_set)
    search.run()
    if not search.sources and not search.refused:
        raise InputError(f"{root}: {_nothing_here(root, search.skipped)}")
    named = with_unique_stems(with_numbers(search.sources))
    return Found(
        tuple(sorted(named, key=lambda source: (source.path, source.stem))),
        tuple(sorted(search.skipped)),
        tuple(sorted(search.refused)),
        data_set,
    )


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


def _check_exists(root: Path) -> None:
    try:
        exists = root.exists()
    except OSError as error:
        raise InputError(f"{root}: cannot be read ({one_line(error)}); check the path") from error
    if not exists:
        raise InputError(f"{root}: no such file or folder; check the path")


@dataclass
class _Search:
    """One folder tree and what it holds, as far as seen."""

    root: Path
    options: ReadOptions
    progress: Progress | None = None
    data_set: DataSet | None = None
    sources: list[Source] = field(default_factory=list)
    skipped: Noted = field(default_factory=list)
    refused: Noted = field(default_factory=list)

    def run(self) -> None:
        """Look at every file, then sort what may be DICOM into series."""
        unnamed: list[Path] = []  # only their content can tell
        beside: set[Path] = set()  # the voxels of detached headers
        for path in self._files():
            format_ = format_of(path.name)
            if not self._is_wanted(path):
                continue
            if path.name.lower().endswith(archive.SUFFIX):
                self._open_archive(path)
            elif format_:
                files = files_of(path)
                beside.update(files[1:])
                self.sources += self._volumes(path, format_, files)
            else:
                unnamed.append(path)
        headers = read_headers([path for path in unnamed if path not in beside], self.progress)
        series = sort_series(
            headers,
            skip=lambda path, reason: self.skipped.append((path, reason)),
            refuse=lambda path, reason: self.refused.append((path, reason)),
            options=self.options,
        )
        self._take_series(series)

    def below(self, folder: Path) -> PurePosixPath:
        """Return a folder as seen from the root."""
        inside = self.root.is_dir()
        return PurePosixPath(folder.relative_to(self.root).as_posix() if inside else ".")

    def _files(self) -> Iterator[Path]:
        """Yield files in order of path, and note folders that are not entered."""
        if not self.root.is_dir():
            yield self.root
            return

        def cannot_enter(error: OSError) -> None:
            self.refused.append((Path(str(error.filename)), f"cannot be read ({error.strerror})"))

        start = self.root if self.data_set is None else self.data_set.images
        for name, folders, files in os.walk(start, onerror=cannot_enter):
            folder = self.root / Path(name).relative_to(self.root)
            for sub in sorted(folders):
                reason = "a hidden folder" if sub.startswith(".") else ""
                with contextlib.suppress(OSError):  # a path too long: said where it is entered
                    reason = "a link to a folder" if (folder / sub).is_symlink() else reason
                if reason and not sub.startswith(TEMPORARY_PREFIX):
                    self.skipped.append((folder / sub, reason))
            folders[:] = sorted(sub for sub in folders if not sub.startswith("."))
            yield from sorted(folder / file for file in files)

    def _is_wanted(self, path: Path) -> bool:
        try:
            reason = "" if path.is_file() else "no regular file"
        except OSError as error:
            self.refused.append((path, f"cannot be read ({error.strerror})"))
            return False
        if path.name.startswith("."):
            reason = "a hidden file"
        elif not reason and self.data_set is not None:
            reason = self.data_set.skips(path.name)
        if reason:
            self.skipped.append((path, reason))
        return not reason

    def _volumes(self, path: Path, format_: str, files: tuple[Path, ...]) -> list[Source]:
        stem = split_suffix(path.name)[0]
        whole = Source(path, self.below(path.parent), stem, format_, files, options=self.options)
        count = self._count(path, format_)
        if count == 1:
            return [whole]
        return [replace(whole, stem=f"{stem}_v{part + 1}", part=part) for part in range(count)]

    def _count(self, path: Path, format_: str) -> int:
        if not self.options.split_4d:
            return 1
        try:
            with reading(path):
                count = int(import_module(READERS[format_].module).volume_count(path))
        except MedCycleGANError:
            return 1  # what is wrong with it is said when it is read
        return count if 1 < count <= MOST_PARTS else 1

    def _take_series(self, series: list[Series]) -> None:
        several = Counter(one.home for one in series if len(one.files) > 1)
        for one in series:
            first, relative = one.files[0], self.below(one.home)
            alone = len(one.files) == 1
            path = first if alone else one.home
            if one.fault:
                label = f"series {one.number} " if not alone and several[one.home] > 1 else ""
                self.refused.append((path, f"{label}{one.fault}"))
                continue
            source = Source(
                path,
                relative if alone else relative.parent,
                split_suffix(first.name)[0] if alone else own_name(one.home),
                "dicom",
                one.files,
                uid=one.uid,
                number=one.number,
                options=self.options,
            )
            self.sources.append(source)

    def _open_archive(self, path: Path) -> None:
        """Take what an archive holds as if it were a folder, under the archive's own path."""
        if not path.stat().st_size:
            self.skipped.append((path, "an empty file"))
            return
        try:
            with archive.unpacked(path) as folder:
                inner = _Search(folder, self.options)
                inner.run()
        except MedCycleGANError as error:
            self.refused.append((path, str(error).removeprefix(f"{path}: ")))
            return
        if not inner.sources and not inner.skipped and not inner.refused:
            self.skipped.append((path, "an empty archive"))
        for where, why in inner.skipped:
            member = path / printable(where.relative_to(folder).as_posix())
            self.skipped.append((member, why.replace(f"{folder}/", "")))
        self.refused += [(path, _in_archive(where, why, folder)) for where, why in inner.refused]
        stem, relative = split_suffix(path.name)[0], self.below(path.parent)
        for source in inner.sources:
            several = len(inner.sources) > 1 and source.path in source.files
            self.sources.append(
                replace(
                    source,
                    path=path,
                    relative=relative,
                    stem=f"{stem}_{source.stem}" if several else stem,
                    files=(path,),
                    members=tuple(file.relative_to(folder).as_posix() for file in source.files),
                )
            )


def _in_archive(where: Path, why: str, folder: Path) -> str:
    """Return a reason that names a member of an archive, not where it was unpacked."""
    if where != folder:
        why = f"{printable(where.relative_to(folder).as_posix())}: {why}"
    return why.replace(f"{folder}/", "")


def _nothing_here(root: Path, skipped: Noted) -> str:
    if len(skipped) == 1 and skipped[0][0] == root:
        return f"is no CT volume: {skipped[0][1]}"
    advice = "give CT as NIfTI, DICOM, MHA or NRRD"
    if not skipped:
        return f"holds no volume; {advice}"
    reason, count = Counter(reason for _, reason in skipped).most_common(1)[0]
    return f"holds no CT volume ({count} of {len(skipped)} files: {reason}); {advice}"
