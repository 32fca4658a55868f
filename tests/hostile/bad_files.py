"""Paths that are no volume whatever they are called, and what must be told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.hostile.made import Make, nifti, nifti_pair, plain_file, series


def missing(folder: Path) -> Path:
    """Return a path where nothing is."""
    return folder / "missing.nii.gz"


def empty_folder(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    return folder


def pipe(folder: Path) -> Path:
    """Make a named pipe that nobody ever writes to."""
    os.mkfifo(folder / "ct.nii")
    return folder / "ct.nii"


def listening(folder: Path) -> Path:
    """Make a socket."""
    here = Path.cwd()
    os.chdir(folder)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("ct.dcm")
    finally:
        os.chdir(here)
    return folder / "ct.dcm"


def endless(folder: Path) -> Path:
    """Link to a file without end."""
    (folder / "ct.nii").symlink_to("/dev/zero")
    return folder / "ct.nii"


def dangling(folder: Path) -> Path:
    """Link to nothing."""
    (folder / "ct.nii").symlink_to("nowhere")
    return folder


def circular(folder: Path) -> Path:
    """Link a folder into itself."""
    (folder / "again").symlink_to(".", target_is_directory=True)
    return folder


def folder_named_like_a_file(folder: Path) -> Path:
    """Make a folder whose name ends like a file's."""
    (folder / "ct.nii.gz").mkdir()
    return folder / "ct.nii.gz"


def half_a_pair(folder: Path) -> Path:
    """Return the voxels of a pair, not its header."""
    nifti_pair()(folder)
    return folder / "ct.img"


def inside(make: Make, name: str) -> Make:
    """Return what gives a file that `make` writes in a folder, by its name."""
    return lambda folder: make(folder) / name


BAD_FILES: dict[str, tuple[Make, str]] = {
    "nothing there": (missing, "no such file"),
    "a folder of nothing": (empty_folder, "no volume"),
    "a pipe": (pipe, "regular"),
    "a socket": (listening, "regular"),
    "a device": (endless, "regular"),
    "a link to nothing": (dangling, "regular|link|no"),
    "a link to itself": (circular, "link"),
    "a folder that ends like a file": (folder_named_like_a_file, "no volume"),
    "voxels without their header": (half_a_pair, "no volume|hdr"),
    "text": (plain_file("notes.txt", b"notes\n"), "no volume"),
    "a table": (plain_file("cases.csv", b"path,phase\n"), "no volume"),
    "another packing": (plain_file("ct.nii.bz2", b"BZh91AY&SY"), "no volume"),
    "packed twice": (nifti("ct.nii.gz.gz"), "no volume"),
    "a picture": (plain_file("ct.png", b"\x89PNG\r\n\x1a\n" + bytes(99)), "no volume"),
    "a program": (plain_file("ct", b"#!/bin/sh\nexit 0\n"), "no volume"),
    "a hidden file": (nifti("._ct.nii.gz"), "hidden"),
    "temporary files": (plain_file(".medcyclegan-x.nii", b"x"), "hidden|no volume"),
    "a file in a series as if a folder": (inside(series(), "IM0000.dcm/x"), "no such file"),
}
