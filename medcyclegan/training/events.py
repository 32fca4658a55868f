"""TensorBoard's event files: written with its own record writer, without a host's name in them."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

VERSION = "brain.Event:2"  # of the format, in the first record of each file
MOST_FIGURES_BYTES = 1 << 16  # of a record that holds figures; larger ones are pictures
_NAME = re.compile(r"events\.out\.tfevents\.(\d{5,})")


class EventFile:
    """A new event file, `events.out.tfevents.<number>`, that goes on after those that are there.

    It begins with the record by which TensorBoard drops, while it looks on as well as later, what
    earlier files say of `first_step` and the steps after it.

    Args:
        folder: made where it is missing.
        first_step: the first step that this file may tell of.

    Raises:
        OSError: the disk is full, read-only or not ours.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
        number = max((int(name[1]) + 1 for name in found if name), default=0)
        self._stream = (folder / f"events.out.tfevents.{number:05d}").open("xb")
        self._writer = RecordWriter(self._stream)
        self._write(_event(file_version=VERSION))
        self._write(_event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Append figures, by their tags."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(_event(step=step, summary=Summary(value=found)))

    def picture(self, step: int, tag: str, png: bytes) -> None:
        """Append a picture, the bytes of a PNG file."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])  # PNG, third edition, section 11.2.1
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        value = Summary.Value(tag=tag, image=image)
        self._write(_event(step=step, summary=Summary(value=[value])))

    def close(self) -> None:
        """Close the file; every record is in it since it was written."""
        with contextlib.suppress(OSError):  # the rest of one that had no room, and said so then
            self._stream.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _event(**parts: Any) -> Event:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), **parts)


def read_times(folder: Path) -> list[list[tuple[int, float]]]:
    """Return when figures were written: step and seconds since 1970, a list for each event file.

    Passes over what is no event file, and what comes after a record that is cut off or damaged.
    """
    files = (path for path in sorted(folder.glob("events.*")) if _NAME.fullmatch(path.name))
    return [list(_times(path)) for path in files]


def _times(path: Path) -> Iterator[tuple[int, float]]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    with path.open("rb") as stream:
        while len(head := stream.read(12)) == 12:
            (length,) = struct.unpack("<Q", head[:8])
            if length > MOST_FIGURES_BYTES:
                stream.seek(min(length, 1 << 40) + 4, os.SEEK_CUR)
                continue
            content = stream.read(length + 4)
            try:
                event = Event.FromString(content[:length])
            except DecodeError:
                return
            if len(content) == length + 4 and event.HasField("summary"):
                yield event.step, event.wall_time
