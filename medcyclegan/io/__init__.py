"""Files to volumes and back: the only place that knows NIfTI, DICOM, MetaImage and NRRD.

A volume that leaves here is CT in HU on a right-angled grid, or it was refused in one line that
names the file, what is wrong and what to do.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy.typing as npt

from medcyclegan.errors import InputError, VolumeError
from medcyclegan.hounsfield import check_hu, odd_hu
from medcyclegan.io.archive import unpacked
from medcyclegan.io.dicom.ct_image import Derivation
from medcyclegan.io.find import files_of, find_volumes
from medcyclegan.io.formats import READERS, WRITERS, Writer
from medcyclegan.io.labels import read_labels
from medcyclegan.io.naming import own_name
from medcyclegan.io.source import Found, Source, source_sha256
from medcyclegan.io.stored import ReadOptions, Stored, as_hu, reading
from medcyclegan.volume import Labels, Provenance, Volume

__all__ = [
    "READERS",
    "WRITERS",
    "Derivation",
    "Found",
    "ReadOptions",
    "Source",
    "check_writable",
    "file_name",
    "files_of",
    "find_volumes",
    "own_name",
    "read_labels",
    "read_source",
    "read_volume",
    "source_sha256",
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
    with _files(source) as files, reading(source.path):
        stored = _read(source.format, files, source.options)
        array = as_hu(_part(stored, source.part))
        check_hu(array)
        return Volume(
            array,
            stored.affine,
            Provenance(
                path=source.path,
                format=source.format,
                patient=_key(stored.patient or _own_place(source)),
                patient_known=bool(stored.patient),
                tags=stored.tags,
                qform_code=stored.qform_code,
                sform_code=stored.sform_code,
                warnings=(*stored.warnings, *odd_hu(array)),
                headers=stored.headers,
            ),
        )


def read_volume(path: Path, options: ReadOptions = ReadOptions()) -> Volume:
    """Return the CT volume in one file, or in a folder or archive that holds exactly one.

    Args:
        path: as the user named it.
        options: what to do where there is a choice.

    Raises:
        InputError: nothing there, or several volumes.
        VolumeError: as `read_source`.
    """
    found = find_volumes(path, options)
    if found.refused:
        where, reason = found.refused[0]
        raise VolumeError(f"{where}: {reason}")
    if len(found.sources) > 1:
        raise InputError(f"{path}: holds {len(found.sources)} volumes; name one of them")
    return read_source(found.sources[0])


def write_volume(
    volume: Volume, path: Path, *, file_format: str = "", derivation: Derivation | None = None
) -> None:
    """Write a volume atomically.

    NIfTI, MHA and NRRD hold integers as int16 (int32 if needed) and floats as float32, DICOM whole
    HU.

    Args:
        volume: HU.
        path: a file; for DICOM the folder of a new series.
        file_format: a key of `WRITERS`; by default the one that the name's suffix stands for.
        derivation: how it was made from the volume that its provenance speaks of; said in DICOM,
            whose slices are then written on the planes of those of a DICOM source.

    Raises:
        InputError: another suffix, or a folder that holds something.
        GeometryError: a grid that the format cannot say.
        IntensityError: a voxel is not a finite number, or none that the format can hold.
        MedCycleGANError: the disk is full or not ours.
    """
    writer = WRITERS[file_format] if file_format else _writer(path)
    module = import_module(writer.module)
    if writer.suffixes:
        module.write_volume(volume, path)
    else:
        module.write_volume(volume, path, derivation=derivation)


def check_writable(volume: Volume, file_format: str, derivation: Derivation) -> None:
    """Check that a format, a key of `WRITERS`, can say a volume's grid.

    Raises:
        GeometryError: it cannot.
    """
    writer = WRITERS[file_format]
    if not writer.suffixes:
        import_module(writer.module).check_writable(volume, derivation)


def write_labels(labels: Labels, path: Path, *, like: Volume) -> None:
    """Write a label map beside the image `like`, values and type as stored, atomically.

    Raises:
        InputError: a suffix that none of `WRITERS` has.
        MedCycleGANError: the disk is full or not ours.
    """
    import_module(_writer(path).module).write_labels(labels, path, like=like)


def file_name(stem: str, file_format: str) -> str:
    """Return what the file or folder of a volume is called in a format, a key of `WRITERS`.

    >>> file_name("case", "nifti"), file_name("case", "dicom")
    ('case.nii.gz', 'case')
    """
    return stem + "".join(WRITERS[file_format].suffixes[:1])


@contextlib.contextmanager
def _files(source: Source) -> Iterator[tuple[Path, ...]]:
    """Yield where a source's files lie while they are read."""
    if not source.members:
        yield source.files
        return
    with unpacked(source.files[0], frozenset(source.members)) as folder:
        yield tuple(folder / name for name in source.members)


def _read(format_: str, files: tuple[Path, ...], options: ReadOptions) -> Stored:
    stored: Stored = import_module(READERS[format_].module).read(files, options)
    return stored


def _part(stored: Stored, part: int | None) -> npt.NDArray[Any]:
    """Return the voxels of one volume of a file."""
    if part is None:
        return stored.array
    if stored.array.ndim != 4 or part >= stored.array.shape[3]:
        raise VolumeError(f"no longer holds a volume {part + 1}; search it anew")
    return stored.array[..., part].copy(order="K")


def _own_place(source: Source) -> str:
    """Return what stands for a patient whom a file does not name: where the file lies."""
    if source.part is not None:  # all volumes of a file are of one patient
        return "\n".join([source.path.as_posix(), *source.members])
    return (source.path.parent / source.stem).as_posix()


def _writer(path: Path) -> Writer:
    for writer in WRITERS.values():
        if writer.suffixes and path.name.lower().endswith(writer.suffixes):
            return writer
    known = [suffix for writer in WRITERS.values() for suffix in writer.suffixes]
    raise InputError(f"{path}: cannot write this format; choose {' or '.join(known)}")


def _key(identity: str) -> str:
    """Return a hash; file names, and so paths, need not be text in any encoding."""
    return hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:16]
