"""Bytes of a file, plain or gzip, read to their end and never more than declared."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, cast

from medcyclegan.errors import VolumeError

GZIP_MAGIC = b"\x1f\x8b"
SLACK_BYTES = 1024  # some writers pad a file's end
CHUNK_BYTES = 1 << 20


def open_stream(path: Path) -> IO[bytes]:
    """Return a binary stream of the file's content, unpacked if its first bytes say gzip."""
    with path.open("rb") as stream:
        packed = stream.read(2) == GZIP_MAGIC
    return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")


def read_head(stream: IO[bytes], size: int) -> bytes:
    """Return the first `size` bytes, or fewer where there are no more.

    Raises:
        VolumeError: no bytes at all, or a damaged gzip stream.
    """
    head = _read(stream, size)
    if not head:
        raise VolumeError("is empty; copy it anew")
    return head


def read_to_end(stream: IO[bytes], expected: int, head: bytes = b"") -> bytearray:
    """Return `head` and the rest of a stream, together `expected` bytes long.

    Memory grows with the bytes that are there, not with those declared. Reading to the end lets
    gzip check its CRC.

    Raises:
        VolumeError: fewer bytes, over 1 % or 1 KiB more, or a damaged gzip stream.
    """
    data = bytearray(head)
    limit = expected + min(SLACK_BYTES, expected // 100)
    while len(data) <= limit:
        block = _read(stream, min(CHUNK_BYTES, limit + 1 - len(data)))
        if not block:
            break
        data += block
    if len(data) > limit:
        raise VolumeError(
            f"holds more than the {expected} bytes that its header declares; its header "
            "or its content is wrong"
        )
    check_length(len(data), expected)
    return data


def check_length(found: int, expected: int) -> None:
    """Check that there are as many bytes of voxels as a header declares.

    Raises:
        VolumeError: there are fewer.
    """
    if found < expected:
        raise VolumeError(
            f"is truncated: {found} bytes where its header declares {expected}; copy it anew"
        )


def _read(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise VolumeError(f"is truncated or damaged (gzip: {error}); copy it anew") from error
