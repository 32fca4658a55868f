"""Odd NIfTI, MetaImage and NRRD files that are CT volumes all the same."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from tests.hostile.made import (
    CT,
    GRID,
    Array,
    Make,
    ct,
    grid,
    metaimage,
    nifti,
    nifti_bytes,
    nifti_pair,
    nrrd,
    plain_file,
    rotation,
    zip_of,
    zipped,
)

FLOAT = CT.astype(np.float32) + np.float32(0.25)
OBLIQUE = grid(turn=rotation(17, 0) @ rotation(-8, 2) @ np.diag([-1.0, -1.0, 1.0]))
PERMUTED = grid(turn=np.array([[0, 0, 1.0], [-1, 0, 0], [0, 1, 0]]))
MIRRORED = grid(turn=np.diag([1.0, 1.0, 1.0]))
UNSIGNED = (CT.astype(int) + 1024).astype(np.uint16)
HALVES = (CT // 2 * 2).astype(np.int16)
METAL = CT.copy()
METAL[7, 6, 2] = 14000
PADDED = CT.copy()
PADDED[0], PADDED[-1] = -3024, -2000
COMMENT = b"\x20\0\0\0\x06\0\0\0" + b"name of nobody".ljust(24, b"\0")


def named(make: Make, name: str) -> Make:
    """Return what writes a file under another name."""

    def write(folder: Path) -> Path:
        return make(folder).rename(folder / name)

    return write


def two_members(folder: Path) -> Path:
    """Write a NIfTI in two gzip members."""
    data = b"".join(nifti_bytes())
    packed = gzip.compress(data[:700], mtime=0) + gzip.compress(data[700:], mtime=0)
    return plain_file("ct.nii.gz", packed)(folder)


def from_a_mac(folder: Path) -> Path:
    """Write an archive as macOS does: folders, and a shadow of each file."""
    data = b"".join(nifti_bytes())
    entries = [
        ("case/", b""),
        ("case/ct.nii", data),
        ("__MACOSX/case/._ct.nii", b"\0\5\x16\7" * 30),
    ]
    return zip_of([*entries, ("case/.DS_Store", b"x"), ("case/notes.txt", b"x")])(folder)


def after_a_program(folder: Path) -> Path:
    """Write an archive that unpacks itself elsewhere: a program before it."""
    path = zip_of([("ct.nii", b"".join(nifti_bytes()))])(folder)
    path.write_bytes(b"MZ" + bytes(510) + path.read_bytes())
    return path


GOOD_NIFTI: dict[str, tuple[Make, Array, Array]] = {
    "plain": (nifti("ct.nii"), CT, GRID),
    "big endian": (nifti(endian=">"), CT, GRID),
    "version 2": (nifti(version=2), CT, GRID),
    "version 2, big endian": (nifti("ct.nii", version=2, endian=">"), CT, GRID),
    "pair": (nifti_pair(), CT, GRID),
    "pair, packed": (nifti_pair("ct.img.gz"), CT, GRID),
    "capitals": (named(nifti(), "CT.NII.GZ"), CT, GRID),
    "spaces and dots": (named(nifti(), "my ct.v1.2 (copy).nii.gz"), CT, GRID),
    "packed without saying so": (nifti("ct.nii", packed=True), CT, GRID),
    "says packed, is plain": (nifti("ct.nii.gz", packed=False), CT, GRID),
    "two gzip members": (two_members, CT, GRID),
    "a fourth axis of one": (nifti(array=CT[..., None]), CT, GRID),
    "seven axes": (nifti(array=CT[..., None, None, None, None]), CT, GRID),
    "two axes": (nifti(array=CT[:, :, 2]), CT[:, :, 2:3], GRID),
    "one slice": (nifti(array=CT[:, :, 2:3]), CT[:, :, 2:3], GRID),
    "float": (nifti(array=FLOAT), FLOAT, GRID),
    "double": (nifti(array=FLOAT.astype(np.float64)), FLOAT, GRID),
    "int32": (nifti(array=CT.astype(np.int32)), CT, GRID),
    "int64": (nifti(array=CT.astype(np.int64)), CT, GRID),
    "unsigned with intercept": (
        nifti(array=UNSIGNED, fields={"scl_slope": 1, "scl_inter": -1024}),
        CT,
        GRID,
    ),
    "slope 2": (nifti(array=HALVES // 2, fields={"scl_slope": 2}), HALVES, GRID),
    "slope of a half": (
        nifti(array=CT.astype(np.int32) * 2, fields={"scl_slope": 0.5}),
        CT,
        GRID,
    ),
    "slope 0 means none": (nifti(fields={"scl_slope": 0}), CT, GRID),
    "negative slope": (nifti(array=-CT, fields={"scl_slope": -1}), CT, GRID),
    "offset 0 means the end of the header": (nifti(fields={"vox_offset": 0}), CT, GRID),
    "an extension": (nifti(extension=b"\x01\0\0\0" + COMMENT), CT, GRID),
    "qform alone": (nifti(codes=(1, 0)), CT, GRID),
    "sform alone": (nifti(codes=(0, 2)), CT, GRID),
    "qfac 0": (nifti(codes=(1, 0), fields={"pixdim[0]": 0}), CT, GRID),
    "units unsaid": (nifti(fields={"xyzt_units": 0}), CT, GRID),
    "oblique": (nifti(affine=OBLIQUE), CT, OBLIQUE),
    "permuted": (nifti(affine=PERMUTED), CT, PERMUTED),
    "mirrored": (nifti(affine=MIRRORED), CT, MIRRORED),
    "metal": (nifti(array=METAL), METAL, GRID),
    "padding": (nifti(array=PADDED), PADDED, GRID),
    "air alone": (nifti(array=np.full_like(CT, -1000)), np.full_like(CT, -1000), GRID),
    "words in the header": (
        nifti(fields={"descrip": b"of nobody", "aux_file": b"none.txt", "db_name": b"x"}),
        CT,
        GRID,
    ),
    "an odd number of bytes": (nifti(array=ct((13, 11, 5))), ct((13, 11, 5)), GRID),
    "zip": (zipped(nifti()), CT, GRID),
    "zip from a Mac": (from_a_mac, CT, GRID),
    "zip after a program": (after_a_program, CT, GRID),
    "zip in capitals": (named(zipped(nifti()), "CT.ZIP"), CT, GRID),
}

GOOD_ITK: dict[str, tuple[Make, Array, Array]] = {
    "metaimage": (metaimage(), CT, GRID),
    "metaimage, packed": (metaimage(packed=True), CT, GRID),
    "metaimage, big endian": (metaimage(endian=">"), CT, GRID),
    "metaimage, detached": (metaimage("ct.mhd"), CT, GRID),
    "metaimage, detached and packed": (metaimage("ct.mhd", packed=True), CT, GRID),
    "metaimage, a header before the voxels": (
        metaimage("ct.mhd", extra="HeaderSize = 64\n", lead=bytes(64)),
        CT,
        GRID,
    ),
    "metaimage, a header of any length": (
        metaimage("ct.mhd", extra="HeaderSize = -1\n", lead=bytes(77)),
        CT,
        GRID,
    ),
    "metaimage, float": (metaimage(array=FLOAT), FLOAT, GRID),
    "metaimage, oblique": (metaimage(affine=OBLIQUE), CT, OBLIQUE),
    "metaimage, permuted": (metaimage(affine=PERMUTED), CT, PERMUTED),
    "metaimage, words": (metaimage(extra="Comment = of nobody\n"), CT, GRID),
    "metaimage, capitals": (named(metaimage(), "CT.MHA"), CT, GRID),
    "nrrd": (nrrd(), CT, GRID),
    "nrrd, packed": (nrrd(packed=True), CT, GRID),
    "nrrd, big endian": (nrrd(endian="big"), CT, GRID),
    "nrrd, right anterior superior": (nrrd(ras=True), CT, GRID),
    "nrrd, detached": (nrrd("ct.nhdr"), CT, GRID),
    "nrrd, detached and packed": (nrrd("ct.nhdr", packed=True), CT, GRID),
    "nrrd, double": (nrrd(array=FLOAT.astype(np.float64)), FLOAT, GRID),
    "nrrd, oblique": (nrrd(affine=OBLIQUE), CT, OBLIQUE),
    "nrrd, comments and pairs": (nrrd(extra="# of nobody\nkey:=value\n"), CT, GRID),
    "nrrd, millimetres": (nrrd(extra='space units: "mm" "mm" "mm"\n'), CT, GRID),
    "zip of a detached header": (zipped(nrrd("ct.nhdr")), CT, GRID),
}
