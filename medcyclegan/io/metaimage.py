"""MetaImage files (.mha, .mhd). Format: https://itk.org/Wiki/ITK/MetaIO/Documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io.axes import LPS
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
    one_of,
    put_once,
    read_declared,
    real_numbers,
    shown,
    whole_numbers,
)
from medcyclegan.volume import Affine, Labels, Volume

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
WRITTEN_TYPES = {code: name for name, code in reversed(TYPES.items())}  # the shorter names
PLAIN = {  # fields that may be absent or say just this
    "ElementNumberOfChannels": 1.0,
    "ElementToIntensityFunctionSlope": 1.0,
    "ElementToIntensityFunctionOffset": 0.0,
}
OTHER_MODALITIES = {"MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}
UNIT_TOLERANCE = 0.01  # some writers give three digits


def read(files: Sequence[Path], options: ReadOptions = ReadOptions()) -> Stored:
    """Return the volume in a MetaImage file.

    Args:
        files: first the .mha or .mhd file.
        options: whether a file of several volumes is read.

    Raises:
        VolumeError: no MetaImage, damaged, truncated, colour, text, several volumes that nobody
            asked for, or voxels in another folder.
        GeometryError: no spacing or no direction.
    """
    return read_declared(_declared(files[0]), options)


def voxel_file(path: Path) -> Path:
    """Return the file that holds the voxels: the one a header names, or `path` itself.

    Raises:
        VolumeError: no MetaImage, or the file is missing or in another folder.
    """
    return _voxels(path, _header(path)[0])


def volume_count(path: Path) -> int:
    """Return how many volumes the file holds; 1 where its header does not tell, or lies."""
    return count_declared(path, _declared)


def _header(path: Path) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    for line, end in header_lines(path):
        name, equals, value = line.partition("=")
        if not equals:
            break
        put_once(fields, name.strip(), value.strip())
        if name.strip() == "ElementDataFile":
            return fields, end
    raise VolumeError("is no MetaImage file (no ElementDataFile in its header); copy it anew")


def _voxels(path: Path, fields: Mapping[str, str]) -> Path:
    where = fields["ElementDataFile"]
    return path if where.upper() == "LOCAL" else beside(path, where)


def _declared(path: Path) -> Declared:
    fields, end = _header(path)
    sizes = whole_numbers("DimSize", fields.get("DimSize", ""))
    axes = whole_numbers("NDims", fields.get("NDims", ""))
    if axes != (len(sizes),):
        raise VolumeError(f"declares NDims {shown(fields['NDims'])} and {len(sizes)} sizes")
    if len(sizes) < 3:
        raise VolumeError(f"has {len(sizes)} axes {sizes}: a volume has three; write it in three")
    _check_plain(fields)
    dtype = np.dtype(TYPES[fields["ElementType"]])
    order = one_of(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    big_endian = _yes("BinaryDataByteOrderMSB", order, False)
    is_packed = _yes("CompressedData", fields.get("CompressedData", ""), False)
    voxels = _voxels(path, fields)
    byte_count = int(np.prod(sizes, dtype=object)) * dtype.itemsize
    offset = _offset(fields, end if voxels == path else 0, voxels, -1 if is_packed else byte_count)
    if is_packed:
        _check_packed_size(fields, voxels.stat().st_size - offset)
    return Declared(
        voxels=voxels,
        offset=offset,
        packing="zlib" if is_packed else "",
        dtype=dtype.newbyteorder(">" if big_endian else "<"),
        sizes=sizes,
        order=tuple(range(len(sizes))),
        affine=_affine(fields, len(sizes)),
    )


def _check_plain(fields: Mapping[str, str]) -> None:
    if fields.get("ObjectType", "Image") != "Image":
        raise VolumeError(f"holds a {shown(fields['ObjectType'])}, no image; leave it out")
    if fields.get("Modality") in OTHER_MODALITIES:
        raise VolumeError(f"says that it is {OTHER_MODALITIES[fields['Modality']]}, not CT")
    if fields.get("ElementType") not in TYPES:
        type_ = shown(fields.get("ElementType", ""))
        raise VolumeError(f"has voxels of type {type_}; convert it to short")
    if not _yes("BinaryData", fields.get("BinaryData", ""), True):
        raise VolumeError("holds its voxels as text; convert it to binary")
    for name, plain in PLAIN.items():
        if name in fields and real_numbers(name, fields[name], 1) != plain:
            raise VolumeError(f"has {name} {shown(fields[name])}, which is not read; convert it")


def _yes(name: str, value: str, default: bool) -> bool:
    if value.lower() not in ("", "true", "false", "1", "0"):
        raise VolumeError(f"has {name} {shown(value)}, neither True nor False; write it anew")
    return value.lower() in ("true", "1") if value else default


def _offset(fields: Mapping[str, str], end: int, voxels: Path, byte_count: int) -> int:
    """Return where voxels begin; a HeaderSize of -1 says that they end with their file."""
    (skipped, *more) = whole_numbers("HeaderSize", fields.get("HeaderSize", "0"))
    if skipped == -1 and byte_count >= 0 and not more:
        return max(end, voxels.stat().st_size - byte_count)
    if skipped < 0 or more or (end and skipped not in (0, end)):
        raise VolumeError(f"has HeaderSize {shown(fields['HeaderSize'])}, which cannot be")
    return max(end, skipped)


def _check_packed_size(fields: Mapping[str, str], present: int) -> None:
    size = whole_numbers("CompressedDataSize", fields.get("CompressedDataSize", str(present)))
    if size != (present,):
        raise VolumeError(
            f"is truncated or damaged: it declares {size[0]} packed bytes and holds {present}"
        )


def _affine(fields: Mapping[str, str], axes: int) -> Affine:
    sizes = one_of(fields, "ElementSpacing") or one_of(fields, "ElementSize")
    if not sizes:
        raise GeometryError("has no ElementSpacing; set it")
    rows = one_of(fields, "TransformMatrix", "Rotation", "Orientation")
    if not rows:
        raise GeometryError("has no TransformMatrix: nobody knows left from right; set it")
    spacing = real_numbers("ElementSpacing", sizes, axes)
    directions = real_numbers("TransformMatrix", rows, axes * axes).reshape(axes, axes)
    place = one_of(fields, "Offset", "Position", "Origin") or "0 " * axes
    if (spacing <= 0).any():
        raise GeometryError(f"has ElementSpacing {shown(sizes)}: sizes of a voxel are above 0")
    units = np.linalg.norm(directions, axis=1)
    beyond = np.abs(directions[3:, :3]).max(initial=0) + np.abs(directions[:3, 3:]).max(initial=0)
    if (np.abs(units - 1) > UNIT_TOLERANCE).any() or beyond > 0:
        raise GeometryError("has directions that are no unit vectors at right angles; correct them")
    affine = np.eye(4)
    affine[:3, :3] = (directions[:3, :3] * spacing[:3, None]).T  # a row for each axis
    affine[:3, 3] = real_numbers("Offset", place, axes)[:3]
    return LPS @ affine


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume as one .mha file, packed, atomically.

    Integers become int16, or int32 if a voxel needs it, floats float32. Equal volumes give equal
    bytes, and nothing but grid and voxels is said.

    Raises:
        IntensityError: a voxel is not a finite number.
        MedCycleGANError: the disk is full or not ours.
    """
    _write(stored_hu(volume, path), volume.affine, path)


def write_labels(labels: Labels, path: Path, *, like: Volume) -> None:
    """Write a label map as one .mha file, values and type as stored.

    Raises:
        MedCycleGANError: the disk is full or not ours.
    """
    _write(stored_labels(labels), labels.affine, path)


def _write(array: npt.NDArray[Any], affine: Affine, path: Path) -> None:
    voxels = b"".join(packed(voxel_bytes(array), "zlib"))  # its size stands in the header
    directions, spacing, origin = axes_lps(affine)
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(voxels)),
        "TransformMatrix": numbers(directions.ravel()),
        "Offset": numbers(origin),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": numbers(spacing),
        "DimSize": " ".join(map(str, array.shape)),
        "ElementType": WRITTEN_TYPES[array.dtype.str[1:]],
        "ElementDataFile": "LOCAL",
    }
    header = "".join(f"{name} = {value}\n" for name, value in lines.items())
    write_chunks(path, chain([header.encode()], [voxels]))
