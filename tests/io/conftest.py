"""CT made by code, and DICOM series made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
WriteSeries = Callable[..., list[Path]]


def ct_array(shape: tuple[int, int, int] = (14, 12, 6), seed: int = 0) -> npt.NDArray[np.int16]:
    """Air around a noisy box of fat, muscle and bone."""
    rng = np.random.default_rng(seed)
    array = np.full(shape, -1000.0)
    i, j, _ = shape
    array[i // 6 : -i // 6, j // 6 : -j // 6] = -100
    array[i // 3 : -i // 3, j // 3 : -j // 3] = 40
    array[i // 2, j // 2] = 700
    return np.rint(array + rng.normal(0, 8, shape)).clip(-1024, 3000).astype(np.int16)


def series_on_disk(
    folder: Path,
    array: Array,
    affine: Array,
    *,
    order: list[int] | None = None,
    change: Callable[[Any, int], None] | None = None,
    slope: float = 1.0,
    intercept: float = -1024.0,
) -> list[Path]:
    """Write a volume (I, J, K) as one DICOM file a slice; `change` may spoil each data set."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    lps = RAS_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    series_uid, study_uid = generate_uid(), generate_uid()
    paths = []
    for place, k in enumerate(order or range(array.shape[2])):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series_uid, study_uid
        dataset.PatientID, dataset.Modality, dataset.SeriesNumber = "PLANTED-ID", "CT", 3
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesDescription = "ABD PORTAL"
        dataset.InstanceNumber = place + 1
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
        if change is not None:
            change(dataset, k)
        paths.append(folder / f"IM{place:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.fixture
def make_ct() -> MakeCT:
    return ct_array


@pytest.fixture
def write_series() -> WriteSeries:
    return series_on_disk
