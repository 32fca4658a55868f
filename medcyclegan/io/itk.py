"""What MetaImage and NRRD have in common: SimpleITK reads them, after their bytes were counted.

SimpleITK fills what is missing from a truncated file with zeros, and follows a detached header
wherever it points; so headers are parsed and voxels counted here first.
"""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.files import TEMPORARY_PREFIX
from medcyclegan.io.stored import Stored, check_voxel_count, native_silence, printable
from medcyclegan.io.streams import CHUNK_BYTES, check_length

MOST_HEADER_BYTES = 1 << 16


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
    for line in head.splitlines(keepends=True):
        end += len(line)
        lines.append((printable(line.decode(errors="replace")), end))
    return lines


def check_once(fields: dict[str, str], name: str) -> None:
    """Check that a header has not said the same thing before.

    Raises:
        VolumeError: it has; readers differ in which one they believe.
    """
    if name in fields:
        raise VolumeError(f"says {name} twice in its header; write it anew")


def beside(header: Path, name: str) -> Path:
    """Return the file of voxels that a detached header names, which must lie in its folder.

    Raises:
        VolumeError: it lies elsewhere, is no single file or is missing.
    """
    target = header.parent / name
    inside = target.resolve().parent == header.parent.resolve()
    if Path(name).name != name or not inside:
        raise VolumeError(f"points to voxels outside its folder ({name}); put both into one")
    if not target.is_file():
        raise VolumeError(f"names its voxels {name}, which is not beside it; copy both")
    return target


def check_shape(sizes: list[int]) -> None:
    """Check that declared sizes are those of one volume.

    Raises:
        VolumeError: not three axes, or an impossible size.
    """
    if len(sizes) != 3:
        raise VolumeError(f"has {len(sizes)} axes {tuple(sizes)}: a volume has three; split it")
    check_voxel_count(tuple(sizes))


def check_voxels(path: Path, offset: int, expected: int, packed: str) -> None:
    """Check that a file holds as many bytes of voxels as declared.

    Args:
        path: the file.
        offset: where voxels begin.
        expected: bytes once unpacked.
        packed: "", "zlib" or "gzip".

    Raises:
        VolumeError: there are fewer, more once unpacked, or the packing is damaged.
    """
    if not packed:
        check_length(path.stat().st_size - offset, expected)
        return
    with path.open("rb") as stream:
        stream.seek(offset)
        found = _unpacked_bytes(stream, expected, packed)
    check_length(found, expected)
    if found > expected:
        raise VolumeError(f"unpacks to more than the {expected} bytes its header declares")


def _unpacked_bytes(stream: IO[bytes], expected: int, packed: str) -> int:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | (16 if packed == "gzip" else 0))
    found, block = 0, b""
    try:
        while not unpacker.eof and found <= expected:
            block = unpacker.unconsumed_tail or stream.read(CHUNK_BYTES)
            if not block:
                raise VolumeError("is truncated: its packed voxels end early; copy it anew")
            found += len(unpacker.decompress(block, CHUNK_BYTES))
    except zlib.error as error:
        raise VolumeError(f"is damaged ({error}); copy it anew") from error
    return found


def read_image(path: Path, voxels: Path, sizes: list[int]) -> Stored:
    """Return what SimpleITK reads, on a RAS+ grid.

    Args:
        path: the file, or a detached header.
        voxels: the file of voxels that `path` names, or `path` itself.
        sizes: voxels along each axis, as declared.

    Raises:
        VolumeError: SimpleITK cannot read it, or reads another size than declared.
        GeometryError: SimpleITK finds no grid in it.
    """
    import SimpleITK

    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    reader = SimpleITK.ImageFileReader()
    try:
        with native_silence(), _in_text(path, voxels) as named:
            reader.SetFileName(str(named))
            image = reader.Execute()
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1]
        raise VolumeError(f"cannot be read ({line[:150]}); it is damaged") from error
    if list(image.GetSize()) != sizes or image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(f"declares {tuple(sizes)} voxels but holds {image.GetSize()}")
    direction = np.array(image.GetDirection()).reshape(3, 3)
    if abs(abs(np.linalg.det(direction)) - 1) > 0.02:
        raise GeometryError("has directions that are no unit vectors at right angles; correct them")
    affine = np.eye(4)
    affine[:3, :3] = direction * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    array = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)  # (K, J, I) -> (I, J, K)
    return Stored(array=array, affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


@contextlib.contextmanager
def _in_text(path: Path, voxels: Path) -> Iterator[Path]:
    """Yield a path to the same file that is text: SimpleITK ends the process on any other."""
    if str(path).isprintable():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder:
        if voxels != path:
            Path(folder, voxels.name).symlink_to(voxels.resolve())
        link = Path(folder, f"volume{path.suffix}")
        link.symlink_to(path.resolve())
        yield link
