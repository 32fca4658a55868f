"""Which reader takes which file, by suffix, and which writer makes it."""

from __future__ import annotations

from typing import NamedTuple


class Reader(NamedTuple):
    """A module, imported on use: `read(files)` returns what is stored.

    For files known by their suffix, `voxel_file(path)` returns where the voxels lie.

    Args:
        module: where `read` is.
        suffixes: lower case, of the files it takes; none for DICOM, known by its content.
    """

    module: str
    suffixes: tuple[str, ...]


class Writer(NamedTuple):
    """A module, imported on use: `write_volume(volume, path)` writes a volume.

    One with suffixes also has `write_labels(labels, path, like=volume)`.

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
    "dicom": Reader("medcyclegan.io.dicom", ()),
}
WRITERS: dict[str, Writer] = {
    "nifti": Writer("medcyclegan.io.nifti", (".nii.gz", ".nii")),
    "dicom": Writer("medcyclegan.io.dicom_series", ()),
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
