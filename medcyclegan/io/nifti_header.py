"""NIfTI-1 and -2 headers: sizes, types, scaling and grid, none of them taken on trust.

Standard: https://nifti.nimh.nih.gov/nifti-1 and https://nifti.nimh.nih.gov/nifti-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medcyclegan.errors import GeometryError, IntensityError, VolumeError
from medcyclegan.io.stored import check_voxel_count
from medcyclegan.volume import Affine, check_grid, grid_distance_voxels

NIFTI1_BYTES = 348
NIFTI2_BYTES = 540
SINGLE_FILE_OFFSET = {NIFTI1_BYTES: 352, NIFTI2_BYTES: 544}
MAGIC = {  # of a single file, of a pair
    NIFTI1_BYTES: (slice(344, 348), b"n+1\x00", b"ni1\x00"),
    NIFTI2_BYTES: (slice(4, 12), b"n+2\x00\r\n\x1a\n", b"ni2\x00\r\n\x1a\n"),
}
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
TYPES |= {1024: "i8", 1280: "u8"}
OTHER_TYPES = {1: "single bits", 32: "complex numbers", 128: "colour", 1536: "128-bit floats"}
OTHER_TYPES |= {1792: "complex numbers", 2048: "complex numbers", 2304: "colour"}
UNITS = {1: "metres", 3: "micrometres"}  # of xyzt_units; 2 is mm, 0 says nothing
FORMS_TOLERANCE_VOXELS = 0.1
QUATERNION_ROUNDING = 3e-7  # of the sum of squares of its three 32-bit numbers
PIXDIM_TOLERANCE = 0.01


@dataclass(frozen=True)
class Header:
    """What a header declares about its voxels.

    Args:
        fields: nibabel's header.
        shape: of one to seven axes, none of them empty.
        dtype: as stored, with its byte order.
        offset: of the first voxel in its file.
    """

    fields: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def end(self) -> int:
        """Return the offset of the byte after the last voxel."""
        return self.offset + int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def parse_header(head: bytes, *, pair: bool) -> Header:
    """Return what the first bytes of a file declare.

    Args:
        head: the first 540 bytes, or all that there are.
        pair: of a .hdr file, whose voxels lie in the .img beside it.

    Raises:
        VolumeError: no NIfTI header, or one that declares what cannot be or is no CT.
    """
    fields, size = _fields(head, pair)
    axes = int(fields["dim"][0])
    if not 1 <= axes <= 7:
        raise VolumeError(f"declares {axes} axes; write it anew")
    shape = tuple(int(length) for length in fields["dim"][1 : axes + 1])
    check_voxel_count(shape)
    return Header(fields, shape, _dtype(fields), _offset(fields, 0 if pair else size))


def _fields(head: bytes, pair: bool) -> tuple[Any, int]:
    import nibabel

    size, order = _size_and_order(head)
    place, single_magic, pair_magic = MAGIC[size]
    if len(head) < size:
        raise VolumeError(f"is truncated: its header of {size} bytes ends early; copy it anew")
    magic = head[place]
    if magic == (single_magic if pair else pair_magic):
        raise VolumeError(
            f"has the header of {'a single file: name it .nii' if pair else 'a pair: name it .hdr'}"
        )
    if size == NIFTI1_BYTES and not magic.startswith((b"n+", b"ni")):
        raise VolumeError(
            "is no NIfTI file but Analyze 7.5, which does not say left from right; "
            "convert it to NIfTI"
        )
    if magic != (pair_magic if pair else single_magic):
        raise VolumeError("is no NIfTI file (damaged NIfTI header); copy or convert it anew")
    kind: Any = nibabel.Nifti1Header if size == NIFTI1_BYTES else nibabel.Nifti2Header
    return kind(head[:size], endianness=order, check=False), size


def _size_and_order(head: bytes) -> tuple[int, str]:
    orders: tuple[tuple[Literal["little", "big"], str], ...] = (("little", "<"), ("big", ">"))
    for name, order in orders:
        size = int.from_bytes(head[:4], name)
        if size in MAGIC:
            return size, order
    raise VolumeError("is no NIfTI file (no NIfTI header); copy or convert it anew")


def _dtype(fields: Any) -> np.dtype[Any]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    if code not in TYPES:
        kind = OTHER_TYPES.get(code, f"the unknown type {code}")
        raise VolumeError(f"holds {kind}, not one HU a voxel; convert it to int16")
    dtype = np.dtype(TYPES[code]).newbyteorder(fields.endianness)
    if bits not in (0, 8 * dtype.itemsize):
        raise VolumeError(
            f"declares {bits} bits a voxel, and a type of {8 * dtype.itemsize}; write it anew"
        )
    return dtype


def _offset(fields: Any, header_bytes: int) -> int:
    offset = float(fields["vox_offset"])
    least = SINGLE_FILE_OFFSET.get(header_bytes, 0)
    if offset == 0:
        return least
    if not least <= offset < 2**31 or not offset.is_integer():
        raise VolumeError(f"declares voxels at byte {offset:g}, which cannot be; write it anew")
    return int(offset)


def scaling(fields: Any) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or NaN says that there is neither.

    Raises:
        IntensityError: infinite ones, or an intercept without a slope.
    """
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or np.isnan(slope):
        if intercept == 0 or np.isnan(intercept):
            return 1.0, 0.0
        raise IntensityError(
            f"has the slope {slope:g} and the intercept {intercept:g}, which readers take in two "
            "ways; set the slope to 1"
        )
    if not np.isfinite([slope, intercept]).all():
        raise IntensityError(f"has slope {slope:g} and intercept {intercept:g}; write it anew")
    return slope, intercept


def grid(fields: Any, shape: tuple[int, ...]) -> tuple[Affine, int, int]:
    """Return (affine, qform code, sform code): the sform where there is one, else the qform.

    Args:
        fields: nibabel's header; a qfac of 0 becomes 1, as the standard says.
        shape: (I, J, K).

    Raises:
        GeometryError: no sform and no qform, neither with right angles, both in disagreement with
            each other or with the voxel size in pixdim, or lengths not in mm.
    """
    unit = int(fields["xyzt_units"]) & 7
    if unit not in (0, 2):
        raise GeometryError(
            f"gives lengths in {UNITS.get(unit, 'an unknown unit')}; write it in mm"
        )
    if fields["pixdim"][0] == 0:
        fields["pixdim"][0] = 1
    sform, sform_code = fields.get_sform(coded=True)
    qform, qform_code = _qform(fields)
    affine = qform if sform is None else sform
    if affine is None:
        raise GeometryError(
            "has neither sform nor qform: nobody knows left from right; set one of them"
        )
    if not np.isfinite(affine).all():
        raise GeometryError("has no finite 4x4 affine; set it anew")
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise GeometryError(
            f"has {'a qform' if sform is None else 'an sform'} that maps no volume; set it anew"
        )
    if sform is not None and qform is not None:
        _check_agreement(sform, qform, shape, _quaternion_doubt(fields, sform, shape))
    check_grid(shape, affine)
    _check_voxel_size(fields["pixdim"][1:4], affine, shape)
    return np.asarray(affine, np.float64), int(qform_code), int(sform_code)


def _qform(fields: Any) -> tuple[Affine | None, int]:
    from nibabel.spatialimages import HeaderDataError

    code = int(fields["qform_code"])
    sizes = fields["pixdim"][1:4].astype(np.float64)
    if code == 0:
        return None, 0
    if not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise GeometryError(f"has voxels of {_sizes(sizes)} mm; set their size")
    try:
        return fields.get_qform(), code
    except (HeaderDataError, ValueError) as error:
        raise GeometryError("has a qform that is no rotation; set it anew") from error


def _quaternion_doubt(fields: Any, affine: Affine, shape: tuple[int, ...]) -> float:
    """Return by how many voxels the rounding of a qform may put the farthest voxel elsewhere.

    The quaternion's first number is the root of what the other three leave of 1. Near half a turn,
    as between two of the common orientations, that is little, and their rounding turns the volume.
    """
    rest = 1.0 - sum(float(fields[f"quatern_{name}"]) ** 2 for name in "bcd")
    rest = max(0.0, rest)
    radians = 2 * (np.sqrt(rest + QUATERNION_ROUNDING) - np.sqrt(rest))
    reach = np.linalg.norm(affine[:3, :3] @ (np.array(shape) - 1))
    return float(radians * reach / np.linalg.norm(affine[:3, :3], axis=0).min())


def _check_agreement(sform: Affine, qform: Affine, shape: tuple[int, ...], doubt: float) -> None:
    distance = grid_distance_voxels(sform, qform, shape)
    if not distance <= FORMS_TOLERANCE_VOXELS + doubt:
        raise GeometryError(
            f"has an sform and a qform that put the same voxel {distance:.3g} voxels apart; "
            "set both to the right one"
        )


def _check_voxel_size(pixdim: Any, affine: Affine, shape: tuple[int, ...]) -> None:
    """Some readers take the voxel size from pixdim even where an sform says it."""
    told = np.asarray(pixdim, np.float64)
    meant = np.linalg.norm(affine[:3, :3], axis=0)
    right = (told > 0) & (np.abs(told / meant - 1) <= PIXDIM_TOLERANCE)
    if not (right | (np.array(shape) == 1)).all():
        raise GeometryError(
            f"has voxels of {_sizes(told)} mm by pixdim and of {_sizes(meant)} mm by its affine; "
            "set both to the right size"
        )


def _sizes(sizes: Any) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
