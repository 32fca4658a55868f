"""Files to volumes and back: the only place that knows NIfTI, DICOM, MetaImage and NRRD.

A volume that leaves here is CT in HU on a right-angled grid, or it was refused in one line that
names the file, what is wrong and what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from medcyclegan.errors import InputError, VolumeError
from medcyclegan.hounsfield import check_hu, odd_hu
from medcyclegan.io.find import Found, Source, files_of, find_volumes, own_name
from medcyclegan.io.formats import READERS, WRITERS, format_of
from medcyclegan.io.stored import Stored, as_hu, reading
from medcyclegan.volume import Labels, Provenance, Volume, check_grid

__all__ = [
    "READERS",
    "WRITERS",
    "Found",
    "Source",
    "file_name",
    "files_of",
    "find_volumes",
    "own_name",
    "read_labels",
    "read_source",
    "read_volume",
    "write_labels",
    "write_volume",
]


def read_source(source: Source) -> Volume:
    """Return the volume that a search has found, in HU on its own grid.

    Raises:
        VolumeError: it is damaged or truncated, or no volume.
        GeometryError: its slices or axes make no right-angled, even grid.
        IntensityError: its voxels are not HU.
    """
    with reading(source.path):
        stored = _read(source.format, source.files)
        array = as_hu(stored.array)
        check_hu(array)
        return Volume(
            array,
            stored.affine,
            Provenance(
                path=source.path,
                format=source.format,
                patient=_key(stored.patient or (source.path.parent / source.stem).as_posix()),
                tags=stored.tags,
                qform_code=stored.qform_code,
                sform_code=stored.sform_code,
                warnings=(*stored.warnings, *odd_hu(array)),
            ),
        )


def read_volume(path: Path) -> Volume:
    """Return the CT volume in one file, or in a folder that holds exactly one.

    Raises:
        InputError: nothing there, or several volumes.
        VolumeError: as `read_source`.
    """
    found = find_volumes(path)
    if found.refused:
        where, reason = found.refused[0]
        raise VolumeError(f"{where}: {reason}")
    if len(found.sources) > 1:
        raise InputError(f"{path}: holds {len(found.sources)} volumes; name one of them")
    return read_source(found.sources[0])


def read_labels(path: Path) -> Labels:
    """Return the label map in a NIfTI, MetaImage or NRRD file, values and type as stored.

    Raises:
        VolumeError: no file, damaged, of another format, or values that are not whole.
        GeometryError: its axes make no right-angled grid.
    """
    if not path.is_file():
        raise VolumeError(f"{path}: no such label file; check the path")
    with reading(path):
        format_ = format_of(path.name)
        if not format_:
            raise VolumeError("is no label file; give NIfTI, MHA or NRRD")
        stored = _read(format_, (path,))
        array = stored.array
        if array.dtype.kind == "f" and not (array == np.rint(array)).all():
            raise VolumeError("holds values that are not whole: no label map; round them")
        check_grid(array.shape, stored.affine)
        return Labels(array, stored.affine)


def write_volume(volume: Volume, path: Path, *, file_format: str = "") -> None:
    """Write a volume atomically.

    NIfTI holds integers as int16 (int32 if needed) and floats as float32, DICOM whole HU.

    Args:
        volume: HU.
        path: a file; for DICOM the folder of a new series.
        file_format: a key of `WRITERS`; by default the one that the name's suffix stands for.

    Raises:
        InputError: another suffix, or a folder that holds something.
        GeometryError: a grid that the format cannot say.
        IntensityError: a voxel is not a finite number, or none that the format can hold.
        MedCycleGANError: the disk is full or not ours.
    """
    module = WRITERS[file_format].module if file_format else _writer(path)
    import_module(module).write_volume(volume, path)


def write_labels(labels: Labels, path: Path, *, like: Volume) -> None:
    """Write a label map beside the image `like`, values and type as stored, atomically.

    Raises:
        InputError: a suffix that none of `WRITERS` has.
        MedCycleGANError: the disk is full or not ours.
    """
    import_module(_writer(path)).write_labels(labels, path, like=like)


def file_name(stem: str, file_format: str) -> str:
    """Return what the file or folder of a volume is called in a format, a key of `WRITERS`.

    >>> file_name("case", "nifti"), file_name("case", "dicom")
    ('case.nii.gz', 'case')
    """
    return stem + "".join(WRITERS[file_format].suffixes[:1])


def _read(format_: str, files: tuple[Path, ...]) -> Stored:
    read: Callable[[tuple[Path, ...]], Stored] = import_module(READERS[format_].module).read
    return read(files)


def _writer(path: Path) -> str:
    for writer in WRITERS.values():
        if writer.suffixes and path.name.lower().endswith(writer.suffixes):
            return writer.module
    known = [suffix for writer in WRITERS.values() for suffix in writer.suffixes]
    raise InputError(f"{path}: cannot write this format; choose {' or '.join(known)}")


def _key(identity: str) -> str:
    """Return a hash; file names, and so paths, need not be text in any encoding."""
    return hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:16]
