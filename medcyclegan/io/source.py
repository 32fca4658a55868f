"""A volume that was found and not yet read: where it lies and how to read it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from medcyclegan.files import sha256
from medcyclegan.io.data_set import DataSet
from medcyclegan.io.stored import ReadOptions, reading


@dataclass(frozen=True)
class Source:
    """A volume that can be read: one file, or the files of one DICOM series.

    Args:
        path: the file, archive or series folder as the user named it: root joined with what is
            below.
        relative: its folder below root; for a series of several files the one above its own.
        stem: its name in outputs, unique within `relative`.
        format: a key of `READERS`.
        files: what to read; the voxels of a detached header come after it.
        members: of a zip archive, the one file of `files`: names within it of what to read.
        part: which volume of a file of several, from 0; None where it holds one.
        uid: SeriesInstanceUID; empty for formats without one.
        number: SeriesNumber as text; empty for formats without one.
        options: how to read it.
    """

    path: Path
    relative: PurePosixPath
    stem: str
    format: str
    files: tuple[Path, ...]
    members: tuple[str, ...] = ()
    part: int | None = None
    uid: str = ""
    number: str = ""
    options: ReadOptions = ReadOptions()


@dataclass(frozen=True)
class Found:
    """What a search came upon, each in order of path.

    Args:
        sources: volumes, as far as headers tell.
        skipped: what does not claim to be a CT volume, with the reason.
        refused: what claims to be one and cannot be, with the reason.
        data_set: what the folder says of its files where it is an nnU-Net or MSD data set.
    """

    sources: tuple[Source, ...]
    skipped: tuple[tuple[Path, str], ...]
    refused: tuple[tuple[Path, str], ...]
    data_set: DataSet | None = field(default=None, compare=False)


def source_sha256(source: Source) -> str:
    """Return a SHA-256 that tells a volume from all others, as hexadecimal.

    It is that of the files' bytes, one after the other; where only some of them are read, or not
    by default, the choice of members, part and options counts too.

    Raises:
        VolumeError: a file is gone or cannot be read.
    """
    with reading(source.path):
        digest = sha256(*source.files)
    if not source.members and source.part is None and source.options == ReadOptions():
        return digest
    choice = [digest, source.members, source.part, asdict(source.options)]
    return hashlib.sha256(json.dumps(choice).encode()).hexdigest()
