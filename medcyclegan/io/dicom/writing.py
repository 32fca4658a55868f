"""A volume as a new DICOM CT series, one file for each slice.

Standard: DICOM PS3.3, A.3 (CT image), C.7.6.2 (image plane), C.8.2.1 (CT image module).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan import __version__
from medcyclegan.errors import GeometryError, InputError, IntensityError
from medcyclegan.files import atomic_path
from medcyclegan.io.axes import LPS
from medcyclegan.io.dicom.ct_image import Derivation, Uids, ct_image
from medcyclegan.io.dicom.derived import check_same_planes, derived_images
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Affine, Volume, grid_distance_voxels

if TYPE_CHECKING:
    from pydicom import Dataset

PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,48}")  # what may be a patient's name as it is
RIGHT_ANGLE_VOXELS = 0.05  # how far rows and columns may be moved to stand at right angles
INT16 = np.iinfo(np.int16)


class AxialSlices(NamedTuple):
    """Voxels and grid with columns to the patient's left, rows to his back, slices to his head.

    Args:
        hu: (K, rows, columns).
        affine: 4x4, (column, row, slice) -> RAS+ mm.
    """

    hu: npt.NDArray[Any]
    affine: Affine


def axial_slices(array: npt.NDArray[Any], affine: Affine) -> AxialSlices:
    """Return a volume's voxels in the order in which a DICOM CT series shows them.

    Args:
        array: (I, J, K).
        affine: 4x4, voxel index -> RAS+ mm.

    Raises:
        GeometryError: its slices are stacked along another axis than the one nearest foot-head.
    """
    frame = slice_frame(array.shape, affine)
    if frame.plane != "axial":
        raise GeometryError(
            f"is a stack of {frame.plane} slices, and a CT series is written of axial ones; "
            "resample it, or write NIfTI"
        )
    moved = affine[:, [*frame.axes[::-1], 3]].copy()
    for column, flip in enumerate(frame.flips[::-1]):
        if flip:
            moved[:3, 3] += moved[:3, column] * (array.shape[frame.axes[2 - column]] - 1)
            moved[:3, column] *= -1
    return AxialSlices(to_slices(array, frame), moved)


def write_volume(volume: Volume, path: Path, *, derivation: Derivation | None = None) -> None:
    """Write a volume as a folder of DICOM files, atomically: all slices or no folder.

    CT Image Storage, Explicit VR Little Endian, uncompressed int16 HU with slope 1 and intercept
    0; HU that are not whole are rounded. The series is marked as derived and synthetic and has no
    private fields. Its UIDs are made of its content, so that equal volumes give equal bytes.

    A volume with a derivation and the headers of a DICOM source becomes a series of the same study,
    slice for slice on the planes of its source, see `derived_images`. Any other becomes a study
    of its own that names nobody (its patient is the volume's key) and has no dates. Its slices go
    from foot to head in the usual display order, whatever the order of the array: what is read
    back has the same voxels in the same places. An oblique volume stays oblique.

    Args:
        volume: HU.
        path: folder to write: new or empty.
        derivation: how the volume was made from the one that its provenance speaks of.

    Raises:
        InputError: the folder holds something, or is a file.
        GeometryError: see `check_writable`.
        IntensityError: a voxel is not a finite number, or beyond int16.
        MedCycleGANError: the disk is full or not ours.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: is there already; remove it, or choose another folder")
    hu = _int16(volume.array, path)
    try:
        check_writable(volume, derivation)
    except GeometryError as error:
        raise GeometryError(f"{path}: not written: {error}") from error
    patient = _pseudonym(volume)
    content = _content_hash(hu, volume, patient, derivation)
    if derivation is not None and volume.provenance.headers:
        images = derived_images(volume, hu, derivation, patient=patient, content=content)
    else:
        images = _new_study(Volume(hu, volume.affine), derivation, patient, content)
    with atomic_path(path) as folder:
        folder.mkdir()
        for number, dataset in enumerate(images, start=1):
            with (folder / f"IM{number:04d}.dcm").open("wb") as stream:
                dataset.save_as(stream, enforce_file_format=True)
                stream.flush()
                os.fsync(stream.fileno())


def check_writable(volume: Volume, derivation: Derivation | None = None) -> None:
    """Check that a volume's grid can be written as `write_volume` would.

    Raises:
        GeometryError: without headers of a source, a stack of coronal or sagittal slices or a
            shear that DICOM cannot say; with them, slices that lie elsewhere.
    """
    if derivation is not None and volume.provenance.headers:
        check_same_planes(volume)
    else:
        _right_angled(axial_slices(volume.array, volume.affine))


def _int16(array: npt.NDArray[Any], path: Path) -> npt.NDArray[np.int16]:
    if not np.isfinite(array).all():
        raise IntensityError(f"{path}: not written, some voxels are not a finite number")
    whole = np.rint(array)
    if whole.min() < INT16.min or whole.max() > INT16.max:
        raise IntensityError(
            f"{path}: not written, {whole.min():g} to {whole.max():g} HU do not fit into 16 bits; "
            "write NIfTI"
        )
    return whole.astype(np.int16)


def _right_angled(slices: AxialSlices) -> Affine:
    """Return the grid with rows and columns at exactly right angles, as DICOM has them."""
    grid = slices.affine.copy()
    column, row = grid[:3, 0], grid[:3, 1]
    length = np.linalg.norm(row)
    row = row - column * (row @ column) / (column @ column)
    grid[:3, 1] = row * (length / np.linalg.norm(row))
    shape = slices.hu.shape[::-1]
    if grid_distance_voxels(slices.affine, grid, shape) > RIGHT_ANGLE_VOXELS:
        raise GeometryError(
            "its rows and columns are not at right angles, which DICOM cannot say; resample it, "
            "or write NIfTI"
        )
    return grid


def _pseudonym(volume: Volume) -> str:
    patient = volume.provenance.patient
    if PLAIN_KEY.fullmatch(patient):
        return patient
    known = patient.encode(errors="surrogateescape") or np.ascontiguousarray(volume.array).tobytes()
    return hashlib.sha256(known).hexdigest()[:16]


def _content_hash(
    hu: npt.NDArray[np.int16], volume: Volume, patient: str, derivation: Derivation | None
) -> str:
    """Return a hash of all that a series is made of: two that differ shall not share a UID."""
    digest = hashlib.sha256(hu.astype("<i2").tobytes(order="F"))
    digest.update(np.round(volume.affine, 6).astype("<f8").tobytes())
    digest.update(f"{patient} {derivation} {__version__}".encode())
    if derivation is not None:
        for header in volume.provenance.headers:
            digest.update(
                f" {header.get('StudyInstanceUID')}/{header.get('SOPInstanceUID')}".encode()
            )
    return digest.hexdigest()


def _new_study(
    volume: Volume, derivation: Derivation | None, patient: str, content: str
) -> Iterator[Dataset]:
    """Yield a data set for each slice of a volume that no DICOM series stands behind."""
    from pydicom.uid import generate_uid

    slices = axial_slices(volume.array, volume.affine)
    grid = _right_angled(slices)
    study, frame, series = (
        generate_uid(entropy_srcs=sources)
        for sources in ([patient, "study"], [patient, "frame"], [content, "series"])
    )
    for number, plane in enumerate(slices.hu):
        instance = generate_uid(entropy_srcs=[content, "slice", str(number)])
        dataset = ct_image(plane, Uids(study, frame, series, instance), number + 1, derivation)
        dataset.PatientID, dataset.PatientName = patient, f"{patient}^synthetic"
        dataset.PatientPosition, dataset.SeriesNumber = "HFS", 1
        _place(dataset, grid, number)
        yield dataset


def _place(dataset: Dataset, grid: Affine, number: int) -> None:
    from pydicom.valuerep import format_number_as_ds

    def decimals(values: npt.NDArray[np.float64]) -> list[str]:
        return [format_number_as_ds(float(value)) for value in values + 0.0]

    lps = LPS @ grid
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    unit = lps[:3, :3] / lengths
    position = (lps @ [0.0, 0.0, number, 1.0])[:3]
    dataset.PixelSpacing = decimals(lengths[[1, 0]])
    dataset.SliceThickness = dataset.SpacingBetweenSlices = decimals(lengths[2:])[0]
    dataset.ImageOrientationPatient = decimals(unit[:, :2].T.ravel())
    dataset.ImagePositionPatient = decimals(position)
    dataset.SliceLocation = decimals(position[2:])[0]
