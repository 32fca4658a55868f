"""Compressed DICOM frames to pixels, by a decoder in a process of its own.

The native libraries that decode JPEG, JPEG-LS and JPEG 2000 can be crashed by crafted files. Here
that, a hang or a greed for memory ends the decoder's process and costs one image; the next image
gets a new process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import VolumeError
from medcyclegan.io.stored import one_line

PROGRAM = Path(__file__).with_name("decoding.py")
SECONDS = 60  # to decode an image
SECONDS_A_MEGAPIXEL = 5
TYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4")


class _GoneError(Exception):
    """The process ended before it had answered."""


class Decoder:
    """A process that decodes frames, started on first use and again after it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(
        self, syntax: str, fields: Mapping[str, Any], frames: Sequence[bytes]
    ) -> npt.NDArray[Any]:
        """Return the pixels of compressed frames of one size.

        Args:
            syntax: transfer syntax UID.
            fields: of the image pixel module, by keyword; Rows and Columns are among them.
            frames: the compressed bytes of each.

        Returns:
            (frames, rows, columns), whole numbers as stored.

        Raises:
            VolumeError: they cannot be decoded, or the decoder crashed, hung or took too much
                memory over them.
        """
        shape = (len(frames), int(fields["Rows"]), int(fields["Columns"]))
        seconds = SECONDS + SECONDS_A_MEGAPIXEL * math.prod(shape) // 2**20
        request = {
            "syntax": syntax,
            "fields": dict(fields),
            "sizes": [len(frame) for frame in frames],
            "seconds": 2 * seconds,
        }
        with self._lock:
            process = self._running()
            late = threading.Timer(seconds, process.kill)
            start = time.monotonic()
            late.start()
            try:
                _send(process, request, frames)
                return _receive(process, shape)
            except _GoneError:
                took = time.monotonic() - start
                code = process.wait()
                self._end()
                raise VolumeError(_obituary(code, seconds if took >= seconds else 0)) from None
            except BaseException:
                self._end()  # what damaged data has left in it must not touch the next image
                raise
            finally:
                late.cancel()

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(  # noqa: S603 - our own program, by its path
                [sys.executable, "-P", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()


_DECODERS: dict[int, Decoder] = {}


def decode_frames(
    syntax: str, fields: Mapping[str, Any], frames: Sequence[bytes]
) -> npt.NDArray[Any]:
    """Return the pixels of compressed frames, by the one decoder of this process.

    Args:
        syntax: as `Decoder.decode`.
        fields: as `Decoder.decode`.
        frames: as `Decoder.decode`.

    Raises:
        VolumeError: as `Decoder.decode`.
    """
    own = os.getpid()  # a forked process must not talk over its parent's channel
    if own not in _DECODERS:
        _DECODERS[own] = Decoder()
        atexit.register(_close, own)
    return _DECODERS[own].decode(syntax, fields, frames)


def _close(owner: int) -> None:
    if os.getpid() == owner:  # and no process forked from it
        _DECODERS[owner].close()


def _send(
    process: subprocess.Popen[bytes], request: Mapping[str, Any], frames: Sequence[bytes]
) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        for frame in frames:
            process.stdin.write(frame)
        process.stdin.flush()
    except BrokenPipeError:
        raise _GoneError from None


def _receive(process: subprocess.Popen[bytes], shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise _GoneError
    answer = json.loads(line)
    if "error" in answer:
        raise VolumeError(_undecodable(one_line(ValueError(answer["error"]))))
    if answer["dtype"] not in TYPES:
        raise VolumeError(_undecodable(f"its decoder gives {answer['dtype']}"))
    if tuple(answer["shape"]) != shape:
        raise VolumeError(f"holds {answer['shape']} pixels where its header declares {shape}")
    type_ = np.dtype(answer["dtype"])
    data = bytearray(math.prod(shape) * type_.itemsize)
    if process.stdout.readinto(data) != len(data):  # type: ignore[attr-defined]
        raise _GoneError
    return np.frombuffer(data, type_).reshape(shape)


def _undecodable(reason: str) -> str:
    return (
        f"its pixel data cannot be decoded ({reason}); copy it anew, or convert it to "
        "uncompressed DICOM or NIfTI"
    )


def _obituary(code: int, seconds: int) -> str:
    if seconds:
        return _undecodable(f"the decoder took longer than {seconds} s")
    signals = {number.value: number.name for number in signal.Signals}
    return _undecodable(f"the decoder crashed, {signals.get(-code, f'exit {code}')}")
