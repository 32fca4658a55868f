"""What compressed frames say of themselves, and run-length coding undone.

Standards: ITU-T T.81 (JPEG, frame header), T.87 (JPEG-LS), T.800 (JPEG 2000, SIZ marker), and DICOM
PS3.5, annex G (run-length coding).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import VolumeError

START_OF_JPEG = b"\xff\xd8"
START_OF_JPEG_2000 = b"\xff\x4f\xff\x51"
FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # the last is that of JPEG-LS
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


class Frame(NamedTuple):
    """What a compressed frame says that it holds.

    Args:
        rows: height.
        columns: width.
        bits: of a sample.
        samples: of a pixel.
    """

    rows: int
    columns: int
    bits: int
    samples: int


def frame_of(data: bytes) -> Frame:
    """Return what a frame of JPEG, JPEG-LS or JPEG 2000 says that it holds.

    Raises:
        VolumeError: it is none of them, or ends before it has said so.
    """
    try:
        start = data.find(START_OF_JPEG_2000, 0, 4096)
        if data[:2] == START_OF_JPEG:
            return _jpeg(data)
        if start >= 0:  # perhaps within the boxes of a JP2 file
            return _jpeg_2000(data, start)
    except IndexError:
        pass
    raise VolumeError("its compressed pixel data has no beginning; copy it anew")


def _jpeg(data: bytes) -> Frame:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise IndexError
        marker = data[place + 1]
        if marker == 0xFF or marker in ALONE:
            place += 1 if marker == 0xFF else 2
        elif marker in FRAME_HEADERS:
            return Frame(
                rows=int.from_bytes(data[place + 5 : place + 7], "big"),
                columns=int.from_bytes(data[place + 7 : place + 9], "big"),
                bits=data[place + 4],
                samples=data[place + 9],
            )
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")


def _jpeg_2000(data: bytes, start: int) -> Frame:
    fields = np.frombuffer(data, ">u4", 4, start + 8) if len(data) > start + 43 else None
    if fields is None:
        raise IndexError
    columns, rows, left, top = (int(field) for field in fields)
    return Frame(
        rows=rows - top,
        columns=columns - left,
        bits=(data[start + 42] & 0x7F) + 1,
        samples=int.from_bytes(data[start + 40 : start + 42], "big"),
    )


def run_lengths(frame: bytes, rows: int, columns: int, bytes_a_pixel: int) -> npt.NDArray[np.uint8]:
    """Return a run-length coded frame, each byte of a pixel coded apart, highest first.

    Args:
        frame: 64 bytes that say where the segments begin, then these.
        rows: height.
        columns: width.
        bytes_a_pixel: and so how many segments there are.

    Returns:
        (rows, columns, bytes_a_pixel), bytes in little-endian order.

    Raises:
        VolumeError: the segments hold fewer or more pixels than declared.
    """
    head = [int.from_bytes(frame[at : at + 4], "little") for at in range(0, 64, 4)]
    count, starts = head[0], [*head[1 : 1 + head[0]], len(frame)]
    if len(frame) < 64 or count != bytes_a_pixel or starts != sorted(starts) or starts[0] < 64:
        raise VolumeError(
            f"its run-length coded pixels have {count} segments where its header declares "
            f"{bytes_a_pixel}; copy it anew"
        )
    pixels = np.empty((rows, columns, bytes_a_pixel), np.uint8)
    for index in range(count):
        plane = _segment(frame[starts[index] : starts[index + 1]], rows * columns)
        pixels[..., bytes_a_pixel - 1 - index] = plane.reshape(rows, columns)
    return pixels


def _segment(data: bytes, size: int) -> npt.NDArray[np.uint8]:
    """Return `size` bytes from pairs of a length and a byte, or a length and as many bytes."""
    out = bytearray()
    place = 0
    while len(out) < size and place + 1 < len(data):
        length = data[place]
        if length < 128:
            out += data[place + 1 : place + 2 + length]
            place += 2 + length
        elif length > 128:
            out += data[place + 1 : place + 2] * (257 - length)
            place += 2
        else:
            place += 1
    left = data[place:]
    if len(out) != size or len(left) > 2 or left.strip(b"\0\x80"):
        raise VolumeError(
            "its run-length coded pixels are fewer or more than its header declares; copy it anew"
        )
    return np.frombuffer(out, np.uint8)
