from __future__ import annotations

import gzip
import io
import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from medcyclegan.errors import VolumeError
from medcyclegan.io.streams import (
    blocks,
    check_length,
    check_room,
    open_stream,
    read_head,
    read_to_end,
)

CONTENT = bytes(range(256)) * 1000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "zlib": lambda data: zlib.compress(data, 1),
}


def flipped(data: bytes, place: int) -> bytes:
    spoilt = bytearray(data)
    spoilt[place] ^= 0x10
    return bytes(spoilt)


def unpack(data: bytes, packing: str, expected: int = len(CONTENT)) -> bytearray:
    return read_to_end(blocks(io.BytesIO(data), packing), expected)


@pytest.mark.parametrize(
    ("packing", "packed"),
    [
        ("", CONTENT),
        ("gzip", gzip.compress(CONTENT)),
        ("gzip", gzip.compress(CONTENT[:7]) + gzip.compress(CONTENT[7:])),
        ("gzip", gzip.compress(CONTENT) + bytes(600)),
        ("zlib", zlib.compress(CONTENT)),
        ("zlib", zlib.compress(CONTENT, 0)),
        ("zlib", zlib.compress(CONTENT) + bytes(600)),
    ],
)
def test_what_is_whole_is_read(packing: str, packed: bytes) -> None:
    assert unpack(packed, packing) == CONTENT


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
def test_what_is_cut_damaged_or_longer_is_refused(packing: str) -> None:
    packed = PACKERS[packing](CONTENT)
    spoilt = {size: packed[:size] for size in (0, 1, 5, 9, 300, len(packed) - 5, len(packed) - 1)}
    spoilt |= {-place: flipped(packed, -place) for place in (1, 4, 200)}
    spoilt |= {extra: packed + b"x" * extra for extra in (1000, 1001, 20_000)}
    for data in spoilt.values():
        with pytest.raises(VolumeError, match=r"truncated|damaged|holds more"):
            unpack(data, packing)


@pytest.mark.parametrize("packing", ["", "gzip", "zlib"])
def test_other_lengths_than_declared_are_refused(packing: str) -> None:
    pack = PACKERS[packing]
    with pytest.raises(VolumeError, match="holds more than the 256000 bytes"):
        unpack(pack(CONTENT + b"x"), packing)
    with pytest.raises(VolumeError, match="holds more than the 256000 bytes"):
        unpack(pack(CONTENT + bytes(2000)), packing)
    with pytest.raises(VolumeError, match="255999 bytes where its header declares 256000"):
        unpack(pack(CONTENT[:-1]), packing)
    assert unpack(pack(CONTENT + bytes(500)), packing)[: len(CONTENT)] == CONTENT


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
def test_a_bomb_is_left_before_it_fills_the_memory(packing: str) -> None:
    bomb = PACKERS[packing](bytes(150_000_000))
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    with pytest.raises(VolumeError, match="holds more"):
        unpack(bomb, packing, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_what_a_header_declares_must_be_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(1000, 1000, packed=False)
    check_room(1000, 1_032_000, packed=True)
    with pytest.raises(VolumeError, match="1000 bytes where its header declares 1001"):
        check_room(1000, 1001, packed=False)
    with pytest.raises(VolumeError, match="1000 packed bytes cannot hold the 1032001"):
        check_room(1000, 1_032_001, packed=True)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**18}.get)
    with pytest.raises(VolumeError, match=r"2\.0 GiB of voxels, more than the 1\.0 GiB of memory"):
        check_room(2**31, 2**31, packed=False)


def test_streams_tell_gzip_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "any"
    for data in (CONTENT, gzip.compress(CONTENT)):
        path.write_bytes(data)
        with open_stream(path) as stream:
            head = read_head(stream, 10)
            assert head == CONTENT[:10]
            assert read_to_end(blocks(stream), len(CONTENT), head) == CONTENT
    path.write_bytes(b"")
    with open_stream(path) as stream, pytest.raises(VolumeError, match="is empty"):
        read_head(stream, 10)
    check_length(5, 5)
    with pytest.raises(VolumeError, match="is truncated: 0 bytes"):
        check_length(-3, 5)
