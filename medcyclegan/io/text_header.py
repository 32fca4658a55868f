"""What MetaImage and NRRD have in common: a header of text lines, and voxels after or beside it.

Headers are parsed here and voxels counted before any are unpacked. Nothing outside the header's
own folder is followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, MedCycleGANError, VolumeError
from medcyclegan.io.axes import count_in, volume_shape
from medcyclegan.io.stored import ReadOptions, Stored, printable, reading
from medcyclegan.io.streams import blocks, check_room, read_to_end
from medcyclegan.volume import Affine

MOST_HEADER_BYTES = 1 << 16
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
REAL = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True)
class Declared:
    """What a header declares.

    Args:
        voxels: the file that holds them.
        offset: of the first one.
        packing: "", "zlib" or "gzip".
        dtype: as stored, with its byte order.
        sizes: along each axis, fastest first.
        order: of the axes: three of space, then others.
        affine: of the axes of space, 4x4, voxel index -> RAS+ mm.
        warnings: what is odd about it, one line each.
    """

    voxels: Path
    offset: int
    packing: str
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    order: tuple[int, ...]
    affine: Affine
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes in the order of `order`."""
        return tuple(self.sizes[axis] for axis in self.order)

    def check_room(self) -> int:
        """Return how many bytes of voxels are declared, where they can be there at all.

        Raises:
            VolumeError: the file is too short for them, or the machine too small.
        """
        expected = int(np.prod(self.sizes, dtype=object)) * self.dtype.itemsize
        present = self.voxels.stat().st_size - self.offset
        check_room(present, expected, packed=bool(self.packing))
        return expected


def read_declared(declared: Declared, options: ReadOptions) -> Stored:
    """Return the voxels that a header declares.

    Raises:
        VolumeError: damaged, truncated, more or fewer bytes than declared, several volumes that
            nobody asked for, or vectors.
    """
    shape = volume_shape(declared.shape, options)
    expected = declared.check_room()
    with declared.voxels.open("rb") as stream:
        stream.seek(declared.offset)
        data = read_to_end(blocks(stream, declared.packing), expected)
    raw = np.frombuffer(data, declared.dtype, expected // declared.dtype.itemsize)
    array = raw.astype(declared.dtype.newbyteorder("="), copy=False)
    array = array.reshape(declared.sizes, order="F").transpose(declared.order)
    return Stored(
        array=array.reshape(shape, order="F"),
        affine=declared.affine,
        warnings=declared.warnings,
    )


def count_declared(path: Path, declare: Callable[[Path], Declared]) -> int:
    """Return how many volumes a header declares; 1 where it does not tell, or lies."""
    try:
        with reading(path):
            declared = declare(path)
            declared.check_room()
            volume_shape(declared.shape, ReadOptions(split_4d=True))
    except MedCycleGANError:
        return 1
    return count_in(declared.shape)


def header_lines(path: Path) -> list[tuple[str, int]]:
    """Return the first 64 KiB as lines, each with the offset of the byte after it.

    Raises:
        VolumeError: the file is empty.
    """
    with path.open("rb") as stream:
        head = stream.read(MOST_HEADER_BYTES)
    if not head:
        raise VolumeError("is empty; copy it anew")
    lines, end = [], 0
    for line in head.split(b"\n"):
        end = min(end + len(line) + 1, len(head))
        lines.append((line.removesuffix(b"\r").decode(errors="surrogateescape"), end))
    return lines


def put_once(fields: dict[str, str], name: str, value: str) -> None:
    """Put a field into a header that must not have said it before.

    Raises:
        VolumeError: it has; readers differ in which one they believe.
    """
    if name in fields:
        raise VolumeError(f"says {printable(name)} twice in its header; write it anew")
    fields[name] = value


def one_of(fields: Mapping[str, str], *names: str) -> str:
    """Return the value of a field that has several names; empty where there is none.

    Raises:
        VolumeError: two names with two values.
    """
    values = {fields[name] for name in names if name in fields}
    if len(values) > 1:
        raise VolumeError(f"has a {' and another '.join(names[:2])} in its header; write it anew")
    return values.pop() if values else ""


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers of a field.

    Raises:
        VolumeError: none there, or something else.
    """
    words = text.split()
    if not words or not all(WHOLE.fullmatch(word) for word in words):
        raise VolumeError(f"has {name} {shown(text)}: no whole numbers; write it anew")
    return tuple(int(word) for word in words)


def real_numbers(name: str, text: str, count: int) -> npt.NDArray[np.float64]:
    """Return the finite numbers of a field, separated by spaces.

    Raises:
        GeometryError: more or fewer than `count`, or something else.
    """
    words = text.split()
    if len(words) != count or not all(REAL.fullmatch(word) for word in words):
        raise GeometryError(f"has {name} {shown(text)}: not {count} finite numbers; set them")
    numbers = np.array([float(word) for word in words])
    if not np.isfinite(numbers).all():
        raise GeometryError(f"has {name} {shown(text)}: not {count} finite numbers; set them")
    return numbers


def shown(text: str) -> str:
    """Return what a header says as it can be shown in a message."""
    text = printable(text)
    return (text if len(text) <= 60 else text[:57] + "...") or "(none)"


def beside(header: Path, name: str) -> Path:
    """Return the file of voxels that a detached header names, which must lie in its folder.

    Raises:
        VolumeError: it lies elsewhere, is no single file, is missing or is the header itself.
    """
    if name.split()[:1] == ["LIST"] or "%" in name:
        raise VolumeError("names one file for each slice; write all its voxels into one")
    target = header.parent / name
    inside = "\0" not in name and target.resolve().parent == header.parent.resolve()
    if Path(name).name != name or not inside:
        raise VolumeError(f"points to voxels outside its folder ({shown(name)}); put both into one")
    if not target.is_file():
        raise VolumeError(f"names its voxels {shown(name)}, which is not beside it; copy both")
    if target.samefile(header):
        raise VolumeError("names itself as the file of its voxels; write it anew")
    return target
