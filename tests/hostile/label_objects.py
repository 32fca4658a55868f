"""A DICOM segmentation and a structure set on the grid of a made CT."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.hostile.made import RAS_LPS, Array, ct_slice

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"


def _item(**fields: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return item


def segmentation(mask: Array, affine: Array, kind: str = "BINARY") -> Any:
    """Return a mask as the one segment of a DICOM segmentation, a frame for each slice.

    Args:
        mask: (I, J, K), 0 and 1.
        affine: 4x4, voxel index -> RAS+ mm.
        kind: SegmentationType.
    """
    from pydicom.pixels.utils import pack_bits
    from pydicom.sequence import Sequence

    planes = [ct_slice(mask, affine, k) for k in range(mask.shape[2])]
    dataset = ct_slice(mask, affine, 0)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SEGMENTATION
    dataset.Modality, dataset.SegmentationType = "SEG", kind
    dataset.SeriesInstanceUID = "2.25.7.4"
    dataset.NumberOfFrames = mask.shape[2]
    dataset.SegmentSequence = Sequence(
        [_item(SegmentNumber=1, SegmentLabel="liver", SegmentAlgorithmType="MANUAL")]
    )
    shared = _item(
        PixelMeasuresSequence=Sequence(
            [_item(PixelSpacing=dataset.PixelSpacing, SliceThickness=dataset.SliceThickness)]
        ),
        PlaneOrientationSequence=Sequence(
            [_item(ImageOrientationPatient=dataset.ImageOrientationPatient)]
        ),
    )
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _item(
                PlanePositionSequence=Sequence(
                    [_item(ImagePositionPatient=plane.ImagePositionPatient)]
                ),
                SegmentIdentificationSequence=Sequence([_item(ReferencedSegmentNumber=1)]),
            )
            for plane in planes
        ]
    )
    dataset.ReferencedSeriesSequence = Sequence([_item(SeriesInstanceUID="2.25.7.3")])
    bits = np.ascontiguousarray(mask.transpose(2, 1, 0)).astype(np.uint8)
    if kind == "BINARY":
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        dataset.PixelData = pack_bits(bits)
    else:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = "OCCUPANCY", 255
        dataset.PixelData = (bits * (255 if kind == "FRACTIONAL" else 1)).tobytes()
    for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
        delattr(dataset, name)
    for name in ("SliceThickness", "RescaleSlope", "RescaleIntercept", "ImageType"):
        delattr(dataset, name)
    return dataset


def structure_set(affine: Array, corners: Array, slices: range) -> Any:
    """Return a structure set with one polygon, the same on each slice.

    Args:
        affine: 4x4, voxel index -> RAS+ mm, of the image.
        corners: (n, 2), I and J of the polygon's corners.
        slices: K of those it is drawn on.
    """
    from pydicom.sequence import Sequence

    dataset = ct_slice(np.zeros((2, 2, 1)), affine, 0)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = STRUCTURES
    dataset.Modality, dataset.SeriesInstanceUID = "RTSTRUCT", "2.25.7.5"
    keep = ("SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "StudyInstanceUID")
    for element in list(dataset):
        if element.keyword not in (*keep, "PatientID", "FrameOfReferenceUID"):
            del dataset[element.tag]
    contours = []
    for k in slices:
        voxels = np.c_[corners, np.full(len(corners), k), np.ones(len(corners))]
        points = (RAS_LPS @ affine @ voxels.T).T[:, :3]
        contours.append(
            _item(
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
                ContourData=[f"{x:.6f}" for x in points.ravel()],
            )
        )
    dataset.StructureSetROISequence = Sequence(
        [_item(ROINumber=1, ROIName="liver", ReferencedFrameOfReferenceUID="2.25.9")]
    )
    dataset.ROIContourSequence = Sequence(
        [_item(ReferencedROINumber=1, ContourSequence=Sequence(contours))]
    )
    dataset.ReferencedFrameOfReferenceSequence = Sequence(
        [
            _item(
                FrameOfReferenceUID="2.25.9",
                RTReferencedStudySequence=Sequence(
                    [
                        _item(
                            RTReferencedSeriesSequence=Sequence(
                                [_item(SeriesInstanceUID="2.25.7.3")]
                            )
                        )
                    ]
                ),
            )
        ]
    )
    return dataset
