"""Which reader takes which file, by suffix, and which writer makes it."""

from __future__ import annotations

from typing import NamedTuple


class Reader(NamedTuple):
    """A module, imported on use: `read(files, options) -> Stored` returns what is stored.

    `files` are paths, `options` is a `ReadOptions` that may be left out. `Stored.array` has three
    axes; for a file of several volumes it has four, (I, J, K, N), with `options.split_4d`, and is
    refused without. Modules of files known by their suffix also have, each from the header alone:

    - `voxel_file(path) -> Path`: the file where the voxels lie, `path` itself or one beside it;
    - `volume_count(path) -> int`: N, and 1 where the header does not tell or is damaged: reading
      says what is wrong with it.

    Args:
        module: where `read` is.
        suffixes: lower case, of the files it takes; none for DICOM, known by its content.
    """

    module: str
    suffixes: tuple[str, ...]


class Writer(NamedTuple):
    """A module, imported on use: `write_volume(volume, path)` writes a volume.

    One with suffixes also has `write_labels(labels, path, like=volume)`. One without writes
    folders: its `write_volume` takes `derivation=`, and `check_writable(volume, derivation)`
    stands beside.

    Args:
        module: where it is.
        suffixes: lower case, of the files it writes, the usual one first; none for a folder.
    """

    module: str
    suffixes: tuple[str, ...]


READERS: dict[str, Reader] = {
    "nifti": Reader("medcyclegan.io.nifti", (".nii.gz", ".nii", ".hdr")),
    "mha": Reader("medcyclegan.io.metaimage", (".mha", ".mhd")),
    "nrrd": Reader("medcyclegan.io.nrrd", (".nrrd", ".nhdr")),
    "dicom": Reader("medcyclegan.io.dicom.reading", ()),
}
WRITERS: dict[str, Writer] = {
    "nifti": Writer("medcyclegan.io.nifti", (".nii.gz", ".nii")),
    "dicom": Writer("medcyclegan.io.dicom.writing", ()),
    "mha": Writer("medcyclegan.io.metaimage", (".mha",)),
    "nrrd": Writer("medcyclegan.io.nrrd", (".nrrd",)),
}
OTHER_SUFFIXES = (".dcm", ".zip")  # part of a file's name, not of its stem


def format_of(name: str) -> str:
    """Return which of `READERS` takes a file of this name; empty if only its content can tell.

    >>> format_of("CT.NII.GZ"), format_of("IM0001.dcm")
    ('nifti', '')
    """
    lower = name.lower()
    for format_, reader in READERS.items():
        if lower.endswith(reader.suffixes) and reader.suffixes:
            return format_
    return ""


def split_suffix(name: str) -> tuple[str, str]:
    """Return a file name as stem and suffix, the suffix empty where it is none of ours.

    >>> split_suffix("Case.1.NII.gz"), split_suffix("CT.1.2.3")
    (('Case.1', '.NII.gz'), ('CT.1.2.3', ''))
    """
    known = [suffix for reader in READERS.values() for suffix in reader.suffixes]
    for suffix in sorted([*known, *OTHER_SUFFIXES], key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    return name, ""
