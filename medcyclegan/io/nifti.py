"""NIfTI-1 and -2 files and .hdr/.img pairs, with nothing taken on trust.

Standard: https://nifti.nimh.nih.gov/nifti-1 and https://nifti.nimh.nih.gov/nifti-2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.io.axes import count_in, volume_shape
from medcyclegan.io.nifti_header import (
    NIFTI1_BYTES,
    NIFTI2_BYTES,
    SINGLE_FILE_OFFSET,
    Header,
    grid,
    parse_header,
    scaling,
)
from medcyclegan.io.outgoing import packed, stored_hu, stored_labels, voxel_bytes, write_chunks
from medcyclegan.io.stored import ReadOptions, Stored, reading, rescale
from medcyclegan.io.streams import (
    GZIP_MAGIC,
    blocks,
    check_room,
    open_stream,
    read_head,
    read_to_end,
)
from medcyclegan.volume import Affine, Labels, Volume, grid_distance_voxels

QFORM_TOLERANCE_VOXELS = 0.05
QFORM_TOLERANCE = 1e-4  # mm
EXTENDER_BYTES = 4


def read(files: Sequence[Path], options: ReadOptions = ReadOptions()) -> Stored:
    """Return the volume in one NIfTI file, or in a header and its .img beside it.

    Args:
        files: first the .nii, .nii.gz or .hdr file.
        options: whether a file of several volumes is read.

    Raises:
        VolumeError: no NIfTI, damaged, truncated, more or fewer bytes than declared, no real
            numbers, several volumes that nobody asked for, or vectors.
        GeometryError: no sform and no qform, both but in disagreement, or lengths not in mm.
        IntensityError: a slope or intercept that nobody can apply.
    """
    header, shape, data = _read(files[0], options)
    raw = np.frombuffer(data, header.dtype, int(np.prod(shape)), header.offset)
    array = raw.reshape(shape, order="F").astype(header.dtype.newbyteorder("="), copy=False)
    affine, qform_code, sform_code = grid(header.fields, array.shape[:3])
    intent = int(header.fields["intent_code"])
    return Stored(
        array=rescale(array, *scaling(header.fields)),
        affine=affine,
        qform_code=qform_code,
        sform_code=sform_code,
        warnings=(f"says by intent code {intent} that it is no image",) * (intent != 0),
    )


def voxel_file(path: Path) -> Path:
    """Return the file that holds the voxels: a .hdr's .img, else `path` itself.

    Raises:
        VolumeError: there is no .img.
    """
    return _image_beside(path) if _is_pair(path) else path


def volume_count(path: Path) -> int:
    """Return how many volumes the file holds; 1 where its header does not tell, or lies."""
    try:
        with reading(path), open_stream(path) as stream:
            header = parse_header(read_head(stream, NIFTI2_BYTES), pair=_is_pair(path))
            _check_room(voxel_file(path), header)
            volume_shape(header.shape, ReadOptions(split_4d=True))
    except MedCycleGANError:
        return 1
    return count_in(header.shape)


def _read(path: Path, options: ReadOptions) -> tuple[Header, tuple[int, ...], bytearray]:
    pair = _is_pair(path)
    with open_stream(path) as stream:
        head = read_head(stream, NIFTI2_BYTES)
        header = parse_header(head, pair=pair)
        shape = volume_shape(header.shape, options)
        voxels = voxel_file(path)
        _check_room(voxels, header)
        if not pair:
            data = read_to_end(blocks(stream), header.end, head)
            _check_extensions(data, header)
            return header, shape, data
    with open_stream(voxels) as stream:
        return header, shape, read_to_end(blocks(stream), header.end)


def _is_pair(path: Path) -> bool:
    return path.name.lower().endswith(".hdr")


def _image_beside(header_path: Path) -> Path:
    for suffix in (".img", ".IMG", ".img.gz"):
        image = header_path.with_name(header_path.name[: -len(".hdr")] + suffix)
        if image.is_file():
            return image
    raise VolumeError("has no .img file beside it; copy both")


def _check_room(voxels: Path, header: Header) -> None:
    with voxels.open("rb") as stream:
        is_packed = stream.read(2) == GZIP_MAGIC
    check_room(voxels.stat().st_size, header.end, packed=is_packed)


def _check_extensions(data: bytearray, header: Header) -> None:
    """Check that what may lie between header and voxels ends before the voxels begin."""
    start = int(header.fields["sizeof_hdr"])
    place, order = start + EXTENDER_BYTES, header.fields.endianness
    while data[start] and place + 8 <= header.offset:
        size = int(np.frombuffer(data, np.dtype("i4").newbyteorder(order), 1, place)[0])
        if size < 8 or place + size > header.offset:
            raise VolumeError("has extensions that run into its voxels; write it anew")
        place += size


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI-1, gzipped if the name ends in .gz, atomically.

    Integers become int16, or int32 if a voxel needs it, floats float32; slope 1, intercept 0;
    sform and qform codes as in the provenance, an sform added where a quaternion is too coarse;
    nothing else in the header. Equal volumes give equal bytes: gzip has no time and no name.

    Raises:
        IntensityError: a voxel is not a finite number.
        MedCycleGANError: the disk is full or not ours.
    """
    _write(stored_hu(volume, path), volume.affine, volume, path)


def write_labels(labels: Labels, path: Path, *, like: Volume) -> None:
    """Write a label map as NIfTI-1, values and type as stored, with the form codes of `like`.

    Raises:
        MedCycleGANError: the disk is full or not ours.
    """
    _write(stored_labels(labels), labels.affine, like, path)


def _write(array: npt.NDArray[Any], affine: Affine, like: Volume, path: Path) -> None:
    chunks: Iterator[bytes | memoryview] = chain([_header(array, affine, like)], voxel_bytes(array))
    is_packed = path.name.lower().endswith(".gz")
    write_chunks(path, packed(chunks, "gzip") if is_packed else chunks)


def _header(array: npt.NDArray[Any], affine: Affine, like: Volume) -> bytes:
    import nibabel

    header: Any = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_qform(affine, like.provenance.qform_code)
    header.set_sform(affine, like.provenance.sform_code)
    if grid_distance_voxels(affine, header.get_qform(), array.shape) > QFORM_TOLERANCE_VOXELS:
        header["qform_code"] = 0  # a quaternion cannot say the little shear that volumes may have
        header["sform_code"] = max(1, like.provenance.sform_code)
    if np.abs(header.get_qform() - affine).max() > QFORM_TOLERANCE:
        header["sform_code"] = max(1, like.provenance.sform_code)  # near half a turn it is coarse
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"] = SINGLE_FILE_OFFSET[NIFTI1_BYTES]
    no_extensions = bytes(EXTENDER_BYTES)
    return header.binaryblock + no_extensions
