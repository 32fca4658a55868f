"""What tests of scanning share: folders of small bodies with and without contrast medium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medcyclegan.io import write_volume
from medcyclegan.volume import Volume

WriteBody = Callable[..., Path]


@pytest.fixture
def write_body(tmp_path: Path) -> WriteBody:
    """Writes an oval of muscle with two round vessels, below `tmp_path`/in."""

    def write(name: str, blood_hu: float, *, offset: int = 0, file_format: str = "") -> Path:
        x, y = (np.mgrid[:110, :90] - 50) * 3.0
        plane = np.where(np.hypot(x / 150, y / 110) < 1, 55.0, -1000.0)
        for at in (-30, 30):
            plane[np.hypot(x - at, y) < 16] = blood_hu
        noise = np.random.default_rng(5).normal(0, 12, (*plane.shape, 4))
        array = np.rint(plane[..., None] + noise).astype(np.int16) + np.int16(offset)
        path = tmp_path / "in" / name
        volume = Volume(array, np.diag([-3.0, -3.0, 5.0, 1.0]))
        write_volume(volume, path, file_format=file_format)
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, write_body: WriteBody) -> Path:
    """Holds four volumes, one of them shifted by 1024, an empty file and a text."""
    write_body("late/p1.nii.gz", 170)
    write_body("late/p2.nii.gz", 210)
    write_body("plain/p3.nii.gz", 42)
    write_body("plain/shifted.nii.gz", 42, offset=1024)
    (tmp_path / "in" / "empty.nii.gz").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("text")
    return tmp_path / "in"
