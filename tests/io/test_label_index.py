"""Which label file belongs to which volume."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pydicom
import pytest
from pydicom.uid import UID, CTImageStorage, RTStructureSetStorage, SegmentationStorage

from medcyclegan.io.label_index import LabelIndex
from medcyclegan.io.labels import open_label_object
from medcyclegan.io.source import Source


def write(path: Path, class_uid: UID, *series: str) -> Path:
    """Write the beginning of a DICOM file that refers to some series."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = class_uid
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.9")
    dataset.SeriesInstanceUID = "1.2.8"  # its own
    referred = []
    for uid in series:
        item = pydicom.Dataset()
        item.SeriesInstanceUID = uid
        referred.append(item)
    if class_uid == RTStructureSetStorage:
        frame, study = pydicom.Dataset(), pydicom.Dataset()
        study.RTReferencedSeriesSequence = referred
        frame.RTReferencedStudySequence = [study]
        dataset.ReferencedFrameOfReferenceSequence = [frame]
    else:
        dataset.ReferencedSeriesSequence = referred
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def source(path: str, *, uid: str = "") -> Source:
    """Return a series, or a file where the path has a suffix."""
    where = PurePosixPath(path)
    return Source(Path("in", where), where.parent, where.stem, "dicom", (), uid=uid)


def found(index: LabelIndex, one: Source) -> list[Path]:
    return index.of(one, one.relative)


@pytest.mark.parametrize("class_uid", [RTStructureSetStorage, SegmentationStorage])
def test_dicom_labels_go_by_the_series_they_refer_to(tmp_path: Path, class_uid: UID) -> None:
    first = write(tmp_path / "x" / "anything", class_uid, "1.2.3")
    second = write(tmp_path / "ct_b.dcm", class_uid, "1.2.4", "1.2.5")
    index = LabelIndex(tmp_path)
    assert index.objects == 2
    assert found(index, source("ct_b", uid="1.2.3")) == [first]
    assert found(index, source("p/ct_c", uid="1.2.4")) == [second]
    assert found(index, source("p/ct_c", uid="1.2.5")) == [second]
    assert found(index, source("p/ct_c", uid="1.2.8")) == []


def test_dicom_labels_without_their_series_go_by_name(tmp_path: Path) -> None:
    beside = write(tmp_path / "p" / "ct_a.dcm", RTStructureSetStorage, "1.2.3")
    within = write(tmp_path / "p" / "ct_b" / "RS.1.2.dcm", SegmentationStorage)
    index = LabelIndex(tmp_path)
    assert found(index, source("p/ct_a", uid="1.7")) == [beside]
    assert found(index, source("p/ct_b", uid="1.7")) == [within]
    assert found(index, source("ct_b", uid="1.7")) == []
    assert found(index, source("p/ct_a.nii")) == [beside]


def test_one_file_is_an_index_too(tmp_path: Path) -> None:
    path = write(tmp_path / "RS.dcm", RTStructureSetStorage, "1.2.3")
    assert found(LabelIndex(path), source("ct", uid="1.2.3")) == [path]
    assert found(LabelIndex(path), source("ct", uid="1.2.4")) == []


def test_among_volumes_only_dicom_labels_are_labels(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    (tmp_path / "note.txt").write_text("liver")
    write(tmp_path / "ct" / "IM1", CTImageStorage)
    path = write(tmp_path / "ct" / "RS1", RTStructureSetStorage, "1.2.3")
    index = LabelIndex(tmp_path, objects_only=True)
    assert (index.objects, index.damaged) == (1, [])
    assert found(index, source("a.nii")) == []
    assert found(index, source("ct", uid="1.2.3")) == [path]
    assert found(LabelIndex(tmp_path), source("a.nii")) == [tmp_path / "a.nii"]


def test_what_a_label_object_refers_to(tmp_path: Path) -> None:
    path = write(tmp_path / "RS", RTStructureSetStorage, "1.2.3", "1.2.4")
    object_ = open_label_object(path)
    assert object_ is not None
    assert object_.series == {"1.2.3", "1.2.4"}
    assert open_label_object(write(tmp_path / "CT", CTImageStorage)) is None


def test_damaged_dicom_among_the_labels_is_said(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00SQ" + b"\xff" * 40)
    index = LabelIndex(tmp_path)
    assert any(str(tmp_path / "noise") in line for line in index.damaged)
