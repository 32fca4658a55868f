"""One slice of synthetic CT as a data set: what every such image says, and its pixels.

Standard: DICOM PS3.3, A.3 (CT image), C.7.6.1 (general image), C.7.5.2 (contributing equipment),
C.8.2.1 (CT image module), C.12.1 (SOP common); codes of PS3.16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan import __version__

if TYPE_CHECKING:
    from pydicom import Dataset

UNKNOWN = (  # asked for, and allowed to be empty
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "Manufacturer",
    "ReferringPhysicianName",
    "PatientBirthDate",
    "PatientSex",
    "SliceThickness",
    "KVP",
    "PatientPosition",
    "StudyID",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
    "Laterality",
)
WHAT_IT_IS: dict[str, Any] = {
    "ImageType": ["DERIVED", "SECONDARY", "AXIAL"],  # AXIAL: any cross-section, C.8.2.1.1.1
    "SyntheticData": "YES",
    "Modality": "CT",
    "BurnedInAnnotation": "NO",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 1,
    "RescaleIntercept": 0,
    "RescaleSlope": 1,
    "RescaleType": "HU",
}
WINDOW = {"WindowCenter": 50, "WindowWidth": 400}  # HU; what viewers open it with
PROCESSING_EQUIPMENT = ("109102", "DCM", "Processing Equipment")
LONG_TEXT, SHORT_TEXT = 64, 1024  # letters in a value of type LO, of type ST


@dataclass(frozen=True)
class Derivation:
    """How a volume was made from another, in words that may stand in a header.

    Args:
        series: SeriesDescription; it should say that the series is synthetic.
        description: DerivationDescription.
        keep_identifiers: whether a DICOM source's names, IDs, dates and descriptions are kept.
    """

    series: str
    description: str
    keep_identifiers: bool = False


class Uids(NamedTuple):
    """What an image belongs to, and its own UID; fields are named as in the standard."""

    StudyInstanceUID: str
    FrameOfReferenceUID: str
    SeriesInstanceUID: str
    SOPInstanceUID: str


def ct_image(
    plane: npt.NDArray[np.int16], uids: Uids, number: int, derivation: Derivation | None
) -> Dataset:
    """Return one slice as a data set without patient and place; other fields may be empty.

    Args:
        plane: HU, (rows, columns).
        uids: of the image and what it belongs to.
        number: in its series, from 1.
        derivation: how it was made; None for one that was not made from another.
    """
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    for keyword, uid in uids._asdict().items():
        put(dataset, keyword, uid)
    for keyword in UNKNOWN:
        setattr(dataset, keyword, "")
    for keyword, value in {**WHAT_IT_IS, **WINDOW}.items():
        setattr(dataset, keyword, value)
    dataset.InstanceNumber = number
    if derivation is not None:
        dataset.SeriesDescription = derivation.series[:LONG_TEXT]
        dataset.DerivationDescription = derivation.description[:SHORT_TEXT]
        dataset.ContributingEquipmentSequence = [_equipment()]
    dataset.Rows, dataset.Columns = plane.shape
    dataset.PixelData = np.ascontiguousarray(plane).astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def put(dataset: Dataset, keyword: str, value: str) -> None:
    """Set a field to what a source has, which need not be as strict as the standard."""
    from pydicom import DataElement
    from pydicom.config import IGNORE
    from pydicom.datadict import dictionary_VR

    dataset.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE))


def _equipment() -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.Manufacturer = item.ManufacturerModelName = "medcyclegan"
    item.SoftwareVersions = __version__
    item.ContributionDescription = "Synthetic CT: made by a neural network, not by a scanner"
    item.PurposeOfReferenceCodeSequence = [code(PROCESSING_EQUIPMENT)]
    return item


def code(entry: tuple[str, str, str]) -> Dataset:
    """Return an item of a code sequence, from value, scheme and meaning."""
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = entry
    return item
