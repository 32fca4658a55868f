"""DICOM segmentations on the grid of their image; those tried here are written by highdicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from medcyclegan.errors import GeometryError, InputError, VolumeError
from medcyclegan.io import read_labels, read_volume
from medcyclegan.volume import Volume

Array = npt.NDArray[Any]
SHAPE = (13, 11, 5)  # 143 pixels a frame: frames of bits do not begin at a byte
TURN = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # a quarter in plane
TILTED = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])
NAMES = {1: "liver", 2: "left kidney", 3: "tumour"}


@pytest.fixture
def image(tmp_path: Path, make_ct: Any, write_series: Any) -> Volume:
    """An oblique CT series."""
    affine = np.diag([-0.8, -0.7, 3.0, 1.0])
    affine[:3, :3] = TILTED @ affine[:3, :3]
    affine[:3, 3] = 30, 20, -50
    write_series(tmp_path / "ct", make_ct(SHAPE), affine, change=_with_frame_of_reference)
    return read_volume(tmp_path / "ct")


def _with_frame_of_reference(dataset: Any, k: int) -> None:
    dataset.FrameOfReferenceUID = "1.2.3.4"
    dataset.PatientName = "Planted^Name"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = ""
    dataset.StudyID = dataset.StudyDate = dataset.StudyTime = ""


def regions(seed: int = 0) -> Array:
    """Return three regions apart from each other, (I, J, K), 0 where there is none."""
    values = np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint8)
    values[:, :, 1] = 0  # a slice without any: its frames are left out
    return values


def write_seg(
    folder: Path,
    values: Array,
    *,
    kind: str = "BINARY",
    stack: Array | None = None,
    names: dict[int, str] = NAMES,
    change: Callable[[Any], None] | None = None,
) -> Path:
    """Write `values`, or `stack` (K, J, I, segment), as segments of the series in folder/ct."""
    from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
    from highdicom.sr.coding import CodedConcept

    sources = [pydicom.dcmread(path) for path in sorted((folder / "ct").iterdir())]
    sources.sort(key=lambda one: int(one.InstanceNumber))
    organ = CodedConcept("85756007", "SCT", "Tissue")
    segments = [
        SegmentDescription(
            number, name, organ, organ, SegmentAlgorithmTypeValues.MANUAL, tracking_uid=None
        )
        for number, name in names.items()
    ]
    planes = values.transpose(2, 1, 0)
    if kind != "LABELMAP" and stack is None:
        stack = np.stack([planes == number for number in names], axis=-1).astype(np.uint8)
    segmentation = Segmentation(
        sources,
        planes if stack is None else stack,
        kind,
        segments,
        "1.2.3.5",
        9,
        "1.2.3.6",
        1,
        "maker",
        "model",
        "1",
        "0",
    )
    if change is not None:
        change(segmentation)
    segmentation.save_as(folder / "seg.dcm")
    return folder / "seg.dcm"


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_regions_lie_where_they_were_drawn_with_their_names(
    tmp_path: Path, image: Volume, kind: str
) -> None:
    values = regions()
    labels = read_labels(write_seg(tmp_path, values, kind=kind), image)
    assert np.array_equal(labels.array, values)
    assert labels.array.dtype == np.uint8
    assert np.array_equal(labels.affine, image.affine)
    assert labels.names == NAMES
    assert labels.warnings == ()


def test_slices_of_rounded_places_have_their_regions(
    tmp_path: Path, make_ct: Any, write_series: Any
) -> None:
    def rounded(dataset: Any, k: int) -> None:
        _with_frame_of_reference(dataset, k)
        dataset.ImagePositionPatient = [round(float(mm), 1) for mm in dataset.ImagePositionPatient]

    affine = np.diag([-0.8, -0.7, 1.25, 1.0])
    write_series(tmp_path / "ct", make_ct(SHAPE), affine, change=rounded)
    values = regions()
    labels = read_labels(write_seg(tmp_path, values), read_volume(tmp_path / "ct"))
    assert np.array_equal(labels.array, values)


@pytest.mark.parametrize(
    ("syntax", "encoder"),
    [
        ("1.2.840.10008.1.2", ""),  # implicit VR
        ("1.2.840.10008.1.2.1.99", ""),  # deflated
        ("1.2.840.10008.1.2.5", "pydicom"),  # run lengths
        ("1.2.840.10008.1.2.4.80", "pyjpegls"),  # JPEG-LS
    ],
)
def test_label_maps_in_other_transfer_syntaxes(
    tmp_path: Path, image: Volume, syntax: str, encoder: str
) -> None:
    values = regions()
    path = write_seg(tmp_path, values, kind="LABELMAP")
    dataset = pydicom.dcmread(path)
    if encoder:
        dataset.compress(syntax, encoding_plugin=encoder)
    else:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.save_as(path, enforce_file_format=True)
    assert np.array_equal(read_labels(path, image).array, values)


def test_the_image_may_have_its_axes_in_any_order(tmp_path: Path, image: Volume) -> None:
    values = regions()
    path = write_seg(tmp_path, values)
    for order in [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)]:
        for flips in [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)]:
            turned = (slice(None, None, flip) for flip in flips)
            where = tuple(turned)
            affine = image.affine.copy()
            corner = [0 if flip > 0 else n - 1 for flip, n in zip(flips, SHAPE, strict=True)]
            affine[:, 3] = image.affine @ [*corner, 1]
            affine[:3, :3] = (image.affine[:3, :3] * flips)[:, order]
            like = Volume(image.array[where].transpose(order), affine)
            labels = read_labels(path, like)
            assert np.array_equal(labels.array, values[where].transpose(order))
            assert np.array_equal(labels.affine, affine)


def test_frames_lie_where_they_say_whatever_their_order(tmp_path: Path, image: Volume) -> None:
    def reverse(dataset: Any) -> None:
        frames = dataset.pixel_array[::-1]
        bits = np.packbits(frames.reshape(-1), bitorder="little").tobytes()
        dataset.PixelData = bits + b"\0" * (len(bits) % 2)
        groups = list(dataset.PerFrameFunctionalGroupsSequence)
        dataset.PerFrameFunctionalGroupsSequence = groups[::-1]

    values = regions()
    path = write_seg(tmp_path, values, change=reverse)
    assert np.array_equal(read_labels(path, image).array, values)


def test_the_padding_of_a_label_map_is_background(tmp_path: Path, image: Volume) -> None:
    def pad(dataset: Any) -> None:
        dataset.PixelData = dataset.PixelData.replace(b"\0", b"\xff")
        dataset.PixelPaddingValue = 255

    path = write_seg(tmp_path, regions(), kind="LABELMAP", change=pad)
    assert np.array_equal(read_labels(path, image).array, regions())


def test_one_frame_is_a_segmentation_too(tmp_path: Path, image: Volume) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[2:5, 3:9, 2] = 1
    path = write_seg(tmp_path, values, names={1: "liver"})
    assert pydicom.dcmread(path).NumberOfFrames == 1
    assert np.array_equal(read_labels(path, image).array, values)


def test_of_segments_that_overlap_the_later_is_kept_and_said(tmp_path: Path, image: Volume) -> None:
    stack = np.zeros((*SHAPE[::-1], 3), np.uint8)
    stack[2, 3:7, 2:6, 0] = 1
    stack[2, 5:9, 4:8, 1] = 1
    path = write_seg(tmp_path, regions(), stack=stack)
    labels = read_labels(path, image)
    assert labels.array[4, 5, 2] == 2
    assert (labels.array == 1).sum() == 12
    assert labels.warnings == (
        "liver and left kidney overlap in 4 voxels: left kidney there",
        "tumour holds no voxel",
    )
    assert labels.names == NAMES


def test_names_that_say_who_the_patient_is_are_left_out(tmp_path: Path, image: Volume) -> None:
    names = {1: "liver of Planted", 2: "gtv PLANTED-ID", 3: "tumour", 4: "tumour", 5: "x" * 64}
    labels = read_labels(write_seg(tmp_path, regions(), names=names), image)
    assert labels.names == {1: "roi_1", 2: "roi_2", 3: "tumour", 4: "tumour_4", 5: "x" * 64}


def refused(path: Path, image: Volume, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_labels(path, image)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_another_frame_of_reference_is_refused(tmp_path: Path, image: Volume) -> None:
    def elsewhere(dataset: Any) -> None:
        dataset.FrameOfReferenceUID = "1.2.3.40"

    path = write_seg(tmp_path, regions(), change=elsewhere)
    refused(path, image, GeometryError, r"frame of reference .*1\.2\.3\.40, not .*1\.2\.3\.4\)")


@pytest.mark.parametrize(("share", "fits"), [(0.005, True), (0.02, False), (1.0, False)])
def test_a_grid_off_the_images_is_refused_with_the_numbers(
    tmp_path: Path, image: Volume, share: float, fits: bool
) -> None:
    def move(dataset: Any) -> None:
        frames = dataset.PerFrameFunctionalGroupsSequence
        places = {id(place): place for one in frames for place in one.PlanePositionSequence}
        for place in places.values():
            place.ImagePositionPatient = [
                str(round(float(one) + step, 8))
                for one, step in zip(
                    place.ImagePositionPatient,
                    image.affine[:3, 0] * share * [-1, -1, 1],
                    strict=True,
                )
            ]

    path = write_seg(tmp_path, regions(), change=move)
    if fits:
        assert np.array_equal(read_labels(path, image).array, regions())
    elif share < 0.5:
        refused(path, image, GeometryError, r"frame 1 lies 0\.02 voxels off its volume's grid")
    else:
        refused(path, image, GeometryError, "frame 1 reaches 1 voxels outside its volume")


def test_another_pixel_spacing_is_refused(tmp_path: Path, image: Volume) -> None:
    def widen(dataset: Any) -> None:
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.PixelSpacing = [0.7, 0.8 * 1.002]

    path = write_seg(tmp_path, regions(), change=widen)
    refused(path, image, GeometryError, r"lies 0\.024 voxels off")


def _drop(name: str) -> Callable[[Any], None]:
    return lambda dataset: delattr(dataset, name)


def _put(name: str, value: Any) -> Callable[[Any], None]:
    return lambda dataset: setattr(dataset, name, value)


def _probabilities(dataset: Any) -> None:
    dataset.PixelData = b"\x40" + dataset.PixelData[1:]


def _unknown_segment(dataset: Any) -> None:
    groups = dataset.PerFrameFunctionalGroupsSequence[0]
    groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9


def _no_place(dataset: Any) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence


def _not_a_number(dataset: Any) -> None:
    position = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    position.ImagePositionPatient = ["1", "1", "1e308"]


def _no_plane(dataset: Any) -> None:
    plane = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def _no_spacing(dataset: Any) -> None:
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0, 1]


def _twice(dataset: Any) -> None:
    dataset.SegmentSequence[1].SegmentNumber = 1


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("BINARY", _drop("PixelData"), "0 bytes of pixels where its header declares 215"),
        ("BINARY", _put("PixelData", b"\0" * 100), "100 bytes of pixels"),
        ("BINARY", _put("PixelData", b"\0" * 400), "400 bytes of pixels"),
        ("BINARY", _put("NumberOfFrames", 2**30), "frames and describes 12"),
        ("BINARY", _put("Rows", 60000), "reaches .* voxels outside its volume"),
        ("BINARY", _drop("Rows"), "has no Rows"),
        ("BINARY", _put("SegmentSequence", []), "holds no region"),
        ("BINARY", _put("SegmentationType", "SURFACE"), "unknown type 'SURFACE'"),
        ("BINARY", _put("Columns", 0), "declares 11 x 0 pixels"),
        ("BINARY", _no_plane, "columns and rows of frame 1 in one direction"),
        ("BINARY", _no_spacing, "does not say where its frame 1 lies"),
        ("BINARY", _twice, "has segment 1 twice"),
        ("BINARY", _unknown_segment, "does not name the segment that its frame 1 shows"),
        ("BINARY", _no_place, "does not say where its frame 2 lies"),
        ("BINARY", _not_a_number, "off its volume's grid"),
        ("FRACTIONAL", _probabilities, "holds probabilities"),
        ("FRACTIONAL", _drop("MaximumFractionalValue"), "has no MaximumFractionalValue"),
        ("LABELMAP", _put("PixelData", b"\7" * 572), "shows segment 7, which it does not name"),
        ("LABELMAP", _put("PixelData", b"\0" * 570), "truncated: 570 bytes of 572"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, image: Volume, kind: str, change: Callable[[Any], None], message: str
) -> None:
    path = write_seg(tmp_path, regions(), kind=kind, change=change)
    refused(path, image, VolumeError, message)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_segmentation_cut_short_anywhere_is_refused(
    tmp_path: Path, image: Volume, kind: str
) -> None:
    path = write_seg(tmp_path, regions(), kind=kind)
    whole = path.read_bytes()
    for length in [*range(1, len(whole), 79), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path, image, VolumeError, str(path))


def test_files_that_are_no_labels_are_refused(tmp_path: Path, image: Volume) -> None:
    refused(next((tmp_path / "ct").iterdir()), image, VolumeError, "is no label file; give NIfTI")
    (tmp_path / "note").write_text("liver")
    refused(tmp_path / "note", image, VolumeError, "is no label file")
    with pytest.raises(InputError, match="needs the image that it was drawn on"):
        read_labels(write_seg(tmp_path, regions()))
