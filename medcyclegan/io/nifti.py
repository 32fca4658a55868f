"""NIfTI-1 and -2 files and .hdr/.img pairs through nibabel, with nothing taken on trust.

Standard: https://nifti.nimh.nih.gov/nifti-1 and https://nifti.nimh.nih.gov/nifti-2.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, IntensityError, VolumeError
from medcyclegan.files import write_bytes
from medcyclegan.io.stored import Stored, as_hu, check_voxel_count, rescale
from medcyclegan.io.streams import open_stream, read_head, read_to_end
from medcyclegan.volume import Affine, Labels, Volume, grid_distance_voxels

NIFTI1_BYTES = 348
NIFTI2_BYTES = 540
SINGLE_FILE_OFFSET = {NIFTI1_BYTES: 352, NIFTI2_BYTES: 544}
UNITS = {1: "metres", 3: "micrometres"}  # of xyzt_units; 2 is mm, 0 says nothing
FORMS_TOLERANCE_VOXELS = 0.1
QFORM_TOLERANCE_VOXELS = 0.05
GZIP_LEVEL = 3


def read(files: Sequence[Path]) -> Stored:
    """Return the volume in one NIfTI file, or in a header and its .img beside it.

    Args:
        files: first the .nii, .nii.gz or .hdr file.

    Raises:
        VolumeError: no NIfTI, damaged, truncated, more or fewer bytes than declared, no real
            numbers, or more than three axes.
        GeometryError: no sform and no qform, both but in disagreement, or lengths not in mm.
    """
    path = files[0]
    with open_stream(path) as stream:
        head = read_head(stream, NIFTI2_BYTES)
        header, size, single = _parse(head)
        shape, dtype = _shape_and_dtype(header)
        byte_count = int(np.prod(shape, dtype=object)) * dtype.itemsize
        offset = _data_offset(header, size, single)
        if single:
            data = read_to_end(stream, offset + byte_count, head)
    if not single:
        with open_stream(_image_beside(path)) as stream:
            data = read_to_end(stream, offset + byte_count)
    raw = np.frombuffer(data, dtype, byte_count // dtype.itemsize, offset)
    array = raw.reshape(_three_axes(shape), order="F").astype(dtype.newbyteorder("="), copy=False)
    slope, intercept = header.get_slope_inter()
    affine, qform_code, sform_code = _affine(header, array.shape)
    return Stored(
        array=rescale(array, *_finite_scaling(slope, intercept)),
        affine=affine,
        qform_code=qform_code,
        sform_code=sform_code,
    )


def _parse(head: bytes) -> tuple[Any, int, bool]:
    import nibabel

    for size, magic, header_class in (
        (NIFTI1_BYTES, head[344:348], nibabel.Nifti1Header),
        (NIFTI2_BYTES, head[4:8], nibabel.Nifti2Header),
    ):
        if magic[:1] == b"n" and magic[1:2] in (b"+", b"i") and magic[3:] == b"\x00":
            if len(head) < size:
                break
            header = header_class.from_fileobj(io.BytesIO(head[:size]), check=False)
            return header, size, magic[1:2] == b"+"
    raise VolumeError("is no NIfTI file (no NIfTI header); copy or convert it anew")


def _shape_and_dtype(header: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise VolumeError(f"declares {axes} axes; write it anew")
    shape = tuple(int(size) for size in header["dim"][1 : axes + 1])
    check_voxel_count(shape)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        kind = "complex" if dtype.kind == "c" else "colour"
        raise VolumeError(f"holds {kind} voxels, not HU; convert it to one number a voxel")
    return shape, dtype


def _three_axes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if max((1, *shape[3:])) > 1:
        raise VolumeError(
            f"has {shape} voxels, several volumes in one file; split it into one file for each"
        )
    i, j, k = (*shape, 1, 1, 1)[:3]
    return i, j, k


def _data_offset(header: Any, size: int, single: bool) -> int:
    offset = float(header["vox_offset"])
    least = SINGLE_FILE_OFFSET[size] if single else 0
    if offset == 0:
        return least
    if not least <= offset < 2**31 or not offset.is_integer():
        raise VolumeError(f"declares voxels at byte {offset:g}, which cannot be; write it anew")
    return int(offset)


def voxel_file(path: Path) -> Path:
    """Return the file that holds the voxels: a .hdr's .img, else `path` itself.

    Raises:
        VolumeError: there is no .img.
    """
    return _image_beside(path) if path.name.lower().endswith(".hdr") else path


def _image_beside(header_path: Path) -> Path:
    for suffix in (".img", ".IMG", ".img.gz"):
        image = header_path.with_name(header_path.name[: -len(".hdr")] + suffix)
        if image.is_file():
            return image
    raise VolumeError("has no .img file beside it; copy both")


def _finite_scaling(slope: float | None, intercept: float | None) -> tuple[float, float]:
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    if not np.isfinite([slope, intercept]).all():
        raise IntensityError(f"has slope {slope:g} and intercept {intercept:g}; write it anew")
    return slope, intercept


def _affine(header: Any, shape: tuple[int, ...]) -> tuple[Affine, int, int]:
    unit = UNITS.get(int(header["xyzt_units"]) & 7)
    if unit:
        raise GeometryError(f"gives lengths in {unit}; write it in mm")
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1  # the standard: a qfac of 0 means 1
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    if sform is None and qform is None:
        raise GeometryError(
            "has neither sform nor qform: nobody knows left from right; set one of them"
        )
    if sform is not None and qform is not None:
        _check_agreement(sform, qform, shape)
    affine = qform if sform is None else sform
    return np.asarray(affine, np.float64), int(qform_code), int(sform_code)


def _check_agreement(sform: Affine, qform: Affine, shape: tuple[int, ...]) -> None:
    if not np.isfinite(sform).all() or abs(np.linalg.det(sform[:3, :3])) < 1e-9:
        raise GeometryError("has an sform that maps no volume; set it anew")
    distance = grid_distance_voxels(sform, qform, shape)
    if distance > FORMS_TOLERANCE_VOXELS:
        raise GeometryError(
            f"has an sform and a qform that put the same voxel {distance:.3g} voxels apart; "
            "set both to the right one"
        )


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI-1, gzipped if the name ends in .gz, atomically.

    Integers become int16, or int32 if a voxel needs it, floats float32; slope 1, intercept 0;
    sform and qform codes as in the provenance; nothing else in the header. Equal volumes give
    equal bytes: gzip has no time and no name.

    Raises:
        IntensityError: a voxel is not a finite number.
        MedCycleGANError: the disk is full or not ours.
    """
    array = as_hu(volume.array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise IntensityError(f"{path}: not written, some voxels are not a finite number")
    _write(array, volume.affine, volume, path)


def write_labels(labels: Labels, path: Path, *, like: Volume) -> None:
    """Write a label map as NIfTI-1, values and type as stored, with the form codes of `like`.

    Raises:
        MedCycleGANError: the disk is full or not ours.
    """
    array = labels.array
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    _write(array, labels.affine, like, path)


def _write(array: npt.NDArray[Any], affine: Affine, like: Volume, path: Path) -> None:
    import nibabel

    header: Any = nibabel.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_qform(affine, like.provenance.qform_code)
    header.set_sform(affine, like.provenance.sform_code)
    if grid_distance_voxels(affine, header.get_qform(), array.shape) > QFORM_TOLERANCE_VOXELS:
        header["qform_code"] = 0  # a quaternion cannot say the little shear that volumes may have
        header["sform_code"] = max(1, like.provenance.sform_code)
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"] = SINGLE_FILE_OFFSET[NIFTI1_BYTES]
    no_extensions = bytes(4)
    data = header.binaryblock + no_extensions + array.tobytes(order="F")
    if path.name.lower().endswith(".gz"):
        data = gzip.compress(data, GZIP_LEVEL, mtime=0)
    write_bytes(path, data)
