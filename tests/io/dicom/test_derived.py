"""A series derived from a DICOM series: on its planes, of its study, and silent about people."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.uid import generate_uid

from medcyclegan.errors import GeometryError
from medcyclegan.io import (
    Derivation,
    ReadOptions,
    find_volumes,
    read_source,
    read_volume,
    write_volume,
)
from medcyclegan.io.dicom.identifiers import direct_identifiers
from medcyclegan.volume import Volume, grid_distance_voxels

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
WriteSeries = Callable[..., list[Path]]
Derive = Callable[..., list[pydicom.Dataset]]

AXIAL = np.diag([-0.8, -0.7, 2.5, 1.0])
CORONAL = np.array([[-0.8, 0, 0, 9], [0, 0, -2.5, 8], [0, -0.7, 0, 7], [0, 0, 0, 1.0]])
SAGITTAL = np.array([[0, 0, 2.5, 9], [-0.8, 0, 0, 8], [0, -0.7, 0, 7], [0, 0, 0, 1.0]])
TURN = np.radians(20)
OBLIQUE = (
    np.array(
        [
            [np.cos(TURN), -np.sin(TURN), 0, 0],
            [np.sin(TURN), np.cos(TURN), 0, 0],
            [0, 0, 1, 0],
            [0, 0, 0, 1],
        ]
    )[[0, 2, 1, 3]]
    @ AXIAL
)
DERIVATION = Derivation("Synthetic noncontrast", "Synthetic CT: contrast into noncontrast")
KEEPING = replace(DERIVATION, keep_identifiers=True)
PLANTED = {
    "PatientName": "Plantedname^Jane",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19510203",
    "PatientAddress": "Plantedstreet 5",
    "OtherPatientIDs": "PLANTED-OTHER",
    "InstitutionName": "Plantedclinic",
    "ReferringPhysicianName": "Planteddoctor^Who",
    "OperatorsName": "Plantedoperator",
    "StationName": "PLANTEDSTATION",
    "AccessionNumber": "PLANTEDACC",
    "StudyID": "PLANTEDSTUDY",
    "StudyDescription": "Planted study for Jane",
    "SeriesDescription": "Planted series",
    "ProtocolName": "Planted protocol",
    "ImageComments": "planted comment",
    "PatientComments": "planted comment",
    "DeviceSerialNumber": "PLANTED777",
    "ContrastBolusAgent": "Planted agent",
    "StudyDate": "20200304",
    "AcquisitionDate": "20200304",
    "ConvolutionKernel": "PLANTED-ID soft",
}
TECHNICAL = {
    "Manufacturer": "SIEMENS",
    "KVP": "120",
    "ConvolutionKernel": "B30f",
    "PatientPosition": "FFS",
    "BodyPartExamined": "ABDOMEN",
    "FrameOfReferenceUID": "1.2.3.4",
    "WindowCenter": "40",
    "WindowWidth": "350",
    "SliceLocation": "1.5",
}


def with_fields(fields: dict[str, Any]) -> Callable[[Any, int], None]:
    def change(dataset: Any, _: int) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.add_new(0x00091010, "LO", "Planted private")
        for keyword, value in fields.items():
            setattr(dataset, keyword, value)

    return change


def darker(volume: Volume) -> Volume:
    return replace(volume, array=volume.array - np.int16(10))


def written(volume: Volume, folder: Path, derivation: Derivation) -> list[pydicom.Dataset]:
    write_volume(volume, folder, file_format="dicom", derivation=derivation)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.fixture
def derive(make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path) -> Derive:
    """Write a series with these fields and one derived from it, and return the latter."""

    def made(fields: dict[str, Any], derivation: Derivation = DERIVATION) -> list[pydicom.Dataset]:
        write_series(tmp_path / "source", make_ct(), AXIAL, change=with_fields(fields))
        volume = darker(read_volume(tmp_path / "source"))
        return written(volume, tmp_path / "made", derivation)

    return made


@pytest.mark.parametrize(
    "affine", [AXIAL, CORONAL, SAGITTAL, OBLIQUE, AXIAL @ np.diag([1, 1, -1, 1])]
)
def test_every_slice_lies_on_exactly_the_plane_of_its_source(
    affine: Array, make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    paths = write_series(tmp_path / "source", make_ct(), affine, order=[3, 0, 5, 1, 2, 4])
    by_uid = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, paths)}
    volume = darker(read_volume(tmp_path / "source"))
    for number, dataset in enumerate(written(volume, tmp_path / "made", DERIVATION), start=1):
        (reference,) = dataset.SourceImageSequence
        source = by_uid[reference.ReferencedSOPInstanceUID]
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert "ReferencedFrameNumber" not in reference
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert list(dataset[name].value) == list(source[name].value)
        assert dataset.InstanceNumber == number
        hu = source.pixel_array * source.RescaleSlope + source.RescaleIntercept
        assert np.array_equal(dataset.pixel_array, hu - 10)
    back = read_volume(tmp_path / "made")
    assert np.array_equal(back.array, volume.array)
    assert np.array_equal(back.affine, volume.affine)


def test_it_is_of_the_same_study_and_space_and_a_series_of_its_own(derive: Derive) -> None:
    made = derive(TECHNICAL)
    source = pydicom.dcmread(next(iter(Path(made[0].filename).parents[1].glob("source/*"))))
    assert {dataset.StudyInstanceUID for dataset in made} == {source.StudyInstanceUID}
    assert {dataset.FrameOfReferenceUID for dataset in made} == {"1.2.3.4"}
    assert len({dataset.SeriesInstanceUID for dataset in made}) == 1
    assert len({dataset.SOPInstanceUID for dataset in made}) == len(made)
    assert made[0].SeriesInstanceUID != source.SeriesInstanceUID
    assert made[0].SeriesNumber == source.SeriesNumber + 1000


def test_it_says_how_it_was_made_and_keeps_what_is_technical(derive: Derive) -> None:
    dataset = derive(TECHNICAL)[0]
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert dataset.SyntheticData == "YES"
    assert dataset.BurnedInAnnotation == "NO"
    assert dataset.SeriesDescription == DERIVATION.series
    assert dataset.DerivationDescription == DERIVATION.description
    (equipment,) = dataset.ContributingEquipmentSequence
    assert equipment.Manufacturer == "medcyclegan"
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    for keyword, value in TECHNICAL.items():
        assert str(dataset[keyword].value) == value, keyword
    assert (dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType) == (1, 0, "HU")
    assert "ContrastBolusAgent" not in dataset
    assert not [element for element in dataset if element.tag.is_private]


def test_nobody_is_named_unless_asked(derive: Derive) -> None:
    made = derive(PLANTED)
    for dataset in made:
        data = Path(dataset.filename).read_bytes().lower()
        assert b"planted" not in data
        assert b"jane" not in data
        assert b"19510203" not in data
        assert b"20200304" not in data
        assert dataset.PatientName == f"{dataset.PatientID}^synthetic"
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.DeidentificationMethod
        assert dataset.StudyDate == dataset.PatientBirthDate == dataset.AccessionNumber == ""


def test_everybody_is_named_if_asked(derive: Derive) -> None:
    dataset = derive(PLANTED, KEEPING)[0]
    ours = ("SeriesDescription", "ContrastBolusAgent")
    for keyword in PLANTED.keys() - ours:
        assert str(dataset[keyword].value) == PLANTED[keyword], keyword
    assert dataset.SeriesDescription == KEEPING.series
    assert "ContrastBolusAgent" not in dataset, "the image no longer shows it"
    assert "PatientIdentityRemoved" not in dataset
    assert b"private" not in Path(dataset.filename).read_bytes()


def test_a_source_may_lack_or_leave_empty_nearly_all(
    make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    needed = (
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"),
        *("PhotometricInterpretation", "PixelData", "Modality", "SOPClassUID", "SOPInstanceUID"),
        *("RescaleSlope", "RescaleIntercept", "SeriesInstanceUID"),
    )

    def strip(dataset: Any, k: int) -> None:
        for element in list(dataset):
            if element.keyword not in needed:
                del dataset[element.tag]
        if k % 2:
            dataset.KVP = dataset.PatientPosition = dataset.FrameOfReferenceUID = ""

    write_series(tmp_path / "source", make_ct(), AXIAL, change=strip)
    volume = read_volume(tmp_path / "source")
    made = written(volume, tmp_path / "made", DERIVATION)
    assert np.array_equal(read_volume(tmp_path / "made").array, volume.array)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        (uid,) = {dataset[keyword].value for dataset in made}
        assert uid.is_valid, keyword
    for keyword in ("KVP", "PatientPosition", "SliceThickness", "StudyDate"):
        assert {dataset[keyword].value for dataset in made} <= {"", None}, keyword
    assert made[0].SeriesNumber == 1000
    assert (made[0].WindowCenter, made[0].WindowWidth) == (50, 400)


def test_equal_series_have_equal_bytes_and_no_two_share_a_uid(
    make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    write_series(tmp_path / "source", make_ct(), AXIAL)
    write_series(tmp_path / "copy", make_ct(), AXIAL)
    volume, copy = (read_volume(tmp_path / name) for name in ("source", "copy"))
    made = [
        written(one, tmp_path / str(number), derivation)
        for number, (one, derivation) in enumerate(
            [
                (volume, DERIVATION),
                (volume, DERIVATION),
                (darker(volume), DERIVATION),
                (volume, KEEPING),
                (volume, replace(DERIVATION, description="by another model")),
                (copy, DERIVATION),
            ]
        )
    ]
    bytes_of = [[Path(dataset.filename).read_bytes() for dataset in one] for one in made]
    assert bytes_of[0] == bytes_of[1]
    assert len({one[0].SeriesInstanceUID for one in made[1:]}) == 5
    assert len({dataset.SOPInstanceUID for one in made[1:] for dataset in one}) == 5 * len(made[0])


def test_what_is_burned_in_stays_so(derive: Derive) -> None:
    dataset = derive({"BurnedInAnnotation": "YES"})[0]
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.PatientIdentityRemoved == "NO"
    assert "Jane" not in str(dataset)


@pytest.mark.parametrize(
    ("fields", "laterality"),
    [
        ({"BodyPartExamined": "CHEST", "Laterality": ""}, None),
        ({"BodyPartExamined": "KNEE", "Laterality": "L"}, "L"),
        ({"BodyPartExamined": "LEG"}, ""),
        ({}, ""),
    ],
)
def test_laterality_goes_with_the_part_of_the_body(
    fields: dict[str, str], laterality: str | None, derive: Derive
) -> None:
    assert derive(fields)[0].get("Laterality") == laterality


def test_headers_of_another_volume_are_noticed(
    make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    write_series(tmp_path / "source", make_ct(), AXIAL)
    volume = read_volume(tmp_path / "source")
    moved = volume.affine.copy()
    moved[0, 3] += 0.5
    for other, match in (
        (replace(volume, array=volume.array[:, :, :-1]), "headers of 6 slices"),
        (replace(volume, array=volume.array[:-1]), "headers of 6 slices"),
        (replace(volume, affine=volume.affine @ np.diag([1, 1, -1, 1])), "slice 2 that lies 5 mm"),
        (replace(volume, affine=moved), "slice 1 that lies 0.5 mm off"),
        (
            replace(volume, affine=volume.affine @ np.diag([1, 1, 1.1, 1])),
            "slice 2 that lies 0.25 mm",
        ),
        (
            replace(volume, affine=volume.affine @ np.diag([1.1, 1, 1, 1])),
            "other pixels in slice 1",
        ),
    ):
        with pytest.raises(GeometryError, match=match) as caught:
            written(other, tmp_path / "made", DERIVATION)
        assert str(caught.value).startswith(f"{tmp_path / 'made'}: not written: ")
    del volume.provenance.headers[2].PixelSpacing
    with pytest.raises(GeometryError, match="slice 3 whose header does not say where it lies"):
        written(volume, tmp_path / "made", DERIVATION)
    assert not (tmp_path / "made").exists()


def test_each_frame_of_a_multi_frame_file_becomes_a_slice_that_names_it(
    make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    def complete(dataset: Any, _: int) -> None:
        for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            setattr(dataset, keyword, "")
        dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "A^B", "", "O"
        dataset.StudyID, dataset.Manufacturer, dataset.KVP = "1", "M", "120"
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "1.2.3", ""
        dataset.PatientPosition, dataset.RescaleType = "HFS", "HU"
        dataset.file_meta.ImplementationClassUID = "1.2.3"

    paths = write_series(tmp_path / "plain", make_ct(), AXIAL, change=complete)
    (tmp_path / "source").mkdir()
    image = LegacyConvertedEnhancedCTImage(
        [pydicom.dcmread(path) for path in paths[::-1]], generate_uid(), 9, generate_uid(), 1
    )
    image.save_as(tmp_path / "source" / "all.dcm")
    volume = read_volume(tmp_path / "source")
    made = written(volume, tmp_path / "made", DERIVATION)
    frames = [dataset.SourceImageSequence[0].ReferencedFrameNumber for dataset in made]
    assert sorted(frames) == [1, 2, 3, 4, 5, 6]
    for dataset, frame in zip(made, frames, strict=True):
        group = image.PerFrameFunctionalGroupsSequence[frame - 1]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert dataset.ImagePositionPatient == position
        reference = dataset.SourceImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == image.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == image.SOPClassUID
        assert (dataset.KVP, dataset.FrameOfReferenceUID) == (120, "1.2.3")
    assert np.array_equal(read_volume(tmp_path / "made").array, volume.array)


def test_without_a_dicom_source_it_is_a_new_study_that_says_the_same(
    make_ct: MakeCT, tmp_path: Path
) -> None:
    dataset = written(Volume(make_ct(), AXIAL), tmp_path / "made", DERIVATION)[0]
    assert dataset.SeriesDescription == DERIVATION.series
    assert dataset.DerivationDescription == DERIVATION.description
    assert "SourceImageSequence" not in dataset
    assert dataset.ContributingEquipmentSequence[0].Manufacturer == "medcyclegan"


def tilted(
    make_ct: MakeCT, write_series: WriteSeries, folder: Path, fields: dict[str, Any]
) -> Volume:
    """A series whose slices lean by 18 degrees, resampled to a right-angled grid."""
    affine = AXIAL.copy()
    affine[1, 2] = 0.8
    write_series(folder, make_ct((40, 36, 6)), affine, change=with_fields(fields))
    return read_volume(folder, ReadOptions(resample_tilt=True))


def test_of_tilted_slices_each_stays_in_its_plane_and_says_that_it_was_resampled(
    make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    fields = {**TECHNICAL, "GantryDetectorTilt": "-18"}
    volume = tilted(make_ct, write_series, tmp_path / "source", fields)
    by_uid = {
        dataset.SOPInstanceUID: dataset
        for dataset in map(pydicom.dcmread, (tmp_path / "source").iterdir())
    }
    made = written(volume, tmp_path / "made", DERIVATION)
    assert volume.array.shape[1] > 36
    back = read_volume(tmp_path / "made")
    assert np.array_equal(back.array, volume.array)
    assert np.allclose(back.affine, volume.affine, atol=1e-4)
    for dataset in made:
        (reference,) = dataset.SourceImageSequence
        source = by_uid[reference.ReferencedSOPInstanceUID]
        assert reference.SpatialLocationsPreserved == "NO"
        assert dataset.ImagePositionPatient[2] == pytest.approx(source.ImagePositionPatient[2])
        assert dataset.StudyInstanceUID == source.StudyInstanceUID
        assert dataset.DerivationDescription.startswith(DERIVATION.description)
        assert "gantry tilt" in dataset.DerivationDescription
        assert dataset.ConvolutionKernel == "B30f"
        assert "GantryDetectorTilt" not in dataset
        assert "SliceLocation" not in dataset
    elsewhere = volume.affine.copy()
    elsewhere[2, 3] += 0.5
    with pytest.raises(GeometryError, match=r"slice 1 that lies 0.5 mm off"):
        written(replace(volume, affine=elsewhere), tmp_path / "other", DERIVATION)


def test_of_tilted_slices_nobody_is_named(
    make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    volume = tilted(make_ct, write_series, tmp_path / "source", PLANTED)
    assert "PatientName" in direct_identifiers(volume.provenance.headers)
    for dataset in written(volume, tmp_path / "made", DERIVATION):
        assert b"planted" not in Path(dataset.filename).read_bytes().lower()


# ----------------------------------------------------------------------------------- judges

REAL = (
    "totalsegmentator/example_ct_dicom",
    "covid_ny_sbu/A002304/axial/19001231-076.dcm",
    "covid_ny_sbu/A002304/coronal/19001231-076.dcm",
    "covid_ny_sbu/A048383/sagittal/19001231-065.dcm",
    "ibsi_sts/dicom/STS_002/CT/image",
    "cornerstone/CT2_J2KR",
    "tcga_luad_contrast/dicom_dir/ID_0000_AGE_0060_CONTRAST_1_CT.dcm",
    "tcga_luad_contrast/dicom_dir/ID_0050_AGE_0074_CONTRAST_0_CT.dcm",
    "tcga_luad_contrast/dicom_dir/ID_0052_AGE_0072_CONTRAST_0_CT.dcm",
)
UNKNOWN_TO_THE_JUDGE = "(0x0008,0x001c)"  # SyntheticData: younger than Debian's dciodvfy
NOT_NEEDED = "needed to build DICOMDIR"  # dates and the study's ID: emptied


def verdict(judge: str, path: Path) -> set[str]:
    done = subprocess.run([judge, path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return {line for line in lines if line.startswith(("Error", "Warning"))}


@pytest.mark.judge
@pytest.mark.parametrize("name", REAL)
def test_dciodvfy_finds_nothing_that_the_source_did_not_have(
    name: str, judge: Callable[[str], str], real_data: Path, tmp_path: Path
) -> None:
    (source,) = find_volumes(real_data / name).sources
    made = written(read_source(source), tmp_path / "made", DERIVATION)
    known = verdict(judge("dciodvfy"), source.files[0])
    new = verdict(judge("dciodvfy"), Path(made[0].filename)) - known
    new = {line for line in new if UNKNOWN_TO_THE_JUDGE not in line and NOT_NEEDED not in line}
    assert not [line for line in new if line.startswith("Error")]
    allowed = ("Standard Extended SOP Class", "<Laterality>", "<PARTIALBODY>")
    assert not [line for line in new if not any(word in line for word in allowed)]


@pytest.mark.judge
def test_dcm2niix_sees_no_tilt_in_what_was_straightened(
    judge: Callable[[str], str], make_ct: MakeCT, write_series: WriteSeries, tmp_path: Path
) -> None:
    volume = tilted(make_ct, write_series, tmp_path / "source", {"GantryDetectorTilt": "-18"})
    written(volume, tmp_path / "made", DERIVATION)
    command = [judge("dcm2niix"), "-o", str(tmp_path), "-f", "judged", str(tmp_path / "made")]
    subprocess.run(command, capture_output=True, check=True)
    (path,) = tmp_path.glob("*.nii")
    one, other = same_order(volume), same_order(read_volume(path))
    assert np.array_equal(one.array, other.array)
    assert grid_distance_voxels(one.affine, other.affine, one.array.shape) < 1e-3


@pytest.mark.judge
@pytest.mark.parametrize("name", REAL)
def test_dcm2niix_reads_it_on_the_grid_of_our_nifti(
    name: str, judge: Callable[[str], str], real_data: Path, tmp_path: Path
) -> None:
    (source,) = find_volumes(real_data / name).sources
    volume = read_source(source)
    written(volume, tmp_path / "made", DERIVATION)
    write_volume(volume, tmp_path / "ours.nii.gz")
    command = [judge("dcm2niix"), "-o", str(tmp_path), "-f", "judged", str(tmp_path / "made")]
    subprocess.run(command, capture_output=True, check=True)
    ours, judged = read_volume(tmp_path / "ours.nii.gz"), read_volume(tmp_path / "judged.nii")
    one, other = same_order(ours), same_order(judged)
    assert np.array_equal(one.array, other.array)
    assert grid_distance_voxels(one.affine, other.affine, one.array.shape) < 1e-3


def same_order(volume: Volume) -> Volume:
    """The same voxels with axes as near to right, front and head as may be."""
    import nibabel

    image: Any = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume.array, volume.affine))
    return Volume(np.asarray(image.dataobj), image.affine)


def test_simpleitk_reads_the_same_voxels_in_the_same_places(
    real_data: Path, tmp_path: Path
) -> None:
    import SimpleITK

    volume = read_volume(real_data / "totalsegmentator/example_ct_dicom")
    written(volume, tmp_path / "made", DERIVATION)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "made")))
    image = reader.Execute()
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), volume.array)
    assert np.allclose(image.GetOrigin(), volume.affine[:3, 3] * [-1, -1, 1], atol=1e-4)
    assert np.allclose(image.GetSpacing(), volume.spacing_mm, atol=1e-4)
