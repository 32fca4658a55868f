"""Where a written cohort keeps what.

    OUT/cohort.json                what is known of all cases; its presence says that all is there
    OUT/images/<name>.nii.gz       the acquisitions, or with DICOM folders images/<name>/
    OUT/labels/<name>.nii.gz       which tissue each voxel is
    OUT/twins/<name>.nii.gz        the truth: other phase, same scanner; without noise in phantoms
    OUT/second/<name>.nii.gz       an acquisition of the truth, with noise of its own
    OUT/target/<name>.nii.gz       an acquisition in the other phase on the target scanner

`medcyclegan augment OUT/images AUGMENTED --labels OUT/labels` takes it as it is.
"""

from __future__ import annotations

from pathlib import Path

from medcyclegan.io import file_name

VERSION = 1
INDEX = "cohort.json"
IMAGES, LABEL_MAPS, TWINS, SECOND, TARGET = "images", "labels", "twins", "second", "target"
PARTS = (IMAGES, LABEL_MAPS, TWINS, SECOND, TARGET)


def image_path(folder: Path, name: str, file_format: str) -> Path:
    """Return where a case's image lies: a file, or a folder of DICOM files."""
    return folder / IMAGES / file_name(name, file_format)
