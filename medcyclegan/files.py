"""Files that are whole or absent: write beside, fsync, rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medcyclegan.errors import MedCycleGANError

TEMPORARY_PREFIX = ".medcyclegan-"


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


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data` to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def write_json(target: Path, data: Any) -> None:
    """Write `data` as JSON to `target` atomically; NaN and infinity are refused."""
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    write_bytes(target, (text + "\n").encode())


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
