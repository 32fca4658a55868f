"""A volume as a new DICOM CT series, one file for each axial slice.

Standard: DICOM PS3.3, A.3 (CT image), C.7.6.2 (image plane), C.8.2.1 (CT image module).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, InputError, IntensityError
from medcyclegan.files import atomic_path
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Affine, Volume, grid_distance_voxels

if TYPE_CHECKING:
    from pydicom import Dataset

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,48}")  # what may be a patient's name as it is
RIGHT_ANGLE_VOXELS = 0.05  # how far rows and columns may be moved to stand at right angles
WINDOW_CENTER_HU, WINDOW_WIDTH_HU = 50, 400  # what viewers open it with
INT16 = np.iinfo(np.int16)
UNKNOWN = (  # asked for, and allowed to be empty
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "Manufacturer",
    "ReferringPhysicianName",
    "PatientBirthDate",
    "PatientSex",
    "KVP",
    "StudyID",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
    "Laterality",
)
WHAT_IT_IS: dict[str, Any] = {
    "ImageType": ["DERIVED", "SECONDARY", "AXIAL"],
    "SyntheticData": "YES",
    "Modality": "CT",
    "PatientPosition": "HFS",
    "BurnedInAnnotation": "NO",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 1,
    "WindowCenter": WINDOW_CENTER_HU,
    "WindowWidth": WINDOW_WIDTH_HU,
    "RescaleIntercept": 0,
    "RescaleSlope": 1,
    "RescaleType": "HU",
}


class AxialSlices(NamedTuple):
    """Voxels and grid with columns to the patient's left, rows to his back, slices to his head.

    Args:
        hu: (K, rows, columns).
        affine: 4x4, (column, row, slice) -> RAS+ mm.
    """

    hu: npt.NDArray[Any]
    affine: Affine


class _Keys(NamedTuple):
    """What the series is identified by: pseudonym and content, of which all UIDs are made."""

    patient: str
    content: str


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


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume as a folder of DICOM files, atomically: all slices or no folder.

    CT Image Storage, Explicit VR Little Endian, uncompressed int16 HU with slope 1 and intercept
    0; HU that are not whole are rounded. Slices go from foot to head in the usual display order,
    whatever the order of the array: what is read back has the same voxels in the same places. An
    oblique volume stays oblique. The series is marked as derived and synthetic, names nobody (its
    patient is the volume's key) and has no dates and no private fields. Its UIDs are made of its
    content, so that equal volumes give equal bytes.

    Args:
        volume: HU.
        path: folder to write: new or empty.

    Raises:
        InputError: the folder holds something, or is a file.
        GeometryError: a stack of coronal or sagittal slices, or a shear that DICOM cannot say.
        IntensityError: a voxel is not a finite number, or beyond int16.
        MedCycleGANError: the disk is full or not ours.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: is there already; remove it, or choose another folder")
    hu = _int16(volume.array, path)
    try:
        slices = axial_slices(hu, volume.affine)
        grid = _right_angled(slices)
    except GeometryError as error:
        raise GeometryError(f"{path}: not written: {error}") from error
    keys = _keys(volume, slices)
    with atomic_path(path) as folder:
        folder.mkdir()
        for number, plane in enumerate(slices.hu):
            dataset = _slice(plane, grid, number, keys)
            dataset.save_as(folder / f"IM{number + 1:04d}.dcm", enforce_file_format=True)


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


def _keys(volume: Volume, slices: AxialSlices) -> _Keys:
    digest = hashlib.sha256(np.ascontiguousarray(slices.hu).astype("<i2").tobytes())
    digest.update(np.round(slices.affine, 6).astype("<f8").tobytes())
    patient = volume.provenance.patient or digest.hexdigest()[:16]
    if not PLAIN_KEY.fullmatch(patient):
        patient = hashlib.sha256(patient.encode(errors="surrogateescape")).hexdigest()[:16]
    digest.update(patient.encode())
    return _Keys(patient, digest.hexdigest())


def _slice(plane: npt.NDArray[np.int16], grid: Affine, number: int, keys: _Keys) -> Dataset:
    """Return one slice as a data set, all parts that the standard asks of a CT image filled in."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[keys.content, "slice", str(number)])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[keys.content, "series"])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[keys.patient, "study"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[keys.patient, "frame"])
    for keyword in UNKNOWN:
        setattr(dataset, keyword, "")
    dataset.PatientID, dataset.PatientName = keys.patient, f"{keys.patient}^synthetic"
    for keyword, value in WHAT_IT_IS.items():
        setattr(dataset, keyword, value)
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number + 1
    _place(dataset, grid, number)
    dataset.Rows, dataset.Columns = plane.shape
    dataset.PixelData = np.ascontiguousarray(plane).astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _place(dataset: Dataset, grid: Affine, number: int) -> None:
    from pydicom.valuerep import format_number_as_ds

    def decimals(values: npt.NDArray[np.float64]) -> list[str]:
        return [format_number_as_ds(float(value)) for value in values + 0.0]

    lps = RAS_LPS @ grid
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    unit = lps[:3, :3] / lengths
    position = (lps @ [0.0, 0.0, number, 1.0])[:3]
    dataset.PixelSpacing = decimals(lengths[[1, 0]])
    dataset.SliceThickness = dataset.SpacingBetweenSlices = decimals(lengths[2:])[0]
    dataset.ImageOrientationPatient = decimals(unit[:, :2].T.ravel())
    dataset.ImagePositionPatient = decimals(position)
    dataset.SliceLocation = decimals(position[2:])[0]
