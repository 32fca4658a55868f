"""Files that are whole or absent: write beside, fsync, rename."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from medcyclegan.errors import InputError, MedCycleGANError

TEMPORARY_PREFIX = ".medcyclegan-"
LOCK = ".medcyclegan.lock"
NOT_OURS = (  # what reading JSON that somebody else wrote may raise
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_held: set[BinaryIO] = set()  # locks of this process


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write a file to; it takes the final name only when whole.

    The yielded name ends like `target`, so that writers which look at the suffix are content.

    Raises:
        MedCycleGANError: the disk is full, read-only or not ours; nothing is left behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        temporary = folder / target.name
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`; the lock goes with the process, however that ends.

    Raises:
        InputError: another run holds the folder.
        MedCycleGANError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("ab")
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with stream:
        try:
            held = _hold(stream, folder / LOCK)
        except OSError as error:  # a disk of a network that knows no locks
            raise MedCycleGANError(
                f"{folder}: cannot be locked ({error.strerror}); choose an output on another disk"
            ) from error
        if not held:
            raise InputError(
                f"{folder}: another run is at work there; wait for it, or choose another output"
            )
        _held.add(stream)
        try:
            yield
        finally:
            _held.discard(stream)
            (folder / LOCK).unlink(missing_ok=True)


def _hold(stream: BinaryIO, path: Path) -> bool:
    """Return whether this process now holds the lock, and the file is still the one at `path`."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _let_go() -> None:
    """Leave the locks to the parent: a worker that outlives it, stopped perhaps, holds none."""
    for stream in _held:
        stream.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`, which is made; it is gone again if nothing was put into it.

    Raises:
        InputError: another run is at work there.
        MedCycleGANError: the folder cannot be made or written.
    """
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with locked(folder):
            yield
    finally:
        for path in absent:
            with contextlib.suppress(OSError):
                path.rmdir()


def check_can_hold(folder: Path) -> None:
    """Check that `folder` is a folder, or that one can be made there.

    Raises:
        InputError: it is a file, or would lie below one.
    """
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise InputError(f"{folder}: {above.name} is a file; choose another output")


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data` to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files below `folder`, which is made; none takes its place before all are on the disk.

    Args:
        folder: new, or holding what they may replace.
        contents: name, with / between folders -> bytes; the last is put in its place last.

    Raises:
        MedCycleGANError: the disk is full, read-only or not ours; `folder` is as it was.
    """
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as name:
            for number, data in enumerate(contents.values()):
                (Path(name) / str(number)).write_bytes(data)
                _fsync(Path(name) / str(number))
            for number, target in enumerate(contents):
                (folder / target).parent.mkdir(exist_ok=True)
                os.replace(Path(name) / str(number), folder / target)
    except BaseException as error:
        for path in absent:
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise _cannot_write(folder, error) from error
        raise


def write_json(target: Path, data: Any) -> None:
    """Write `data` as JSON to `target` atomically; NaN and infinity are refused."""
    write_bytes(target, to_json(data))


def to_json(data: Any) -> bytes:
    """Return `data` as a JSON file holds it; NaN and infinity are refused."""
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode()


def sha256(*paths: Path) -> str:
    """Return the SHA-256 of the files' bytes, one after the other, as hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def remove_temporaries(folder: Path) -> None:
    """Remove what interrupted runs left anywhere below `folder`."""
    for leftover in sorted(folder.rglob(TEMPORARY_PREFIX + "*")):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(target: Path, error: OSError) -> MedCycleGANError:
    reason = error.strerror or str(error)
    return MedCycleGANError(f"{target}: cannot write ({reason}); make room or choose another place")
