"""What the writers of single files have in common: the numbers they hold, as bytes, packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import IntensityError
from medcyclegan.files import atomic_path
from medcyclegan.io.axes import LPS
from medcyclegan.io.stored import as_hu
from medcyclegan.volume import Affine, Labels, Volume

LEVEL = 3  # of ISA-L: as fast as its others on noisy CT, and the smallest
WINDOW_BITS = {"zlib": 15, "gzip": 31}
SLAB_BYTES = 1 << 22


def stored_hu(volume: Volume, path: Path) -> npt.NDArray[Any]:
    """Return HU as files hold them: int16 (int32 if a voxel needs it), float32 for floats.

    Raises:
        IntensityError: a voxel is not a finite number; the message names `path`.
    """
    array = as_hu(volume.array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise IntensityError(f"{path}: not written, some voxels are not a finite number")
    return array


def stored_labels(labels: Labels) -> npt.NDArray[Any]:
    """Return labels as files hold them: values and type kept, where files have such a type."""
    if labels.array.dtype == bool:
        return labels.array.astype(np.uint8)
    if labels.array.dtype == np.float16:
        return labels.array.astype(np.float32)
    return labels.array


def voxel_bytes(array: npt.NDArray[Any]) -> Iterator[memoryview]:
    """Yield an array (I, J, K) as little-endian bytes, I fastest, some slices at a time."""
    step = max(1, SLAB_BYTES // max(1, array[:, :, 0].nbytes))
    little = array.dtype.newbyteorder("<")
    for k in range(0, array.shape[2], step):
        slab = np.ascontiguousarray(array[:, :, k : k + step].T, little)
        yield slab.data.cast("B")


def packed(chunks: Iterable[bytes | memoryview], packing: str) -> Iterator[bytes]:
    """Yield bytes packed as "zlib" or "gzip"; equal bytes in, equal bytes out: no time, no name."""
    from isal import isal_zlib

    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, WINDOW_BITS[packing])
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def write_chunks(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file of these bytes, atomically.

    Raises:
        MedCycleGANError: the disk is full or not ours.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)


def axes_lps(
    affine: Affine,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return an affine as ITK says it, LPS: (directions, a row for each axis; spacing; origin)."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return (lps[:3, :3] / spacing).T, spacing, lps[:3, 3]


def numbers(values: Iterable[float], separator: str = " ") -> str:
    """Return numbers as the shortest text that is read back as the very same ones.

    >>> numbers([1.0, -0.0, 0.1])
    '1.0 0.0 0.1'
    """
    return separator.join(repr(float(value) + 0.0) for value in values)
