from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from medcyclegan.errors import VolumeError
from medcyclegan.io import find_volumes, read_volume

Array = npt.NDArray[Any]
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 30], [0, 0, 2.5, -12], [0, 0, 0, 1.0]])
ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"


def item(**fields: Any) -> Dataset:
    one = Dataset()
    for name, value in fields.items():
        setattr(one, name, value)
    return one


def enhanced(array: Array, *, order: list[int] | None = None) -> Dataset:
    """An enhanced CT image of `array` (I, J, K) on AFFINE, its frames in a given order."""
    image = item(
        SOPClassUID=ENHANCED,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
        SeriesNumber=7,
        Modality="CT",
        PatientID="PLANTED-ID",
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=array.shape[1],
        Columns=array.shape[0],
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=1,
    )
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    orientation = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    measures = item(PixelSpacing=[0.8, 0.7], SliceThickness=5, SpacingBetweenSlices=2.5)
    shared = item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    frames, planes = [], []
    for k in order or range(array.shape[2]):
        # LPS: the signs of x and y are turned.
        position = [-90, -30, -12 + 2.5 * k]
        content = item(StackID="1", InStackPositionNumber=1, TemporalPositionIndex=1)
        rescaled = item(RescaleSlope=1, RescaleIntercept=-10 * k, RescaleType="HU")
        frames.append(
            item(
                FrameContentSequence=[content],
                PlanePositionSequence=[item(ImagePositionPatient=position)],
                PixelValueTransformationSequence=[rescaled],
            )
        )
        planes.append(array[:, :, k].T.astype("<i2") + 10 * k)
    image.NumberOfFrames = len(frames)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = frames
    image.PixelData = np.stack(planes).astype("<i2").tobytes()
    return image


def save(image: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_an_enhanced_image_is_sorted_by_place_whatever_its_indices_say(
    tmp_path: Path, make_ct: Callable[..., Array], packed: bool
) -> None:
    image = enhanced(make_ct(), order=[3, 0, 5, 1, 4, 2])
    if packed:
        image.compress(RLELossless)
    path = save(image, tmp_path / "scan" / "enhanced.dcm")
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, make_ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)
    (source,) = find_volumes(tmp_path).sources
    assert (source.files, source.stem) == ((path,), "enhanced")


def test_each_slice_of_an_enhanced_image_has_the_header_of_its_frame(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    path = save(enhanced(make_ct(), order=[3, 0, 5, 1, 4, 2]), tmp_path / "enhanced.dcm")
    headers = read_volume(path).provenance.headers
    assert [int(header.ReferencedFrameNumber) for header in headers] == [2, 4, 6, 1, 5, 3]
    heights = [float(header.ImagePositionPatient[2]) for header in headers]
    assert heights == [-12 + 2.5 * k for k in range(6)]


def test_what_a_converter_left_over_does_not_count_before_the_groups(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    image = enhanced(make_ct())
    left = item(PixelSpacing=[9, 9], SliceThickness=9)
    image.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [left]
    volume = read_volume(save(image, tmp_path / "left.dcm"))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)


def test_frames_of_one_place_are_counted_not_mixed(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    image = enhanced(make_ct())
    places = [frame.PlanePositionSequence for frame in image.PerFrameFunctionalGroupsSequence]
    for frame, place in zip(image.PerFrameFunctionalGroupsSequence[3:], places, strict=False):
        frame.PlanePositionSequence = place
    path = save(image, tmp_path / "phases.dcm")
    with pytest.raises(VolumeError, match=r"same place, 1 and 4 \(and 2 more such pairs\)"):
        read_volume(path)


def drop_a_frame(image: Dataset) -> None:
    image.PerFrameFunctionalGroupsSequence = image.PerFrameFunctionalGroupsSequence[:-1]


def drop_frames(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence


def turn_a_frame(image: Dataset) -> None:
    turned = item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    image.PerFrameFunctionalGroupsSequence[4].PlaneOrientationSequence = [turned]


def move_a_frame(image: Dataset) -> None:
    place = image.PerFrameFunctionalGroupsSequence[5].PlanePositionSequence[0]
    place.ImagePositionPatient = [-90, -30, 8]


def lose_a_place(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def say_perfusion(image: Dataset) -> None:
    kind = item(FrameType=["DERIVED", "PRIMARY", "PERFUSION", "RCBF"])
    image.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence = [kind]


def say_other_units(image: Dataset) -> None:
    units = item(CodeValue="ml/100ml/s", CodingSchemeDesignator="UCUM")
    mapping = item(MeasurementUnitsCodeSequence=[units])
    image.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [mapping]


def many(image: Dataset) -> None:
    image.NumberOfFrames = 2**31 - 1


def fewer_pixels(image: Dataset) -> None:
    image.PixelData = image.PixelData[: -2 * image.Rows * image.Columns]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (drop_a_frame, "declares 6 frames and describes 5"),
        (drop_frames, "holds 6 frames and does not say where"),
        (many, "declares 2147483647 frames and describes 6"),
        (fewer_pixels, "truncated: 1680 bytes of 2016"),
        (turn_a_frame, r"several directions \(1 and 5\)"),
        (move_a_frame, "uneven slices"),
        (lose_a_place, "no valid ImagePositionPatient"),
        (say_perfusion, "holds RCBF, not HU"),
        (say_other_units, "holds ml/100ml/s, not HU"),
    ],
)
def test_frames_that_do_not_add_up_are_refused(
    tmp_path: Path, make_ct: Callable[..., Array], spoil: Callable[[Dataset], None], says: str
) -> None:
    image = enhanced(make_ct())
    spoil(image)
    path = save(image, tmp_path / "bad.dcm")
    with pytest.raises(VolumeError, match=says) as caught:
        read_volume(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_compressed_frames_are_counted(tmp_path: Path, make_ct: Callable[..., Array]) -> None:
    image = enhanced(make_ct())
    image.compress(RLELossless)
    drop_a_frame(image)
    image.NumberOfFrames = 5
    with pytest.raises(VolumeError, match="declares 5 frames and holds 6"):
        read_volume(save(image, tmp_path / "six.dcm"))


def test_the_frames_of_several_files_make_one_stack(
    tmp_path: Path, make_ct: Callable[..., Array]
) -> None:
    array = make_ct()
    parts = [enhanced(array, order=[4, 5]), enhanced(array, order=[2, 0, 1, 3])]
    parts[1].SeriesInstanceUID = parts[0].SeriesInstanceUID
    for number, part in enumerate(parts):
        save(part, tmp_path / "scan" / f"part{number}.dcm")
    volume = read_volume(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)


def test_a_legacy_converted_series_is_the_series_it_was_made_of(
    tmp_path: Path, make_ct: Callable[..., Array], write_series: Callable[..., list[Path]]
) -> None:
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    def complete(dataset: Any, k: int) -> None:
        dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "A^B", "", "O"
        dataset.StudyID, dataset.AccessionNumber, dataset.Manufacturer = "1", "", "M"
        dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "", "", ""
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "1.2.3", ""
        dataset.PatientPosition, dataset.RescaleType = "HFS", "HU"
        dataset.file_meta.ImplementationClassUID = "1.2.3"

    paths = write_series(tmp_path / "s", make_ct(), AFFINE, change=complete)
    converted = LegacyConvertedEnhancedCTImage(
        [pydicom.dcmread(path) for path in paths], generate_uid(), 9, generate_uid(), 1
    )
    path = tmp_path / "legacy" / "all.dcm"
    path.parent.mkdir()
    converted.save_as(path)
    volume, plain = read_volume(path), read_volume(tmp_path / "s")
    np.testing.assert_array_equal(volume.array, plain.array)
    np.testing.assert_allclose(volume.affine, plain.affine, atol=1e-6)


def test_a_perfusion_map_is_no_ct(real_data: Path) -> None:
    path = real_data / "cornerstone" / "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm"
    with pytest.raises(VolumeError, match="holds RCBF, not HU"):
        read_volume(path)
