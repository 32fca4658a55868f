"""MetaImage files (.mha, .mhd). Format: https://itk.org/Wiki/ITK/MetaIO/Documentation."""

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

BYTES_OF = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
PLAIN = {  # fields that may be absent or say just this
    "ElementNumberOfChannels": 1.0,
    "ElementToIntensityFunctionSlope": 1.0,
    "ElementToIntensityFunctionOffset": 0.0,
}


def read(files: Sequence[Path]) -> Stored:
    """Return the volume in a MetaImage file.

    Args:
        files: first the .mha or .mhd file.

    Raises:
        VolumeError: no MetaImage, damaged, truncated, colour, text, or voxels in another folder.
        GeometryError: no spacing or no direction.
    """
    path = files[0]
    fields, end = _header(path)
    sizes = [int(size) for size in fields.get("DimSize", "").split()]
    check_shape(sizes)
    _check_plain(fields)
    expected = int(np.prod(sizes, dtype=object)) * BYTES_OF[fields["ElementType"]]
    packed = "zlib" if fields.get("CompressedData", "False").lower() == "true" else ""
    voxels = _voxels(path, fields)
    skip = int(fields.get("HeaderSize", "0")) if voxels != path else end
    check_voxels(voxels, max(0, skip), expected, packed)
    return read_image(path, voxels, sizes)


def voxel_file(path: Path) -> Path:
    """Return the file that holds the voxels: the one a header names, or `path` itself.

    Raises:
        VolumeError: no MetaImage, or the file is missing or in another folder.
    """
    return _voxels(path, _header(path)[0])


def _voxels(path: Path, fields: dict[str, str]) -> Path:
    where = fields["ElementDataFile"]
    return path if where.upper() == "LOCAL" else beside(path, where)


def _header(path: Path) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    for line, end in header_lines(path):
        name, equals, value = line.partition("=")
        if not equals:
            break
        check_once(fields, name.strip())
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            return fields, end
    raise VolumeError("is no MetaImage file (no ElementDataFile in its header); copy it anew")


def _check_plain(fields: dict[str, str]) -> None:
    if fields.get("ElementType") not in BYTES_OF:
        raise VolumeError(f"has voxels of type {fields.get('ElementType')}; convert it to short")
    if fields.get("BinaryData", "True").lower() != "true":
        raise VolumeError("holds its voxels as text; convert it to binary")
    for name, plain in PLAIN.items():
        if float(fields.get(name, plain)) != plain:
            raise VolumeError(f"has {name} {fields[name]}, which is not read; convert it")
    if not {"ElementSpacing", "ElementSize"} & set(fields):
        raise GeometryError("has no ElementSpacing; set it")
    if not {"TransformMatrix", "Orientation", "Rotation"} & set(fields):
        raise GeometryError("has no TransformMatrix: nobody knows left from right; set it")
