from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from medcyclegan.errors import MedCycleGANError
from medcyclegan.io.dicom.header import Header, describe, header_of, not_ct, read_header

CT = "1.2.840.10008.5.1.4.1.1.2"
HERE = Path("a.dcm")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom doubts odd values


def image(**fields: Any) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    values: dict[str, Any] = {
        "SOPClassUID": CT,
        "Modality": "CT",
        "Rows": 4,
        "Columns": 6,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [-10, -20, 30],
        "PixelSpacing": [0.8, 0.7],
        "SliceThickness": 5,
        **fields,
    }
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    return dataset


def test_a_header_is_plain_values_that_travel() -> None:
    header = header_of(
        image(
            PatientID="P",
            SeriesNumber=3,
            ImageType=["original", "PRIMARY"],
            AcquisitionDate="20200102",
            AcquisitionTime="0304",
        )
    )
    assert json.loads(json.dumps(asdict(header)))["planes"][0]["spacing"] == [0.8, 0.7]
    assert (header.patient, header.series_number) == ("P", "3")
    assert header.image_type == "ORIGINAL\\PRIMARY"
    assert header.acquired == "202001020304"
    (piece,) = describe(HERE, header)
    assert (piece.shape, piece.spacing_mm, piece.distance_mm) == ((4, 6), (0.8, 0.7), 5)
    assert (piece.frame, piece.name) == (0, "a.dcm")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"Modality": None}, ""),
        ({"SOPClassUID": None}, ""),
        ({"Modality": "ct"}, ""),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, ""),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.2"}, ""),
        ({"Modality": "MR"}, "no CT (modality MR)"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "no CT image (SOP class"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"SOPClassUID": "1.2.840.10008.1.3.10", "Modality": None}, "no image"),
        ({"SOPClassUID": None, "Modality": None}, "no image"),
    ],
)
def test_what_is_no_ct_says_so(fields: dict[str, Any], reason: str) -> None:
    found = not_ct(header_of(image(**fields)))
    assert found.startswith(reason) if reason else not found


def test_the_class_in_the_meta_information_counts_where_the_data_set_has_none() -> None:
    dataset = image(SOPClassUID=None, Modality=None)
    dataset.file_meta.MediaStorageSOPClassUID = UID(CT)
    assert not not_ct(header_of(dataset))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"Rows": None}, "declares 0 x 6 pixels"),
        ({"Columns": 0}, "declares 4 x 0 pixels"),
        ({"Rows": 65535}, "declares 65535 x 6 pixels"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"NumberOfFrames": 5}, "holds 5 frames and does not say where"),
        ({"ImagePositionPatient": [1, 2]}, "no valid ImagePositionPatient"),
        ({"ImagePositionPatient": None}, "no valid ImagePositionPatient"),
        ({"ImageOrientationPatient": [0] * 6}, "not at right angles or not of length 1"),
        ({"PixelSpacing": [0.8]}, "no valid PixelSpacing"),
        ({"PixelSpacing": [-0.8, 0.8]}, "pixel spacing -0.8"),
    ],
)
def test_what_has_no_place_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(MedCycleGANError, match=says):
        describe(HERE, header_of(image(**fields)))


@pytest.mark.parametrize(
    ("tag", "type_", "value"),
    [
        ((0x0028, 0x0010), "LO", "many"),
        ((0x0028, 0x0010), "OB", b"\4\0"),
        ((0x0020, 0x0032), "LO", ["a", "b", "c"]),
        ((0x0028, 0x0030), "LO", ["nan", "0.7"]),
        ((0x0028, 0x0010), "FD", float("nan")),
        ((0x0028, 0x0008), "LO", "x"),
    ],
)
def test_numbers_that_are_none_are_refused_only_when_it_matters(
    tag: tuple[int, int], type_: str, value: Any
) -> None:
    dataset = image()
    dataset.add_new(tag, type_, value)
    with pytest.raises(MedCycleGANError):
        describe(HERE, header_of(dataset))
    dataset.Modality = "MR"
    assert not_ct(header_of(dataset)) == "no CT (modality MR)"


def test_numbers_written_as_text_are_numbers() -> None:
    dataset = image()
    dataset.add_new((0x0028, 0x0010), "LO", "12")
    dataset.add_new((0x0020, 0x0032), "LO", ["1", "2", "3.5"])
    (piece,) = describe(HERE, header_of(dataset))
    assert piece.shape == (12, 6)
    assert list(piece.position) == [1, 2, 3.5]


def test_a_file_without_kind_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "empty.dcm"
    path.write_bytes(bytes(128) + b"DICM")
    with pytest.raises(MedCycleGANError, match="cut off or damaged"):
        read_header(path)


def test_real_headers(real_data: Path) -> None:
    header = read_header(real_data / "cornerstone" / "CTImage.dcm")
    assert isinstance(header, Header)
    assert (header.rows, header.columns, header.multi_frame) == (512, 512, False)
    assert not not_ct(header)
    perfusion = "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm"
    header = read_header(real_data / "cornerstone" / perfusion)
    pieces = describe(HERE, header)
    assert [piece.frame for piece in pieces] == [1, 2]
    assert [piece.position[2] for piece in pieces] == [-159, -149]
    assert pieces[0].name == "a.dcm frame 1"
