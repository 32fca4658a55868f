"""Label maps beside a made CT: some that do not belong to it, and some that do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.label_objects import segmentation, structure_set
from tests.hostile.made import (
    CT,
    GRID,
    SHAPE,
    Array,
    Make,
    cut,
    dicom_bytes,
    grid,
    metaimage,
    nifti,
    nrrd,
    plain_file,
)

MASK = (CT > 0).astype(np.uint8)
CORNERS = np.array([[2.5, 3.5], [9.5, 3.5], [9.5, 8.5], [2.5, 8.5]])
INSIDE = np.zeros(SHAPE, np.uint8)
INSIDE[3:10, 4:9, 1:4] = 1


def shifted(voxels: float) -> Array:
    """Return the grid of the CT, moved along I."""
    moved = GRID.copy()
    moved[:3, 3] += GRID[:3, 0] * voxels
    return moved


def dicom(make: Callable[[], Any], change: Callable[[Any], None] = lambda dataset: None) -> Make:
    """Return what writes a label object, changed."""

    def write(folder: Path) -> Path:
        dataset = make()
        change(dataset)
        return plain_file("labels.dcm", dicom_bytes(dataset))(folder)

    return write


def seg(affine: Array = GRID, mask: Array = MASK, kind: str = "BINARY", **fields: Any) -> Make:
    """Return what writes a segmentation with some fields of its own."""

    def change(dataset: Any) -> None:
        for name, value in fields.items():
            setattr(dataset, name, value)

    return dicom(lambda: segmentation(mask, affine, kind), change)


def structures(corners: Array = CORNERS, affine: Array = GRID, slices: range = range(1, 4)) -> Make:
    """Return what writes a structure set."""
    return dicom(lambda: structure_set(affine, corners, slices))


def foreign(dataset: Any) -> None:
    """Draw the structures in another patient's room."""
    dataset.FrameOfReferenceUID = "2.25.99"
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "2.25.99"
    dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "2.25.99"


BAD_LABELS: dict[str, tuple[Make, str]] = {
    "a voxel further": (nifti("l.nii.gz", MASK, shifted(1)), "grid|voxel"),
    "a fiftieth of a voxel further": (nifti("l.nii.gz", MASK, shifted(0.02)), "grid|voxel"),
    "another shape": (nifti("l.nii.gz", MASK[:, :, :5]), "shape|voxels"),
    "mirrored": (nifti("l.nii.gz", MASK, grid(turn=np.eye(3))), "grid|voxel"),
    "fractions": (nifti("l.nii.gz", MASK * np.float32(0.5)), "whole"),
    "no numbers": (nifti("l.nii.gz", np.full(SHAPE, np.nan, np.float32)), "whole|finite"),
    "cut": (nifti("l.nii.gz", MASK, spoil_packed=cut(0.5)), "truncated|damaged"),
    "text": (plain_file("l.nii.gz", b"no labels\n" * 40), "NIfTI"),
    "text of no format": (plain_file("l.txt", b"no labels\n"), "label"),
    "metaimage elsewhere": (metaimage("l.mha", MASK, shifted(1)), "grid|voxel"),
    "nrrd elsewhere": (nrrd("l.nrrd", MASK, shifted(1)), "grid|voxel"),
    "a CT slice": (plain_file("l.dcm", b""), "label"),
    "segmentation elsewhere": (seg(shifted(0.4)), "grid|voxel|outside|off"),
    "segmentation a fiftieth off": (seg(shifted(0.02)), "grid|voxel|off"),
    "segmentation of another frame": (seg(FrameOfReferenceUID="2.25.99"), "rame of reference"),
    "segmentation reaching outside": (seg(shifted(3)), "outside|grid|voxel"),
    "segmentation of an unknown kind": (seg(SegmentationType="GUESS"), "GUESS|type"),
    "segmentation with more frames": (seg(NumberOfFrames=99), "frame|Frame"),
    "segmentation of other size": (seg(Rows=6), "outside|pixel|bytes|frame|grid"),
    "segmentation without frames": (
        dicom(
            lambda: segmentation(MASK, GRID),
            lambda dataset: dataset.__delattr__("PerFrameFunctionalGroupsSequence"),
        ),
        "frame|osition|where|Frame",
    ),
    "segmentation cut": (
        dicom(
            lambda: segmentation(MASK, GRID),
            lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:20]),
        ),
        "truncated|bytes|pixel",
    ),
    "structures outside": (structures(CORNERS + 40), "outside"),
    "structures between slices": (
        structures(
            affine=GRID @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.3], [0, 0, 0, 1.0]])
        ),
        "slice",
    ),
    "structures of another frame": (
        dicom(lambda: structure_set(GRID, CORNERS, range(2)), foreign),
        "rame of reference",
    ),
    "structures of nothing": (
        dicom(
            lambda: structure_set(GRID, CORNERS, range(2)),
            lambda dataset: setattr(dataset, "StructureSetROISequence", []),
        ),
        "region|ROI",
    ),
    "structures that are no numbers": (
        dicom(
            lambda: structure_set(GRID, CORNERS, range(2)),
            lambda dataset: setattr(
                dataset.ROIContourSequence[0].ContourSequence[0], "ContourData", ["1", "2"]
            ),
        ),
        "ContourData|points|number|ontour",
    ),
}
GOOD_LABELS: dict[str, tuple[Make, Array]] = {
    "nifti": (nifti("l.nii.gz", MASK), MASK),
    "whole floats": (nifti("l.nii.gz", MASK.astype(np.float32) * 7), MASK * 7),
    "a thousandth of a voxel off": (nifti("l.nii.gz", MASK, shifted(0.001)), MASK),
    "metaimage": (metaimage("l.mha", MASK), MASK),
    "nrrd": (nrrd("l.nrrd", MASK, packed=True), MASK),
    "segmentation": (seg(), MASK),
    "segmentation as label map": (seg(kind="LABELMAP"), MASK),
    "segmentation by occupancy": (seg(kind="FRACTIONAL"), MASK),
    "structures": (structures(), INSIDE),
}
