"""Bytes of a file, plain or packed, read to their end and never more than declared.

ISA-L unpacks, which takes half of zlib's time. Formats: RFC 1950 (zlib), 1951 (deflate), 1952
(gzip).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from medcyclegan.errors import VolumeError

GZIP_MAGIC = b"\x1f\x8b"
MOST_RATIO = 1032  # deflate never packs better: 258 bytes in 2 bits
SLACK_BYTES = 1024  # some writers pad a file's end with zeros
CHUNK_BYTES = 1 << 20
PACKED_CHUNK_BYTES = 1 << 16  # unpacks to 64 MiB at most


def open_stream(path: Path) -> IO[bytes]:
    """Return a binary stream of the file's content, unpacked if its first bytes say gzip."""
    stream = path.open("rb")
    if stream.peek(2)[:2] != GZIP_MAGIC:
        return stream
    stream.close()
    from isal import igzip

    return cast(IO[bytes], igzip.IGzipFile(path, "rb"))


def read_head(stream: IO[bytes], size: int) -> bytes:
    """Return the first `size` bytes, or fewer where there are no more.

    Raises:
        VolumeError: no bytes at all, or a damaged gzip stream.
    """
    head = _read(stream, size)
    if not head:
        raise VolumeError("is empty; copy it anew")
    return head


def blocks(stream: IO[bytes], packing: str = "") -> Iterator[bytes]:
    """Yield the rest of a stream, unpacked; at its end the checksum has been checked.

    Args:
        stream: binary.
        packing: "", "zlib" or "gzip".

    Raises:
        VolumeError: a damaged or truncated packed stream, or more than zeros after it.
    """
    if packing == "zlib":
        yield from _inflated(stream)
        return
    if packing == "gzip":
        from isal import igzip

        stream = cast(IO[bytes], igzip.IGzipFile(fileobj=stream, mode="rb"))
    while block := _read(stream, CHUNK_BYTES):
        yield block


def read_to_end(rest: Iterable[bytes], expected: int, head: bytes = b"") -> bytearray:
    """Return `head` and the rest of a stream, together `expected` bytes long.

    Memory grows with the bytes that are there, not with those declared. Reading to the end lets
    gzip check its CRC.

    Raises:
        VolumeError: fewer bytes, or more than a short padding of zeros too many.
    """
    data = bytearray(head)
    limit = expected + min(SLACK_BYTES, expected // 100)
    for block in rest:
        data += block
        if len(data) > limit:
            break
    if len(data) > limit or any(data[expected:]):
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
            f"is truncated: {max(0, found)} bytes where its header declares {expected}; "
            "copy it anew"
        )


def check_room(found: int, expected: int, *, packed: bool) -> None:
    """Check, before anything is unpacked, that what a header declares can be there and be held.

    Args:
        found: bytes that there are, as stored.
        expected: bytes declared, unpacked.
        packed: by deflate.

    Raises:
        VolumeError: the file is too short for them, or the machine too small.
    """
    if packed and found * MOST_RATIO < expected:
        raise VolumeError(
            f"is truncated: {found} packed bytes cannot hold the {expected} that its header "
            "declares; copy it anew"
        )
    if not packed:
        check_length(found, expected)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if expected > memory:
        raise VolumeError(
            f"declares {expected / 2**30:.1f} GiB of voxels, more than the "
            f"{memory / 2**30:.1f} GiB of memory here; crop or split it"
        )


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib
    from isal.igzip_lib import IsalError

    unpacker = isal_zlib.decompressobj()
    while not unpacker.eof:
        packed = stream.read(PACKED_CHUNK_BYTES)
        if not packed:
            raise VolumeError("is truncated: its packed voxels end early; copy it anew")
        try:
            yield unpacker.decompress(packed)
        except IsalError as error:
            raise VolumeError(f"is damaged (zlib: {error}); copy it anew") from error
    if any(unpacker.unused_data + stream.read(SLACK_BYTES)):
        raise VolumeError("holds more after its packed voxels; its header or its content is wrong")


def _read(stream: IO[bytes], size: int) -> bytes:
    from isal.igzip_lib import IsalError

    try:
        return stream.read(size)
    except (EOFError, IsalError) as error:
        raise VolumeError(f"is truncated or damaged (gzip: {error}); copy it anew") from error
    except OSError as error:
        if error.errno is not None:
            raise  # the disk's trouble, not the stream's
        raise VolumeError(f"is truncated or damaged (gzip: {error}); copy it anew") from error
