"""CT made by code, and files of it in every format, whole or spoiled in one named way."""

from __future__ import annotations

import gzip
import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Make = Callable[[Path], Path]  # writes into an empty folder, gives back what to hand to a command
Order = Literal["<", ">"]
Change = Callable[[Any, int], None]  # spoils the data set of slice k

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (14, 12, 6)


def ct(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> npt.NDArray[np.int16]:
    """Return noisy fat, muscle and bone in air, HU; axes after the third repeat it."""
    rng = np.random.default_rng(seed)
    array = np.full(shape, -1000.0)
    array[2:-2, 2:-2] = -100
    array[4:-4, 4:-4] = 40
    array[shape[0] // 2, shape[1] // 2] = 700
    return np.rint(array + rng.normal(0, 8, shape)).clip(-1024, 3000).astype(np.int16)


def grid(
    spacing: tuple[float, float, float] = (0.8, 0.9, 2.5),
    *,
    turn: Array | None = None,
    origin: tuple[float, float, float] = (11.0, -7.0, -30.0),
) -> npt.NDArray[np.float64]:
    """Return an affine to RAS+ mm; by default I runs to the left, J to the back, K to the head."""
    affine = np.eye(4)
    affine[:3, :3] = (np.diag([-1.0, -1.0, 1.0]) if turn is None else turn) * spacing
    affine[:3, 3] = origin
    return affine


def rotation(degrees: float, axis: int) -> npt.NDArray[np.float64]:
    """Return a 3x3 turn about a world axis."""
    angle = np.radians(degrees)
    one, other = [index for index in range(3) if index != axis]
    turn = np.eye(3)
    turn[[one, other], [one, other]] = np.cos(angle)
    turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
    return turn


CT = ct()
GRID = grid()


# ---------------------------------------------------------------------------------- bytes


def cut(share: float) -> Callable[[bytes], bytes]:
    """Return what keeps the first `share` of some bytes."""
    return lambda data: data[: int(len(data) * share)]


def drop(count: int) -> Callable[[bytes], bytes]:
    """Return what drops the last bytes."""
    return lambda data: data[:-count]


def add(tail: bytes) -> Callable[[bytes], bytes]:
    """Return what appends bytes."""
    return lambda data: data + tail


def flip(place: int, mask: int = 0xFF) -> Callable[[bytes], bytes]:
    """Return what flips bits of the byte at `place`, from the end where that is negative."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[place] ^= mask
        return bytes(changed)

    return change


def as_is(data: bytes) -> bytes:
    """Return the bytes."""
    return data


def plain_file(name: str, data: bytes) -> Make:
    """Return what writes one file."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


# --------------------------------------------------------------------------------- NIfTI


def nifti_bytes(
    array: Array = CT,
    affine: Array = GRID,
    *,
    version: int = 1,
    endian: Order = "<",
    magic: bytes = b"",
    codes: tuple[int, int] = (1, 1),
    fields: Mapping[str, Any] | None = None,
    extension: bytes = bytes(4),
) -> tuple[bytes, bytes]:
    """Return header (with its extension bytes) and voxels.

    Args:
        array: voxels as stored.
        affine: of both forms.
        version: 1 or 2.
        endian: "<" or ">".
        magic: instead of the right one.
        codes: of qform and sform.
        fields: header fields to overwrite; "dim[1]" is an element.
        extension: what follows the header.
    """
    import nibabel

    class_: Any = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    header: Any = class_(endianness=endian, check=False)
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_qform(affine, codes[0], strip_shears=True)
    header.set_sform(affine, codes[1])
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"] = (352 if version == 1 else 544) + len(extension) - 4
    if magic:
        header["magic"] = magic
    for name, value in (fields or {}).items():
        field, _, index = name.partition("[")
        if index:
            header[field][int(index[:-1])] = value
        else:
            header[field] = value
    voxels = array.astype(array.dtype.newbyteorder(endian)).tobytes(order="F")
    return header.binaryblock + extension, voxels


def nifti(
    name: str = "ct.nii.gz",
    array: Array = CT,
    affine: Array = GRID,
    *,
    spoil: Callable[[bytes], bytes] = as_is,
    spoil_packed: Callable[[bytes], bytes] = as_is,
    packed: bool | None = None,
    **options: Any,
) -> Make:
    """Return what writes one NIfTI file.

    Args:
        name: of the file.
        array: voxels as stored.
        affine: of both forms.
        spoil: what becomes of the bytes before gzip.
        spoil_packed: what becomes of them after it.
        packed: whether they are gzipped; by default where the name says so.
        options: of `nifti_bytes`.
    """

    def make(folder: Path) -> Path:
        data = spoil(b"".join(nifti_bytes(array, affine, **options)))
        if name.endswith(".gz") if packed is None else packed:
            data = spoil_packed(gzip.compress(data, mtime=0))
        return plain_file(name, data)(folder)

    return make


def nifti_pair(
    image: str = "ct.img",
    spoil: Callable[[bytes], bytes] = as_is,
    array: Array = CT,
    **options: Any,
) -> Make:
    """Return what writes a .hdr and, unless `image` is empty, a file of voxels beside it."""

    def make(folder: Path) -> Path:
        fields = {"vox_offset": 0} | dict(options.get("fields", {}))
        header, voxels = nifti_bytes(
            array, **({"magic": b"ni1"} | options | {"fields": fields, "extension": bytes(4)})
        )
        (folder / "ct.hdr").write_bytes(header)
        if image:
            data = spoil(voxels)
            packed = gzip.compress(data, mtime=0) if image.endswith(".gz") else data
            (folder / image).write_bytes(packed)
        return folder / "ct.hdr"

    return make


# ----------------------------------------------------------------------- MetaImage and NRRD

TYPES = {
    "int16": ("MET_SHORT", "short"),
    "uint16": ("MET_USHORT", "ushort"),
    "int32": ("MET_INT", "int"),
    "uint8": ("MET_UCHAR", "uchar"),
    "float32": ("MET_FLOAT", "float"),
    "float64": ("MET_DOUBLE", "double"),
}


def numbers(values: Any) -> str:
    """Return numbers as text that loses nothing."""
    return " ".join(repr(float(value)) for value in np.ravel(values))


def metaimage(
    name: str = "ct.mha",
    array: Array = CT,
    affine: Array = GRID,
    *,
    packed: bool = False,
    endian: Order = "<",
    fields: Mapping[str, str | None] | None = None,
    extra: str = "",
    spoil: Callable[[bytes], bytes] = as_is,
    lead: bytes = b"",
    raw: str = "ct.raw",
) -> Make:
    """Return what writes a MetaImage.

    Args:
        name: of the file; ".mhd" has its voxels beside.
        array: voxels as stored.
        affine: to RAS+ mm.
        packed: whether voxels are zlib.
        endian: "<" or ">".
        fields: header lines to overwrite; None leaves one out.
        extra: lines before the last one.
        spoil: what becomes of the voxels' bytes, after packing.
        lead: bytes before the voxels.
        raw: name of the detached voxels; empty to write none.
    """

    def make(folder: Path) -> Path:
        lps = RAS_LPS @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        voxels = array.astype(array.dtype.newbyteorder(endian)).tobytes(order="F")
        data = zlib.compress(voxels) if packed else voxels
        detached = name.endswith(".mhd")
        header: dict[str, str | None] = {
            "ObjectType": "Image",
            "NDims": str(array.ndim),
            "BinaryData": "True",
            "BinaryDataByteOrderMSB": str(endian == ">"),
            "CompressedData": str(packed),
        }
        if packed:
            header["CompressedDataSize"] = str(len(data))
        header |= {
            "TransformMatrix": numbers((lps[:3, :3] / spacing).T),
            "Offset": numbers(lps[:3, 3]),
            "ElementSpacing": numbers(spacing),
            "DimSize": " ".join(str(size) for size in array.shape),
            "ElementType": TYPES.get(array.dtype.name, ("MET_SHORT", ""))[0],
            "ElementDataFile": raw if detached else "LOCAL",
        }
        header |= fields or {}
        last = header.pop("ElementDataFile")
        lines = [f"{key} = {value}\n" for key, value in header.items() if value is not None]
        end = "" if last is None else f"ElementDataFile = {last}\n"
        text = ("".join(lines) + extra + end).encode()
        return _header_and_voxels(folder, name, text, lead + spoil(data), raw if detached else None)

    return make


def nrrd(
    name: str = "ct.nrrd",
    array: Array = CT,
    affine: Array = GRID,
    *,
    packed: bool = False,
    endian: str = "little",
    ras: bool = False,
    fields: Mapping[str, str | None] | None = None,
    extra: str = "",
    magic: str = "NRRD0004",
    ends: bool = True,
    spoil: Callable[[bytes], bytes] = as_is,
    raw: str = "ct.raw",
) -> Make:
    """Return what writes an NRRD, as `metaimage` does; `ends` says whether the header does."""

    def make(folder: Path) -> Path:
        world = affine if ras else RAS_LPS @ affine
        order: Order = "<" if endian == "little" else ">"
        voxels = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
        columns = (f"({','.join(repr(float(x)) for x in column)})" for column in world[:3, :3].T)
        header: dict[str, str | None] = {
            "type": TYPES.get(array.dtype.name, ("", "short"))[1],
            "dimension": str(array.ndim),
            "space": "right-anterior-superior" if ras else "left-posterior-superior",
            "sizes": " ".join(str(size) for size in array.shape),
            "space directions": " ".join(columns),
            "kinds": " ".join(["domain"] * array.ndim),
            "endian": endian,
            "encoding": "gzip" if packed else "raw",
            "space origin": f"({','.join(repr(float(x)) for x in world[:3, 3])})",
        }
        detached = name.endswith(".nhdr")
        if detached:
            header["data file"] = raw
        header |= fields or {}
        lines = [f"{key}: {value}\n" for key, value in header.items() if value is not None]
        text = (magic + "\n" + "".join(lines) + extra + "\n" * ends).encode()
        data = spoil(gzip.compress(voxels, mtime=0) if packed else voxels)
        return _header_and_voxels(folder, name, text, data, raw if detached else None)

    return make


def _header_and_voxels(folder: Path, name: str, text: bytes, data: bytes, raw: str | None) -> Path:
    (folder / name).write_bytes(text if raw is not None else text + data)
    if raw:
        (folder / raw).write_bytes(data)
    return folder / name


# --------------------------------------------------------------------------------- DICOM


def ct_slice(
    array: Array, affine: Array, k: int, *, slope: float = 1, intercept: float = -1024
) -> Any:
    """Return slice k of a volume as a CT image data set, explicit VR little endian."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    lps = RAS_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"2.25.77.{k + 1}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "2.25.7.3", "2.25.7"
    dataset.FrameOfReferenceUID = "2.25.9"
    dataset.PatientID, dataset.Modality, dataset.SeriesNumber = "pseudonym", "CT", 3
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = k + 1
    dataset.ImageOrientationPatient = [
        f"{x:.12f}"[:16] for x in (*lps[:3, 0] / spacing[0], *lps[:3, 1] / spacing[1])
    ]
    dataset.ImagePositionPatient = [f"{x:.10f}"[:16] for x in lps[:3, 3] + k * lps[:3, 2]]
    dataset.PixelSpacing = [f"{spacing[1]:.10f}"[:16], f"{spacing[0]:.10f}"[:16]]
    dataset.SliceThickness = f"{spacing[2]:.8f}"[:16]
    dataset.Rows, dataset.Columns = array.shape[1], array.shape[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    raw = np.rint((array[:, :, k].T.astype(float) - intercept) / slope).clip(0, 65535)
    dataset.PixelData = raw.astype("<u2").tobytes()
    return dataset


def own_uid(folder: Path) -> str:
    """Return a UID that no other folder has."""
    return f"2.25.{zlib.crc32(str(folder).encode())}"


def dicom_bytes(dataset: Any, spoil: Callable[[bytes], bytes] = as_is) -> bytes:
    """Return a data set as a file, then spoiled."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return spoil(stream.getvalue())


def series(
    change: Change | None = None,
    *,
    slices: Sequence[int] = range(SHAPE[2]),
    only: Sequence[int] = range(SHAPE[2]),
    array: Array = CT,
    affine: Array = GRID,
    name: Callable[[int], str] = "IM{:04d}.dcm".format,
    spoil: Callable[[bytes], bytes] = as_is,
    folder_name: str = "series",
    **scaling: float,
) -> Make:
    """Return what writes a DICOM series into a folder of its own.

    Args:
        change: what becomes of a data set before it is written.
        slices: which are written, in this order of names.
        only: which of them `change` and `spoil` touch.
        array: HU.
        affine: to RAS+ mm.
        name: of the file at a place.
        spoil: what becomes of a file's bytes.
        folder_name: of the series.
        scaling: slope and intercept.
    """

    def make(folder: Path) -> Path:
        (folder / folder_name).mkdir()
        for place, k in enumerate(slices):
            dataset = ct_slice(array, affine, k, **scaling)
            dataset.SeriesInstanceUID = own_uid(folder)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # nonsense is what is asked for
                if change is not None and k in only:
                    change(dataset, k)
                data = dicom_bytes(dataset, spoil if k in only else as_is)
            (folder / folder_name / name(place)).write_bytes(data)
        return folder / folder_name

    return make


def with_fields(**fields: Any) -> Change:
    """Return what sets fields of a data set; None deletes one."""

    def change(dataset: Any, k: int) -> None:
        del k
        for name, value in fields.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)

    return change


# ----------------------------------------------------------------------------------- zip


def zipped(make: Make, name: str = "ct.zip", *, spoil: Callable[[bytes], bytes] = as_is) -> Make:
    """Return what packs all that `make` writes, spoils the archive and gives it back."""

    def make_zip(folder: Path) -> Path:
        inside = folder / "inside"
        inside.mkdir()
        make(inside)
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(inside.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(inside).as_posix())
        for path in sorted(inside.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        inside.rmdir()
        return plain_file(name, spoil(stream.getvalue()))(folder)

    return make_zip


def zip_of(entries: Sequence[tuple[str | zipfile.ZipInfo, bytes]], name: str = "ct.zip") -> Make:
    """Return what writes an archive of these entries."""

    def make(folder: Path) -> Path:
        with (
            zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            for entry, data in entries:
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
        return folder / name

    return make
