from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from medcyclegan.io.dicom.carried import CARRIED, Seen, carried


def a_header() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    dataset.PatientName, dataset.StudyDescription = "Müller^Ana", "Bauch nativ"
    dataset.PixelSpacing, dataset.KVP = ["0.7", "0.8"], "120"
    dataset.ContrastBolusAgent = "Iomeprol"
    dataset.Rows = dataset.Columns = 2
    dataset.PixelData = bytes(8)
    dataset["PixelData"].VR = "OW"
    dataset.add_new(0x00091001, "LO", "private")
    dataset.ReferencedImageSequence = [Dataset()]
    return dataset


def raw(dataset: Dataset, keyword: str, type_: str, value: Any) -> None:
    """Put in what no strict writer would."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    dataset[tag] = DataElement(tag, type_, value, validation_mode=IGNORE, already_converted=True)


def test_every_keyword_is_one_of_the_dictionary_and_stands_once() -> None:
    assert all(tag_for_keyword(keyword) is not None for keyword in CARRIED)
    assert len(set(CARRIED)) == len(CARRIED)


def test_only_public_small_fields_come_along() -> None:
    dataset = a_header()
    before = copy.deepcopy(dataset)
    copied = carried(dataset)
    assert copied.dir() == [
        "Columns",
        "KVP",
        "PatientName",
        "PixelSpacing",
        "Rows",
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyDescription",
    ]
    assert copied.PatientName == "Müller^Ana"
    assert dataset == before


def test_texts_of_any_character_set_are_decoded() -> None:
    dataset = a_header()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    stream = io.BytesIO()
    dataset.save_as(stream, implicit_vr=False, little_endian=True)
    stream.seek(0)
    copied = carried(pydicom.dcmread(stream, force=True))
    copied.SpecificCharacterSet = "ISO_IR 192"
    stream = io.BytesIO()
    copied.save_as(stream, implicit_vr=False, little_endian=True)
    assert "Müller^Ana".encode() in stream.getvalue()


def on_disk(letters: str, name: bytes, implicit: bool = False) -> Dataset:
    """As read from a file, fields not yet converted; what is no ASCII stands as it is."""
    dataset = a_header()
    dataset.SpecificCharacterSet, dataset.PatientName = letters, name.decode("latin-1")
    dataset[0x00100010] = DataElement(0x00100010, "UN" if implicit else "PN", name)
    stream = io.BytesIO()
    dataset.save_as(stream, implicit_vr=implicit, little_endian=True)
    stream.seek(0)
    return pydicom.dcmread(stream, force=True)


@pytest.mark.parametrize("implicit", [False, True])
def test_slices_share_what_is_alike_and_nothing_else(implicit: bool) -> None:
    files = [
        on_disk(letters, name, implicit)
        for letters, name in (
            ("ISO_IR 100", b"M\xfcller"),
            ("ISO_IR 100", b"M\xfcller"),
            ("ISO_IR 144", b"M\xfcller"),
            ("ISO_IR 192", "Müller".encode()),
        )
    ]
    seen: Seen = {}
    apart = [carried(copy.deepcopy(dataset)) for dataset in files]
    together = [carried(dataset, seen=seen) for dataset in files]
    assert together == apart
    assert [str(header.PatientName) for header in together] == [
        "Müller",
        "Müller",
        "Mќller",
        "Müller",
    ]
    assert together[0]["KVP"] is together[1]["KVP"]


def test_a_copy_of_a_long_header_can_be_written() -> None:
    dataset = a_header()
    for element in range(0x1001, 0x10FF):
        dataset.add_new((0x0009, element), "LO", "private")
    copied = carried(dataset)
    copied.save_as(io.BytesIO(), implicit_vr=False, little_endian=True)
    assert copied == carried(a_header())


@pytest.mark.parametrize(
    ("keyword", "type_", "value"),
    [
        ("KVP", "DS", "high"),
        ("KVP", "DS", "nan"),
        ("KVP", "LO", "1e999"),
        ("KVP", "SQ", [Dataset()]),
        ("SeriesNumber", "IS", "three"),
        ("SeriesNumber", "IS", ""),
        ("Modality", "CS", "ct!"),
        ("StudyDate", "DA", "yesterday"),
        ("StudyInstanceUID", "UI", "../study"),
        ("StudyInstanceUID", "UI", "1." + "2" * 63),
        ("TableSpeed", "FD", float("inf")),
        ("PatientName", "PN", " "),
    ],
)
def test_what_its_type_does_not_allow_stays_behind(keyword: str, type_: str, value: Any) -> None:
    dataset = a_header()
    raw(dataset, keyword, type_, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keyword not in carried(dataset)


def test_numbers_too_long_for_their_type_are_shortened_and_odd_types_mended() -> None:
    dataset = a_header()
    raw(dataset, "ReconstructionDiameter", "DS", "499.99999999999999999")
    raw(dataset, "KVP", "LO", "120")
    raw(dataset, "StudyInstanceUID", "UI", "1.2.003.4")  # of a scanner that is not strict
    raw(dataset, "InstitutionName", "LO", "Clinic\x1b[31m\n of the\tCity")
    copied = carried(dataset)
    assert copied.ReconstructionDiameter == 500
    assert (copied["KVP"].VR, copied.KVP) == ("DS", 120)
    assert copied.StudyInstanceUID == "1.2.003.4"
    assert copied.InstitutionName == "Clinic[31m of the City"


def test_a_file_names_its_image_where_the_data_set_does_not() -> None:
    dataset = a_header()
    dataset.SOPClassUID = UID("")
    del dataset.SOPInstanceUID
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.9")
    copied = carried(dataset)
    assert (copied.SOPClassUID, copied.SOPInstanceUID) == ("1.2.840.10008.5.1.4.1.1.2", "1.2.9")


@pytest.mark.parametrize(("syntax", "lossy"), [("50", True), ("81", True), ("80", False)])
def test_lossy_compression_is_remembered(syntax: str, lossy: bool) -> None:
    dataset = a_header()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4.{syntax}")
    assert (carried(dataset).get("LossyImageCompression") == "01") == lossy


def group(name: str, **fields: Any) -> Dataset:
    outer, inner = Dataset(), Dataset()
    for keyword, value in fields.items():
        setattr(inner, keyword, value)
    setattr(outer, name, [inner])
    return outer


def test_a_frame_has_the_fields_of_its_functional_groups() -> None:
    dataset = a_header()
    del dataset.PixelSpacing
    dataset.SharedFunctionalGroupsSequence = [
        group("PixelMeasuresSequence", PixelSpacing=[1, 1], SliceThickness=2)
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        group("PlanePositionSequence", ImagePositionPatient=[0, 0, place]) for place in (5, 7)
    ]
    copied = [carried(dataset, frame) for frame in (1, 2, 3)]
    assert [header.get("ImagePositionPatient") for header in copied] == [[0, 0, 5], [0, 0, 7], None]
    assert [header.ReferencedFrameNumber for header in copied] == [1, 2, 3]
    assert all(header.SliceThickness == 2 for header in copied)
    assert "SharedFunctionalGroupsSequence" not in copied[0]


def test_real_headers_are_copied_without_a_word(real_data: Path) -> None:
    files = [
        *sorted((real_data / "covid_ny_sbu").rglob("*.dcm"))[:4],
        *sorted((real_data / "totalsegmentator/example_ct_dicom").iterdir())[:1],
        *sorted((real_data / "tcga_luad_contrast").rglob("*.dcm"))[:8],
    ]
    for path in files:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        copied = carried(dataset)
        assert copied.get("StudyInstanceUID") == (dataset.StudyInstanceUID or None)
        assert [float(x) for x in copied.ImagePositionPatient] == list(dataset.ImagePositionPatient)
        assert not [element for element in copied if element.tag.is_private or element.VR == "SQ"]
