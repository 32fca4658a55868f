"""NRRD files (.nrrd, .nhdr). Format: https://teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import VolumeError
from medcyclegan.io.nrrd_space import axes_of_space
from medcyclegan.io.outgoing import (
    axes_lps,
    numbers,
    packed,
    stored_hu,
    stored_labels,
    voxel_bytes,
    write_chunks,
)
from medcyclegan.io.stored import ReadOptions, Stored
from medcyclegan.io.text_header import (
    Declared,
    beside,
    count_declared,
    header_lines,
    put_once,
    read_declared,
    shown,
    whole_numbers,
)
from medcyclegan.volume import Affine, Labels, Volume

TYPES = dict.fromkeys(("signed char", "int8", "int8_t"), "i1")
TYPES |= dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1")
TYPES |= dict.fromkeys(("short", "short int", "signed short", "signed short int"), "i2")
TYPES |= dict.fromkeys(("int16", "int16_t"), "i2")
TYPES |= dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), "u2")
TYPES |= dict.fromkeys(("uint16", "uint16_t"), "u2")
TYPES |= dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4")
TYPES |= dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4")
TYPES |= dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), "i8")
TYPES |= dict.fromkeys(("signed long long int", "int64", "int64_t"), "i8")
TYPES |= dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8")
TYPES |= dict.fromkeys(("uint64", "uint64_t"), "u8")
TYPES |= {"float": "f4", "double": "f8"}
WRITTEN_TYPES = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32"}
WRITTEN_TYPES |= {"u4": "uint32", "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double"}
ORDERS: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}
PACKINGS = {"raw": "", "gzip": "gzip", "gz": "gzip"}
ALIASES = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}
ALIASES |= {"oldmin": "old min", "oldmax": "old max"}
MAGIC = re.compile(r"NRRD000[1-5]")


def read(files: Sequence[Path], options: ReadOptions = ReadOptions()) -> Stored:
    """Return the volume in an NRRD file.

    Args:
        files: first the .nrrd or .nhdr file.
        options: whether a file of several volumes is read.

    Raises:
        VolumeError: no NRRD, damaged, truncated, an unusual encoding, colour, several volumes
            that nobody asked for, or voxels in another folder.
        GeometryError: no anatomical space or no directions, or lengths not in mm.
    """
    return read_declared(_declared(files[0]), options)


def voxel_file(path: Path) -> Path:
    """Return the file that holds the voxels: the one a header names, or `path` itself.

    Raises:
        VolumeError: no NRRD, or the file is missing or in another folder.
    """
    return _voxels(path, _header(path)[0])


def volume_count(path: Path) -> int:
    """Return how many volumes the file holds; 1 where its header does not tell, or lies."""
    return count_declared(path, _declared)


def _voxels(path: Path, fields: Mapping[str, str]) -> Path:
    where = fields.get("data file")
    return path if where is None else beside(path, where)


def _header(path: Path) -> tuple[dict[str, str], int]:
    (first, end), *lines = header_lines(path)
    if not MAGIC.fullmatch(first):
        raise VolumeError("is no NRRD file; copy it anew")
    fields: dict[str, str] = {}
    for line, end in lines:
        if not line:
            return fields, end
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            name = name.strip().lower()
            put_once(fields, ALIASES.get(name, name), value.strip())
    if "data file" in fields:
        return fields, end
    raise VolumeError("is no NRRD file (its header does not end); copy it anew")


def _declared(path: Path) -> Declared:
    fields, end = _header(path)
    sizes = whole_numbers("sizes", fields.get("sizes", ""))
    if whole_numbers("dimension", fields.get("dimension", "")) != (len(sizes),):
        raise VolumeError(f"declares dimension {shown(fields['dimension'])} and {len(sizes)} sizes")
    if len(sizes) < 3:
        raise VolumeError(f"has {len(sizes)} axes {sizes}: a volume has three; write it in three")
    encoding = fields.get("encoding", "").lower()
    if encoding not in PACKINGS:
        raise VolumeError(f"has the encoding {shown(encoding)}; write it as raw or gzip")
    _check_plain(fields)
    order, affine, warnings = axes_of_space(fields, sizes)
    voxels, dtype = _voxels(path, fields), _dtype(fields)
    offset = end if voxels == path else 0
    if _lies_at_the_end(fields):
        byte_count = int(np.prod(sizes, dtype=object)) * dtype.itemsize
        offset = max(offset, voxels.stat().st_size - byte_count)
    return Declared(
        voxels=voxels,
        offset=offset,
        packing=PACKINGS[encoding],
        dtype=dtype,
        sizes=sizes,
        order=order,
        affine=affine,
        warnings=warnings,
    )


def _dtype(fields: Mapping[str, str]) -> np.dtype[Any]:
    name, order = fields.get("type", "").lower(), fields.get("endian", "").lower()
    if name not in TYPES:
        raise VolumeError(f"has voxels of type {shown(name)}; convert it to short")
    dtype = np.dtype(TYPES[name])
    if order not in ORDERS and (order or dtype.itemsize > 1):
        raise VolumeError(f"has the byte order {shown(order)}; set endian to little or big")
    return dtype.newbyteorder(ORDERS.get(order, "<"))


def _check_plain(fields: Mapping[str, str]) -> None:
    skips = {fields.get(name, "0") for name in ("line skip", "byte skip")}
    if skips != {"0"} and not _lies_at_the_end(fields):
        raise VolumeError("skips lines or bytes before its voxels, which is not read; convert it")
    if "old min" in fields or "old max" in fields:
        raise VolumeError("says old min or max: its values are quantised, not HU; give the CT")


def _lies_at_the_end(fields: Mapping[str, str]) -> bool:
    """Return whether the header says that raw voxels end with their file, whatever is before."""
    skips = fields.get("line skip", "0"), fields.get("byte skip", "0")
    return skips == ("0", "-1") and fields.get("encoding", "").lower() == "raw"


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume as one .nrrd file, packed, atomically.

    Integers become int16, or int32 if a voxel needs it, floats float32. Equal volumes give equal
    bytes, and nothing but grid and voxels is said.

    Raises:
        IntensityError: a voxel is not a finite number.
        MedCycleGANError: the disk is full or not ours.
    """
    _write(stored_hu(volume, path), volume.affine, path)


def write_labels(labels: Labels, path: Path, *, like: Volume) -> None:
    """Write a label map as one .nrrd file, values and type as stored.

    Raises:
        MedCycleGANError: the disk is full or not ours.
    """
    _write(stored_labels(labels), labels.affine, path)


def _write(array: npt.NDArray[Any], affine: Affine, path: Path) -> None:
    directions, spacing, origin = axes_lps(affine)
    vectors = [f"({numbers(axis, ',')})" for axis in directions * spacing[:, None]]
    lines = {
        "type": WRITTEN_TYPES[array.dtype.str[1:]],
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, array.shape)),
        "space directions": " ".join(vectors),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
        "space origin": f"({numbers(origin, ',')})",
    }
    header = "NRRD0004\n" + "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\n"
    write_chunks(path, chain([header.encode()], packed(voxel_bytes(array), "gzip")))
