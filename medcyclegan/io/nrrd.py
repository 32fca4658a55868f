"""NRRD files (.nrrd, .nhdr). Format: https://teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io.itk import (
    beside,
    check_once,
    check_shape,
    check_voxels,
    header_lines,
    read_image,
)
from medcyclegan.io.stored import Stored

BYTES_OF = dict.fromkeys(("signed char", "int8", "int8_t"), 1)
BYTES_OF |= dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), 1)
BYTES_OF |= dict.fromkeys(("short", "short int", "signed short", "signed short int"), 2)
BYTES_OF |= dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), 2)
BYTES_OF |= dict.fromkeys(("int16", "int16_t", "uint16", "uint16_t"), 2)
BYTES_OF |= dict.fromkeys(("int", "signed int", "int32", "int32_t"), 4)
BYTES_OF |= dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t", "float"), 4)
BYTES_OF |= dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), 8)
BYTES_OF |= dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t", "double"), 8)
SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior")
SHORT_SPACES = ("lps", "ras", "las")
PACKINGS = {"raw": "", "gzip": "gzip", "gz": "gzip"}


def read(files: Sequence[Path]) -> Stored:
    """Return the volume in an NRRD file.

    Args:
        files: first the .nrrd or .nhdr file.

    Raises:
        VolumeError: no NRRD, damaged, truncated, an unusual encoding, or voxels in another folder.
        GeometryError: no anatomical space or no directions.
    """
    path = files[0]
    fields, end = _header(path)
    sizes = [int(size) for size in fields.get("sizes", "").split()]
    check_shape(sizes)
    _check_grid_fields(fields)
    expected = int(np.prod(sizes, dtype=object)) * _voxel_bytes(fields.get("type", ""))
    encoding = fields.get("encoding", "")
    if encoding.lower() not in PACKINGS:
        raise VolumeError(f"has the encoding {encoding or '(none)'}; write it as raw or gzip")
    voxels = _voxels(path, fields)
    check_voxels(voxels, end if voxels == path else 0, expected, PACKINGS[encoding.lower()])
    return read_image(path, voxels, sizes)


def voxel_file(path: Path) -> Path:
    """Return the file that holds the voxels: the one a header names, or `path` itself.

    Raises:
        VolumeError: no NRRD, or the file is missing or in another folder.
    """
    return _voxels(path, _header(path)[0])


def _voxels(path: Path, fields: dict[str, str]) -> Path:
    where = fields.get("data file") or fields.get("datafile")
    return beside(path, where) if where else path


def _header(path: Path) -> tuple[dict[str, str], int]:
    lines = header_lines(path)
    if not lines[0][0].startswith("NRRD000"):
        raise VolumeError("is no NRRD file; copy it anew")
    fields: dict[str, str] = {}
    end = lines[0][1]
    for line, end in lines[1:]:
        if not line:
            return fields, end
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            check_once(fields, name.strip().lower())
            fields[name.strip().lower()] = value.strip()
    if "data file" in fields or "datafile" in fields:
        return fields, end
    raise VolumeError("is no NRRD file (its header does not end); copy it anew")


def _voxel_bytes(name: str) -> int:
    if name.lower() not in BYTES_OF:
        raise VolumeError(f"has voxels of type {name or '(none)'}; convert it to short")
    return BYTES_OF[name.lower()]


def _check_grid_fields(fields: dict[str, str]) -> None:
    if {"line skip", "lineskip", "byte skip", "byteskip"} & set(fields):
        raise VolumeError("skips lines or bytes before its voxels, which is not read; convert it")
    space = fields.get("space", "").lower()
    if space not in (*SPACES, *SHORT_SPACES):
        raise GeometryError(f"has the space {space or '(none)'}; set left-posterior-superior")
    if "space directions" not in fields or "space origin" not in fields:
        raise GeometryError("has no space directions or origin: nobody knows its grid; set them")
