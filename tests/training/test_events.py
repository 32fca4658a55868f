"""TensorBoard's own reader is the judge of what is written."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medcyclegan.training.events import EventFile


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * 3 * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write(folder: Path, steps: range, *, offset: float = 0.0) -> Path:
    file = EventFile(folder, steps[0])
    for step in steps:
        file.scalars(step, {"training/cycle_a": step + offset})
        if step % 2 == 0:
            file.picture(step, "samples", png(7, 5))
    file.close()
    return sorted(folder.iterdir())[-1]


def read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def scalars(found: EventAccumulator) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars("training/cycle_a")]


def test_tensorboard_reads_figures_and_pictures(tmp_path: Path) -> None:
    assert write(tmp_path, range(1, 5)).name == "events.out.tfevents.00000"
    found = read(tmp_path)
    assert scalars(found) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    images = found.Images("samples")
    assert [(image.step, image.width, image.height) for image in images] == [(2, 7, 5), (4, 7, 5)]
    assert images[0].encoded_image_string == png(7, 5)


def test_a_resumed_run_keeps_earlier_steps_alone(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    assert write(tmp_path, range(4, 7), offset=10.0).name == "events.out.tfevents.00001"
    expected = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 14.0), (5, 15.0), (6, 16.0)]
    found = read(tmp_path)
    assert scalars(found) == expected
    assert [image.step for image in found.Images("samples")] == [2, 4, 6]
    write(tmp_path, range(1, 2), offset=20.0)
    assert scalars(read(tmp_path)) == [(1, 21.0)]


def test_a_tensorboard_that_looks_on_follows_a_resumed_run(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    looking = read(tmp_path)
    write(tmp_path, range(4, 7), offset=10.0)
    looking.Reload()
    assert scalars(looking) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 14.0), (5, 15.0), (6, 16.0)]


@pytest.mark.parametrize("cut", [1, 4, 5, 17, 30])
def test_a_run_killed_in_a_record_is_readable_and_goes_on(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, range(1, 4))
    path.write_bytes(path.read_bytes()[:-cut])
    assert scalars(read(tmp_path)) == [(1, 1.0), (2, 2.0)]
    write(tmp_path, range(3, 5), offset=10.0)
    assert scalars(read(tmp_path)) == [(1, 1.0), (2, 2.0), (3, 13.0), (4, 14.0)]


def test_blocks_that_never_reached_the_disk_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, range(1, 4))
    path.write_bytes(path.read_bytes() + bytes(64))
    write(tmp_path, range(4, 5))
    assert scalars(read(tmp_path)) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]


def test_what_is_not_written_again_is_dropped_too(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 1)
    for step in (1, 2, 3):
        file.scalars(step, {"validation/score": 1.0})
    file.close()
    (tmp_path / "events.out.tfevents.somebody").write_bytes(b"")
    EventFile(tmp_path, 2).close()
    assert [event.step for event in read(tmp_path).Scalars("validation/score")] == [1]
