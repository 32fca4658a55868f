from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.encaps import generate_frames
from pydicom.pixels.encoders.base import get_encoder

from medcyclegan.errors import VolumeError
from medcyclegan.io.dicom.codestream import Frame, frame_of, run_lengths

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.mark.parametrize(
    ("syntax", "bits"), [("50", 8), ("51", 12), ("57", 16), ("70", 16), ("80", 16), ("90", 16)]
)
def test_frames_say_their_size(real_data: Path, syntax: str, bits: int) -> None:
    (path,) = (real_data / "cornerstone").glob(f"*_1.2.840.10008.1.2.4.{syntax}.dcm")
    (frame,) = generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)
    assert frame_of(frame) == Frame(512, 512, bits, 1)
    for end in range(12):
        with pytest.raises(VolumeError, match="no beginning"):
            frame_of(frame[:end])


def test_a_jpeg_2000_image_begins_where_it_says() -> None:
    numbers = (107, 55, 7, 5, 100, 100, 0, 0)
    sizes = b"".join(number.to_bytes(4, "big") for number in numbers)
    frame = b"\xff\x4f\xff\x51\0\x29\0\0" + sizes + b"\0\3" + b"\x8b\1\1" * 3
    assert frame_of(b"JP2 box" + frame) == Frame(50, 100, 12, 3)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff\xc0", b"\xff\x4f\xff\x51"):
        try:
            frame = frame_of(start + data)
        except VolumeError:
            continue
        assert isinstance(frame, Frame)


@given(
    pixels=SHAPES.flatmap(lambda shape: arrays("<u2", shape, elements=st.integers(0, 3))),
    high=st.booleans(),
)
def test_run_lengths_are_undone(pixels: np.ndarray, high: bool) -> None:
    pixels = pixels * 256 if high else pixels
    rows, columns = pixels.shape
    encoder = get_encoder("1.2.840.10008.1.2.5")
    frame = encoder.encode(
        pixels,
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
        encoding_plugin="pydicom",
    )
    found = run_lengths(frame, rows, columns, 2).view("<u2")[..., 0]
    np.testing.assert_array_equal(found, pixels)
    for lie in ((rows + 1, columns, 2), (rows, columns + 3, 2), (rows, columns, 1)):
        with pytest.raises(VolumeError, match="run-length coded"):
            run_lengths(frame, *lie)
    if rows > 2:
        with pytest.raises(VolumeError, match="run-length coded"):
            run_lengths(frame, rows - 2, columns, 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_run_lengths_or_refused(data: bytes) -> None:
    head = b"\x01" + bytes(3) + b"\x40" + bytes(59)
    for frame in (data, head + data):
        try:
            pixels = run_lengths(frame, 3, 4, 1)
        except VolumeError:
            continue
        assert pixels.shape == (3, 4, 1)
