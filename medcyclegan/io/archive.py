"""Zip archives: their members checked by name and size, and unpacked for as long as they are read.

An archive is untrusted: nothing of it is ever written outside a private folder, nor more of it
than it declares.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.files import TEMPORARY_PREFIX
from medcyclegan.io.stored import printable, reading

SUFFIX = ".zip"
MOST_MEMBERS = 100_000
MOST_BYTES = 64 << 30
SUSPICIOUS_BYTES = 1 << 30  # beyond it, an archive that shrank more than this is taken for a bomb:
MOST_SHRUNK = 100  # CT shrinks 2 to 10 times
BLOCK = 1 << 20
OLD_SECONDS = 3600  # a folder younger than this may be about to be held


@contextlib.contextmanager
def unpacked(archive: Path, names: Collection[str] | None = None) -> Iterator[Path]:
    """Yield a private folder that holds members of a zip archive; it goes when the block ends.

    Errors raised in the block that speak of a file in that folder speak of the member instead, as
    `archive.zip: member`.

    Args:
        archive: as the user named it.
        names: where the members wanted lie below the folder; None for all.

    Raises:
        VolumeError: it is damaged or no zip archive, or it holds something that is no plain file
            below it: absolute or climbing names, links, archives, duplicates, encrypted members;
            or more than could be meant.
    """
    with contextlib.ExitStack() as stack:
        with reading(archive):
            folder = stack.enter_context(_private_folder())
            stack.enter_context(_speaking_of(archive, str(folder)))
            opened = stack.enter_context(_opened(archive))
            members = _checked(opened.infolist(), archive.stat().st_size)
            wanted = [one for one in members if names is None or _place(one) in names]
            if names is not None and len(wanted) < len(names):
                raise VolumeError("no longer holds what was found in it; search it anew")
            _check_room(wanted, folder)
            for member in wanted:
                _unpack(opened, member, folder)
        yield folder


def _place(member: zipfile.ZipInfo) -> str:
    """Return where a member lies below the folder; some Windows programs write backslashes."""
    return PurePosixPath(member.filename.replace("\\", "/")).as_posix()


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a folder that nobody else may read, and remove those that dead processes left."""
    prefix = f"{TEMPORARY_PREFIX}zip-"
    with contextlib.ExitStack() as stack:
        try:
            for leftover in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
                _remove_abandoned(leftover)
            made = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
            stack.enter_context(_held(folder))
        except OSError as error:
            raise VolumeError(
                f"cannot be unpacked ({error.strerror}); set TMPDIR to a folder that can be written"
            ) from error
        yield folder


def _remove_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > OLD_SECONDS:
            with _held(folder):
                shutil.rmtree(folder)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder while it is in use: the lock goes with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(archive)
    except zipfile.BadZipFile as error:
        raise VolumeError("is damaged or no zip archive; copy it anew") from error
    with opened:
        yield opened


@contextlib.contextmanager
def _speaking_of(archive: Path, folder: str) -> Iterator[None]:
    try:
        yield
    except MedCycleGANError as error:
        text = str(error)
        if folder not in text:
            raise
        raise type(error)(_as_member(text, archive, folder)) from error


def _as_member(text: str, archive: Path, folder: str) -> str:
    """Return a message with paths in the folder of an archive said as `archive.zip: member`."""
    return text.replace(f"{folder}/", f"{archive}: ").replace(folder, str(archive))


def _checked(members: Sequence[zipfile.ZipInfo], size: int) -> list[zipfile.ZipInfo]:
    """Return the files among an archive's members, none of which is a trap."""
    if len(members) > MOST_MEMBERS:
        raise VolumeError(f"holds {len(members)} files, more than {MOST_MEMBERS}; unpack it")
    seen: set[str] = set()
    for member in members:
        reason = "a second time" if _place(member) in seen else _trap(member)
        if reason:
            raise VolumeError(f"holds {_named(member)!r} {reason}; unpack what you trust of it")
        seen.add(_place(member))
    declared = sum(member.file_size for member in members)
    if declared > MOST_BYTES or (declared > SUSPICIOUS_BYTES and declared > MOST_SHRUNK * size):
        raise VolumeError(
            f"declares {declared / 2**30:.0f} GiB in a file of {size / 2**20:.0f} MiB; unpack it"
        )
    return [member for member in members if not member.filename.endswith(("/", "\\"))]


def _named(member: zipfile.ZipInfo) -> str:
    return printable(member.filename)[:200]


def _trap(member: zipfile.ZipInfo) -> str:
    """Return why a member is none that is unpacked; empty if it is a plain file or folder."""
    name = member.filename.replace("\\", "/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    traps = (
        (name.startswith("/") or name[1:2] == ":", "with an absolute path"),
        (".." in PurePosixPath(name).parts, "that points outside of it"),
        (not name.strip("/."), "without a name"),
        (kind == stat.S_IFLNK, "as a link"),
        (kind not in (0, stat.S_IFREG, stat.S_IFDIR), "as something that is no file"),
        (bool(member.flag_bits & 1), "encrypted"),
        (name.lower().endswith(SUFFIX), "as an archive within the archive"),
    )
    return next((reason for is_trap, reason in traps if is_trap), "")


def _check_room(members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise VolumeError(
            f"needs {needed / 2**30:.1f} GiB to unpack where the temporary folder has "
            f"{free / 2**30:.1f}; set TMPDIR to a larger one"
        )


def _unpack(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / _place(member)
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, target.open("xb") as sink:
            while block := source.read(BLOCK):
                written += len(block)
                sink.write(block)
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else printable(str(error))
        raise VolumeError(
            f"{_named(member)}: cannot be unpacked ({reason or type(error).__name__}); copy it anew"
        ) from error
    if written != member.file_size:
        raise VolumeError(
            f"{_named(member)}: is not of the size that the archive declares; copy it anew"
        )
