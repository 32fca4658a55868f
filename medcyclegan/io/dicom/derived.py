"""A volume as a series derived from the DICOM series it was read from, slice for slice.

Standard: DICOM PS3.3, C.7.6.1.1.3 (derivation), C.12.4 (general reference), C.7.1.1 (patient);
PS3.15, annex E (what is emptied where identifiers are not kept).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from medcyclegan import __version__
from medcyclegan.errors import GeometryError
from medcyclegan.io.axes import LPS
from medcyclegan.io.dicom.carried import IDENTIFYING, PLACE, TECHNICAL
from medcyclegan.io.dicom.ct_image import (
    SHORT_TEXT,
    WINDOW,
    Derivation,
    Uids,
    code,
    ct_image,
    put,
)
from medcyclegan.io.dicom.identifiers import identifying_words, names_someone
from medcyclegan.io.dicom.series import TILT_DEGREES, Vector, lean_degrees
from medcyclegan.volume import Affine, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

OFF_PLANE_MM, OFF_PLANE_SHARE = 0.11, 0.021  # how far readers let a slice lie off the even grid
NEXT_SERIES = 1000  # a derived series is numbered so much above its source
MOST_NUMBER = 2**31 - 1
SOURCE_OF_PROCESSING = ("121322", "DCM", "Source of image processing operation")
OF_THE_SERIES = ("SeriesDate", "SeriesTime", "ContentDate", "ContentTime", "SeriesDescription")
UNPAIRED = """ABDOMEN ABDOMENPELVIS AORTA BACK BLADDER BRAIN CEREBELLUM CERVIX CHEST CHESTABDOMEN
    CHESTABDPELVIS CIRCLEOFWILLIS COCCYX COLON CORONARYARTERY CSPINE CTSPINE DUODENUM
    ESOPHAGUS FACE GALLBLADDER HEAD HEADNECK HEART ILEUM ILIUM JAW JEJUNUM LARYNX LIVER
    LSPINE LSSPINE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN
    NECKCHESTABDPELV NOSE PANCREAS PELVIS PENIS PHARYNX PROSTATE RECTUM SCALP SKULL SPINE
    SPLEEN SSPINE STERNUM STOMACH THYMUS THYROID TLSPINE TONGUE TRACHEA TSPINE URETHRA
    UTERUS VAGINA VULVA WHOLEBODY"""  # parts of the body without laterality: PS3.16, annex L
STRAIGHTENED = "; resampled from slices with gantry tilt"
NOT_COPIED = ("Rows", "Columns", *OF_THE_SERIES)  # the derived series has its own


def check_same_planes(volume: Volume) -> None:
    """Check that a volume's slices along K lie where the headers it was read with put them.

    Where the headers are of a leaning stack, from which the volume was resampled, its slices lie
    in the same planes, and may reach farther in them.

    Raises:
        GeometryError: there are more or fewer, or they lie elsewhere.
    """
    headers = volume.provenance.headers
    shape = {(header.get("Columns"), header.get("Rows")) for header in headers}
    count = len(headers)
    affine = LPS @ volume.affine
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    allowed = max(OFF_PLANE_MM, OFF_PLANE_SHARE * float(steps[2]))
    places = [_in_plane(header, number) for number, header in enumerate(headers)]
    leaning = count == volume.array.shape[2] and _leans(places)
    if count != volume.array.shape[2] or (shape != {volume.array.shape[:2]} and not leaning):
        raise GeometryError(f"has {volume.array.shape} voxels, but headers of {count} slices")
    for number, own in enumerate(places):
        away = own[:3, 3] - (affine @ [0, 0, number, 1])[:3]
        off = float(abs(_normal(own) @ away) if leaning else np.abs(away).max())
        turned = float(np.abs((own[:3, :2] - affine[:3, :2]) / steps[:2]).max())
        if off > allowed:
            raise GeometryError(
                f"has a slice {number + 1} that lies {off:.3g} mm off where its header puts it"
            )
        if turned > OFF_PLANE_SHARE:
            raise GeometryError(f"has other pixels in slice {number + 1} than its header says")


def _leans(places: Sequence[Affine]) -> bool:
    """Return whether slices are stacked along a line that leans against their normal."""
    step = places[-1][:3, 3] - places[0][:3, 3]
    normal = _normal(places[0])
    return len(places) > 1 and lean_degrees(step, normal * np.sign(step @ normal)) > TILT_DEGREES


def _normal(place: Affine) -> Vector:
    normal = np.cross(place[:3, 0], place[:3, 1])
    return normal / np.linalg.norm(normal)


def _in_plane(header: Dataset, number: int) -> Affine:
    """Return steps to the next column and row, and the first pixel, LPS, mm, as a 4x4."""
    if not {"PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"} <= {*header.dir()}:
        raise GeometryError(f"has a slice {number + 1} whose header does not say where it lies")
    place = np.eye(4)
    rows, columns = (float(value) for value in header.PixelSpacing)
    cosines = np.array([float(value) for value in header.ImageOrientationPatient])
    place[:3, 0], place[:3, 1] = cosines[:3] * columns, cosines[3:] * rows
    place[:3, 3] = [float(value) for value in header.ImagePositionPatient]
    return place


def derived_images(
    volume: Volume, hu: npt.NDArray[np.int16], derivation: Derivation, patient: str, content: str
) -> Iterator[Dataset]:
    """Yield a data set for each slice along K, on exactly the plane of its source.

    Technical fields, Study and Frame of Reference UIDs are the source's. What says who, when and
    where is emptied unless the derivation keeps it. The contrast agent of the source is not named:
    the image no longer shows what was given.

    Args:
        volume: with `provenance.headers`, see `check_same_planes`.
        hu: its voxels, (I, J, K).
        derivation: how it was made.
        patient: pseudonym.
        content: hash of all that the series is made of.
    """
    headers = volume.provenance.headers
    leaning = _leans([_in_plane(header, number) for number, header in enumerate(headers)])
    words = frozenset[str]() if derivation.keep_identifiers else identifying_words(headers)
    for number, header in enumerate(headers):
        uids = _uids(header, patient, content, number)
        dataset = ct_image(hu[:, :, number].T, uids, number + 1, derivation)
        _copy(header, dataset, (*PLACE, *TECHNICAL), words)
        if str(header.get("BodyPartExamined")) in UNPAIRED.split():
            del dataset.Laterality
        if ("WindowCenter" in header) != ("WindowWidth" in header):
            for keyword, value in WINDOW.items():
                setattr(dataset, keyword, value)
        _say_who(header, dataset, derivation, patient)
        dataset.SeriesNumber = min(_number(header, "SeriesNumber") + NEXT_SERIES, MOST_NUMBER)
        if source := _source(header):
            dataset.SourceImageSequence = [source]
        if leaning:
            _move(dataset, (LPS @ volume.affine @ [0, 0, number, 1])[:3])
        yield dataset


def _move(dataset: Dataset, position: Vector) -> None:
    """Put a slice of a straightened stack elsewhere in its plane than its source, and say so."""
    from pydicom.valuerep import format_number_as_ds

    dataset.ImagePositionPatient = [format_number_as_ds(float(mm) + 0.0) for mm in position]
    for keyword in ("GantryDetectorTilt", "SliceLocation"):
        dataset.pop(keyword, None)
    dataset.DerivationDescription = (
        f"{dataset.DerivationDescription[: SHORT_TEXT - len(STRAIGHTENED)]}{STRAIGHTENED}"
    )
    for source in dataset.get("SourceImageSequence") or []:
        source.SpatialLocationsPreserved = "NO"


def _uids(header: Dataset, patient: str, content: str, number: int) -> Uids:
    from pydicom.uid import generate_uid

    study = str(header.get("StudyInstanceUID") or generate_uid(entropy_srcs=[patient, "study"]))
    frame = header.get("FrameOfReferenceUID") or generate_uid(entropy_srcs=[study, "frame"])
    series = generate_uid(entropy_srcs=[content, "series"])
    return Uids(study, str(frame), series, generate_uid(entropy_srcs=[series, str(number)]))


def _copy(
    header: Dataset, dataset: Dataset, keywords: tuple[str, ...], words: frozenset[str]
) -> None:
    """Copy fields that the header has, but for texts that hold one of `words`."""
    for keyword in keywords:
        if keyword in header and keyword not in NOT_COPIED:
            element = header[keyword]
            if element.VR not in ("LO", "SH", "CS") or not names_someone(str(element.value), words):
                dataset.add(copy(element))  # slices share it


def _say_who(header: Dataset, dataset: Dataset, derivation: Derivation, patient: str) -> None:
    burned_in = str(header.get("BurnedInAnnotation")) == "YES"
    if burned_in:
        dataset.BurnedInAnnotation = "YES"  # no network takes it out
    if derivation.keep_identifiers:
        dataset.PatientID = dataset.PatientName = ""
        _copy(header, dataset, IDENTIFYING, frozenset())
        if "DeidentificationMethod" in header:
            _copy(header, dataset, ("PatientIdentityRemoved",), frozenset())
        return
    dataset.PatientID, dataset.PatientName = patient, f"{patient}^synthetic"
    dataset.PatientIdentityRemoved = "NO" if burned_in else "YES"
    dataset.DeidentificationMethod = f"medcyclegan {__version__}: fields that identify are emptied"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"


def _number(header: Dataset, keyword: str) -> int:
    return max(0, int(header.get(keyword) or 0))


def _source(header: Dataset) -> Dataset | None:
    """Return the reference to the source's image; None where the source does not name itself."""
    from pydicom import Dataset
    from pydicom.uid import CTImageStorage

    if "SOPInstanceUID" not in header:
        return None
    item = Dataset()
    put(item, "ReferencedSOPClassUID", header.get("SOPClassUID") or CTImageStorage)
    put(item, "ReferencedSOPInstanceUID", header.SOPInstanceUID)
    if "ReferencedFrameNumber" in header:
        item.add(header["ReferencedFrameNumber"])
    item.SpatialLocationsPreserved = "YES"
    item.PurposeOfReferenceCodeSequence = [code(SOURCE_OF_PROCESSING)]
    return item
