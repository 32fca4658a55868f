"""NIfTI files that are no CT volume, each with a word of what a person must be told."""

from __future__ import annotations

import gzip

import numpy as np

from tests.hostile.made import (
    CT,
    GRID,
    Make,
    add,
    ct,
    cut,
    drop,
    flip,
    grid,
    nifti,
    nifti_bytes,
    nifti_pair,
    plain_file,
)

HUGE = 32767
WHOLE = b"".join(nifti_bytes())
NAN = float("nan")
SHEARED = GRID @ np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
ZERO_ROWS = {f"srow_{axis}": np.zeros(4) for axis in "xyz"}
NAN_ROW = {"srow_y": np.full(4, NAN)}

BYTES: dict[str, tuple[Make, str]] = {
    "empty gz": (plain_file("ct.nii.gz", b""), "empty"),
    "empty plain": (plain_file("ct.nii", b""), "empty"),
    "packed nothing": (plain_file("ct.nii.gz", gzip.compress(b"", mtime=0)), "empty"),
    "text": (plain_file("ct.nii", b"this is no volume\n" * 40), "no NIfTI"),
    "zeros": (plain_file("ct.nii", bytes(4096)), "no NIfTI"),
    "text packed": (plain_file("ct.nii.gz", gzip.compress(b"no volume\n" * 90)), "no NIfTI"),
    "text named gz": (plain_file("ct.nii.gz", b"this is no volume\n" * 40), "no NIfTI"),
    "header cut": (nifti("ct.nii", spoil=lambda data: data[:200]), "NIfTI|truncated"),
    "header alone": (nifti("ct.nii", spoil=lambda data: data[:352]), "truncated"),
    "cut plain": (nifti("ct.nii", spoil=cut(0.6)), "truncated"),
    "cut by one byte": (nifti("ct.nii", spoil=drop(1)), "truncated"),
    "cut packed": (nifti(spoil_packed=cut(0.6)), "truncated|damaged"),
    "cut in the gzip trailer": (nifti(spoil_packed=drop(4)), "truncated|damaged"),
    "cut before gzip": (nifti(spoil=cut(0.6)), "truncated"),
    "gzip header cut": (nifti(spoil_packed=lambda data: data[:5]), "truncated|damaged|empty"),
    "gzip crc": (nifti(spoil_packed=flip(-6)), "damaged"),
    "gzip length": (nifti(spoil_packed=flip(-1)), "damaged"),
    "gzip content": (nifti(spoil_packed=flip(600)), "damaged"),
    "gzip then garbage": (nifti(spoil_packed=add(b"garbage" * 50)), "damaged|more"),
    "two in one plain": (nifti("ct.nii", spoil=add(WHOLE)), "more than"),
    "two in one packed": (nifti(spoil=add(WHOLE)), "more than"),
    "magic": (nifti(fields={"magic": b"n+9"}, spoil=flip(345)), "no NIfTI"),
    "analyze": (nifti("ct.nii", spoil=lambda data: data[:344] + bytes(4) + data[348:]), "NIfTI"),
    "size of header": (nifti(fields={"sizeof_hdr": 100}), "header"),
    "pair without image": (nifti_pair(image=""), r"\.img"),
    "pair cut": (nifti_pair(spoil=cut(0.5)), "truncated"),
    "pair too long": (nifti_pair(spoil=add(bytes(40000))), "more than"),
    "pair empty image": (nifti_pair(spoil=lambda data: b""), "truncated|empty"),
    "pair that says single": (nifti_pair(magic=b"n+1"), "truncated|single|header"),
    "pair with foreign image": (nifti_pair(spoil=cut(0.1)), "truncated"),
    "single that says pair": (nifti("ct.nii", magic=b"ni1"), r"\.img|pair|\.hdr"),
}

HEADERS: dict[str, tuple[Make, str]] = {
    "128 GiB": (nifti(fields={f"dim[{axis}]": 4096 for axis in (1, 2, 3)}), "voxels|truncated"),
    "all axes huge": (
        nifti(fields={"dim[0]": 7} | {f"dim[{axis}]": HUGE for axis in range(1, 8)}),
        "voxels",
    ),
    "a GiB that is not there": (
        nifti(fields={f"dim[{axis}]": 800 for axis in (1, 2, 3)}),
        "truncated",
    ),
    "no axes": (nifti(fields={"dim[0]": 0}), "axes"),
    "eight axes": (nifti(fields={"dim[0]": 8}), "axes"),
    "minus three axes": (nifti(fields={"dim[0]": -3}), "axes"),
    "a negative axis": (nifti(fields={"dim[2]": -12}), "shape"),
    "an empty axis": (nifti(fields={"dim[1]": 0}), "shape"),
    "one slice more": (nifti(fields={"dim[3]": 7}), "truncated"),
    "one slice less": (nifti(fields={"dim[3]": 5}), "more than"),
    "offset far": (nifti(fields={"vox_offset": 1e9}), "truncated|byte"),
    "offset negative": (nifti(fields={"vox_offset": -352}), "byte"),
    "offset in the header": (nifti(fields={"vox_offset": 100}), "byte"),
    "offset not a number": (nifti(fields={"vox_offset": NAN}), "byte"),
    "offset infinite": (nifti(fields={"vox_offset": np.inf}), "byte"),
    "offset no whole number": (nifti(fields={"vox_offset": 352.5}), "byte"),
    "bits that disagree": (nifti(fields={"bitpix": 32}), "bit"),
    "type 0": (nifti(fields={"datatype": 0}), "type|voxels"),
    "type binary": (nifti(fields={"datatype": 1, "bitpix": 1}), "bits"),
    "type unknown": (nifti(fields={"datatype": 9999}), "type|voxels"),
    "type wider": (nifti(fields={"datatype": 16, "bitpix": 32}), "truncated"),
    "colour": (
        nifti(array=np.zeros((14, 12, 6), np.uint8), fields={"datatype": 128, "bitpix": 24}),
        "colour",
    ),
    "colour with alpha": (nifti(fields={"datatype": 2304, "bitpix": 32}), "colour"),
    "complex": (nifti(array=CT.astype(np.complex64)), "complex"),
    "four phases": (nifti(array=ct((14, 12, 6, 4))), "several|split"),
    "a vector": (nifti(array=ct((14, 12, 6, 1, 3))), "vector|several"),
    "slope infinite": (nifti(fields={"scl_slope": np.inf}), "slope"),
    "intercept infinite": (nifti(fields={"scl_inter": -np.inf}), "intercept"),
    "intercept not a number": (nifti(fields={"scl_inter": NAN}), "intercept|slope"),
    "slope enormous": (nifti(fields={"scl_slope": 1e30}), "not HU|finite|slope"),
    "version 2 cut": (nifti("ct.nii", version=2, spoil=cut(0.5)), "truncated"),
    "version 2 huge": (nifti(version=2, fields={"dim[1]": 2**62}), "voxels|shape"),
    "version 2 negative": (nifti(version=2, fields={"dim[3]": -(2**62)}), "shape"),
    "version 2 offset": (nifti(version=2, fields={"vox_offset": 2**62}), "byte|truncated"),
    "version 2 line ends": (
        nifti("ct.nii", version=2, spoil=lambda data: data.replace(b"\r\n", b"\n", 1)),
        "NIfTI|damaged|line",
    ),
    "big endian cut": (nifti("ct.nii", endian=">", spoil=cut(0.5)), "truncated"),
    "extension that never ends": (
        nifti(extension=b"\x01\0\0\0" + b"\xff\xff\xff\x7f" + bytes(8)),
        "extension|truncated|byte",
    ),
}

GEOMETRY: dict[str, tuple[Make, str]] = {
    "no form": (nifti(codes=(0, 0)), "sform"),
    "form not a number": (nifti(codes=(0, 1), fields=NAN_ROW), "sform|affine"),
    "form of zeros": (nifti(codes=(0, 1), fields=ZERO_ROWS), "sform|zero"),
    "form of zeros beside a good one": (nifti(fields=ZERO_ROWS), "sform"),
    "flat form": (nifti(codes=(0, 1), fields={"srow_z": np.zeros(4)}), "sform|flat|sheared"),
    "infinite origin": (
        nifti(codes=(0, 1), fields={"srow_x": np.array([1, 0, 0, np.inf])}),
        "sform|affine",
    ),
    "shear": (nifti(affine=SHEARED, codes=(0, 1)), "shear"),
    "forms apart": (nifti(fields={"qoffset_x": 500.0}), "apart"),
    "forms mirrored": (nifti(fields={"srow_x": np.array([0.8, 0, 0, -11])}), "apart"),
    "spacing zero": (nifti(codes=(1, 0), fields={"pixdim[3]": 0}), "qform|size|pixdim"),
    "spacing that its form denies": (nifti(codes=(0, 1), fields={"pixdim[3]": 9}), "pixdim"),
    "spacing negative": (nifti(codes=(1, 0), fields={"pixdim[1]": -0.8}), "size|spacing|pixdim"),
    "spacing not a number": (
        nifti(codes=(1, 0), fields={"pixdim[2]": NAN}),
        "size|spacing|pixdim|affine",
    ),
    "spacing infinite": (
        nifti(codes=(1, 0), fields={"pixdim[2]": np.inf}),
        "size|spacing|pixdim|affine",
    ),
    "quaternion too long": (
        nifti(codes=(1, 0), fields={"quatern_b": 0.9, "quatern_c": 0.9}),
        "qform|quaternion",
    ),
    "quaternion not a number": (
        nifti(codes=(1, 0), fields={"quatern_b": NAN}),
        "qform|quaternion|affine",
    ),
    "micrometres": (nifti(fields={"xyzt_units": 3}), "micro"),
    "metres": (nifti(fields={"xyzt_units": 1}), "metres"),
    "origin beyond the world": (
        nifti(affine=grid(origin=(1e30, 0, 0)), codes=(0, 1)),
        "away|affine",
    ),
}

FLOAT = CT.astype(np.float32)
WITH_NAN, WITH_INF = FLOAT.copy(), FLOAT.copy()
WITH_NAN[3, 4, 2], WITH_INF[3, 4, 2] = np.nan, np.inf
RANDOM = np.random.default_rng(1)

VALUES: dict[str, tuple[Make, str]] = {
    "a voxel not a number": (nifti(array=WITH_NAN), "finite"),
    "a voxel infinite": (nifti(array=WITH_INF), "finite"),
    "nothing but no numbers": (nifti(array=np.full_like(FLOAT, np.nan)), "finite"),
    "offset 1024": (nifti(array=(CT.astype(int) + 1024).clip(0).astype(np.uint16)), "1024"),
    "eight bits": (
        nifti(array=np.interp(CT, (-200, 300), (0, 255)).astype(np.uint8)),
        "8-bit|not HU",
    ),
    "from 0 to 1": (
        nifti(array=np.interp(CT, (-1000, 1000), (0, 1)).astype(np.float32)),
        "normalised",
    ),
    "from -1 to 1": (
        nifti(array=np.interp(CT, (-1000, 1000), (-1, 1)).astype(np.float32)),
        "normalised",
    ),
    "standard scores": (nifti(array=(FLOAT - FLOAT.mean()) / FLOAT.std()), "normalised"),
    "a label map": (nifti(array=(CT > 0).astype(np.uint8) * 3), "label"),
    "upside down": (nifti(array=-CT), "not CT|not HU|1024"),
    "one value": (nifti(array=np.full_like(CT, 40)), "nothing but"),
    "padding alone": (nifti(array=np.full_like(CT, -3024)), "padding"),
    "zeros": (nifti(array=np.zeros_like(CT)), "nothing but"),
    "MR": (
        nifti(array=RANDOM.gamma(2, 200, CT.shape).astype(np.int16)),
        "MR",
    ),
    "slope of a thousandth": (nifti(fields={"scl_slope": 1e-3}), "normalised|not HU"),
    "full range noise": (
        nifti(array=RANDOM.integers(-32768, 32767, CT.shape).astype(np.int16)),
        "not HU",
    ),
    "doubles out of range": (nifti(array=CT.astype(np.float64) * 1e300), "finite|not HU"),
}

BAD_NIFTI = {
    f"nifti: {name}": case
    for group in (BYTES, HEADERS, GEOMETRY, VALUES)
    for name, case in group.items()
}
