"""DICOM RTSTRUCT: contours filled on the grid of their image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from pydicom.uid import UID, RTStructureSetStorage

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io import read_labels, read_volume
from medcyclegan.io.dicom.contours import inside
from medcyclegan.volume import Volume, grid_distance_voxels

Array = npt.NDArray[Any]
SHAPE = (20, 16, 6)
TILTED = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])
FRAME = "1.2.3.4"


@pytest.fixture
def image(tmp_path: Path, make_ct: Any, write_series: Any) -> Volume:
    """An oblique CT series."""

    def change(dataset: Any, k: int) -> None:
        dataset.FrameOfReferenceUID = FRAME

    affine = np.diag([-0.8, -0.7, 3.0, 1.0])
    affine[:3, :3] = TILTED @ affine[:3, :3]
    affine[:3, 3] = 30, 20, -50
    write_series(tmp_path / "ct", make_ct(SHAPE), affine, change=change)
    return read_volume(tmp_path / "ct")


def box(low: tuple[float, float], high: tuple[float, float], k: float) -> Array:
    """Return a rectangle on slice k, (4, 3), voxels."""
    (a, b), (c, d) = low, high
    return np.array([[a, b, k], [c, b, k], [c, d, k], [a, d, k]])


def write_rtstruct(
    path: Path,
    like: Volume,
    regions: Sequence[tuple[int, str, Sequence[Array]]],
    *,
    kind: str = "CLOSED_PLANAR",
    change: Callable[[Any], None] | None = None,
) -> Path:
    """Write regions, each ROI number, name and contours (points, 3) in voxels of `like`."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.9")
    dataset.Modality, dataset.PatientName, dataset.PatientID = "RTSTRUCT", "Planted^Name", "ID77"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, name, contours in regions:
        roi, drawn = pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber = drawn.ReferencedROINumber = number
        roi.ROIName, roi.ReferencedFrameOfReferenceUID = name, FRAME
        drawn.ContourSequence = [_contour(points, like, kind) for points in contours]
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(drawn)
    if change is not None:
        change(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _contour_mm(points: Array, like: Volume) -> Array:
    mm: Array = (points @ like.affine[:3, :3].T + like.affine[:3, 3]) * [-1, -1, 1]
    return mm


def _contour(points: Array, like: Volume, kind: str) -> Any:
    contour = pydicom.Dataset()
    mm = _contour_mm(points, like)
    contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
    contour.ContourData = [f"{value:.6f}" for value in mm.ravel()]
    return contour


def test_a_voxel_is_inside_where_its_centre_is(tmp_path: Path, image: Volume) -> None:
    liver = [box((2.5, 3.5), (8.5, 10.4), k) for k in (1, 2, 3)]
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", liver)])
    labels = read_labels(path, image)
    truth = np.zeros(SHAPE, np.uint8)
    truth[3:9, 4:11, 1:4] = 1
    assert np.array_equal(labels.array, truth)
    assert labels.array.dtype == np.uint8
    assert np.array_equal(labels.affine, image.affine)
    assert (labels.names, labels.warnings) == ({1: "liver"}, ())


def test_slices_of_rounded_places_have_their_contours(
    tmp_path: Path, make_ct: Any, write_series: Any
) -> None:
    places = [0.0, 1.2, 2.5, 3.8, 5.0, 6.2]  # 1.25 mm apart, rounded

    def rounded(dataset: Any, k: int) -> None:
        dataset.FrameOfReferenceUID = FRAME
        dataset.ImagePositionPatient = [0, 0, places[k]]

    write_series(tmp_path / "ct", make_ct(SHAPE), np.diag([-1, -1, 1.25, 1.0]), change=rounded)
    image = read_volume(tmp_path / "ct")
    step = image.affine[2, 2]
    drawn = [box((2.5, 3.5), (8.5, 10.4), place / step) for place in places]
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", drawn)])
    assert read_labels(path, image).array.any(axis=(0, 1)).all()
    drawn[3] = drawn[3] + [0, 0, 0.02]
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", drawn)])
    with pytest.raises(GeometryError, match=r"contour 4 of liver lies 0.02 voxels off"):
        read_labels(path, image)


def test_the_image_may_have_its_axes_in_another_order(tmp_path: Path, image: Volume) -> None:
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", [box((2.5, 3.5), (8.5, 9.5), 4)])])
    truth = read_labels(path, image).array
    for order in [(1, 0, 2), (2, 0, 1), (0, 2, 1)]:
        affine = image.affine[:, [*order, 3]]
        like = Volume(image.array.transpose(order), affine)
        assert np.array_equal(read_labels(path, like).array, truth.transpose(order))


def test_a_contour_too_long_for_its_type_is_read(tmp_path: Path, image: Volume) -> None:
    """More than 64 KB of text, which are written as bytes of unknown type."""
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False) + 1e-4
    circle = np.c_[9 + 5 * np.cos(angle), 7 + 5 * np.sin(angle), np.full(4000, 2)]

    def lengthen(dataset: Any) -> None:
        text = "\\".join(f"{value:.6f}" for value in _contour_mm(circle, image).ravel())
        assert len(text) > 2**16
        drawn = _first(dataset)
        drawn["ContourData"] = pydicom.DataElement("ContourData", "UN", text.encode())
        drawn.NumberOfContourPoints = 4000

    regions = [(1, "liver", [box((2, 2), (8, 8), 2)])]
    path = write_rtstruct(tmp_path / "rs", image, regions, change=lengthen)
    i, j = np.ogrid[:20, :16]
    squares = (i - 9) ** 2 + (j - 7) ** 2
    labels = read_labels(path, image)
    assert np.array_equal(labels.array[:, :, 2][squares != 25] == 1, (squares < 25)[squares != 25])
    path.write_bytes(path.read_bytes().replace(b"1\\", b"x\\"))
    refused(path, image, VolumeError, "points are no numbers")


def test_a_contour_in_a_contour_is_a_hole(tmp_path: Path, image: Volume) -> None:
    rings = [box((2.5, 2.5), (12.5, 12.5), 2), box((5.5, 5.5), (8.5, 8.5), 2)]
    twice = [*rings, rings[0]]  # drawn twice by mistake: still one ring
    keyhole = np.concatenate([rings[0][:1], rings[0][1:], rings[0][:1], rings[1], rings[1][:1]])
    for contours in (rings, twice, [keyhole]):
        path = write_rtstruct(tmp_path / "rs", image, [(1, "wall", contours)])
        labels = read_labels(path, image)
        assert (labels.array == 1).sum() == 100 - 9
        assert not labels.array[6:9, 6:9].any()


def test_values_go_by_roi_number_and_empty_regions_keep_their_name(
    tmp_path: Path, image: Volume
) -> None:
    regions = [
        (30, "kidney", [box((2.5, 2.5), (6.5, 6.5), 1)]),
        (7, "liver", [box((10.5, 2.5), (14.5, 6.5), 1)]),
        (12, "nothing", []),
        (40, "small", [box((3.1, 9.1), (3.4, 9.4), 2)]),
    ]
    labels = read_labels(write_rtstruct(tmp_path / "rs", image, regions), image)
    assert labels.names == {1: "liver", 2: "nothing", 3: "kidney", 4: "small"}
    assert labels.array[12, 4, 1] == 1
    assert labels.array[4, 4, 1] == 3
    assert labels.warnings == ("nothing holds no voxel", "small holds no voxel")


def test_of_regions_that_overlap_the_later_is_kept_and_said(tmp_path: Path, image: Volume) -> None:
    regions = [
        (1, "liver", [box((2.5, 2.5), (8.5, 8.5), 1)]),
        (2, "tumour", [box((4.5, 4.5), (6.5, 9.5), 1)]),
    ]
    labels = read_labels(write_rtstruct(tmp_path / "rs", image, regions), image)
    assert labels.array[5, 5, 1] == 2
    assert labels.warnings == ("liver and tumour overlap in 8 voxels: tumour there",)


def test_gaps_and_open_contours_are_said(tmp_path: Path, image: Volume) -> None:
    liver = [box((2.5, 2.5), (8.5, 8.5), k) for k in (0, 2, 5)]

    def open_one(dataset: Any) -> None:
        (drawn,) = dataset.ROIContourSequence
        drawn.ContourSequence.append(_contour(liver[0][:1], image, "POINT"))

    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", liver)], change=open_one)
    assert read_labels(path, image).warnings == (
        "liver is not drawn on 3 slices between others",
        "liver has 1 points or open contours, which enclose nothing",
    )


def test_names_that_say_who_the_patient_is_are_left_out(tmp_path: Path, image: Volume) -> None:
    names = ["GTV planted", "ptv_ID77", "liver", "liver"]
    regions = [(n, name, [box((2.5, 2.5), (8.5, 8.5), n)]) for n, name in enumerate(names, 1)]
    labels = read_labels(write_rtstruct(tmp_path / "rs", image, regions), image)
    assert labels.names == {1: "roi_1", 2: "roi_2", 3: "liver", 4: "liver_4"}


def refused(path: Path, image: Volume, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_labels(path, image)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("contour", "message"),
    [
        (box((2, 2), (8, 8), 2.02), r"contour 1 of liver lies 0\.02 voxels off"),
        (box((2, 2), (8, 8), 2.5), r"contour 1 of liver lies 0\.5 voxels off"),
        (box((2, 2), (8, 8), 2) + [[0, 0, 0.3]] + np.eye(4)[:, [0, 0, 0]], "voxels off its vol"),
        (box((2, 2), (8, 8), 6), "contour 1 of liver reaches 0.5 voxels outside its volume"),
        (box((2, 2), (8, 8), -1), "reaches 0.5 voxels outside its volume"),
        (box((2, 2), (19.75, 8), 2), "reaches 0.25 voxels outside its volume"),
        (box((2, -3), (8, 8), 2), "reaches 2.5 voxels outside its volume"),
    ],
)
def test_contours_off_the_grid_are_refused_with_the_numbers(
    tmp_path: Path, image: Volume, contour: Array, message: str
) -> None:
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", [contour])])
    refused(path, image, GeometryError, message)


def test_contours_nearly_on_the_grid_are_read(tmp_path: Path, image: Volume) -> None:
    nearly = box((-0.5, 2.5), (8.5, 8.5), 2.004)
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", [nearly])])
    assert (read_labels(path, image).array == 1).sum() == 9 * 6


def _first(dataset: Any) -> Any:
    return dataset.ROIContourSequence[0].ContourSequence[0]


def _put_frame(dataset: Any) -> None:
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3.40"


def _put_data(*values: str) -> Callable[[Any], None]:
    return lambda dataset: setattr(_first(dataset), "ContourData", list(values))


def _put_number(number: int) -> Callable[[Any], None]:
    return lambda dataset: setattr(dataset.StructureSetROISequence[1], "ROINumber", number)


def _put_points(dataset: Any) -> None:
    _first(dataset).NumberOfContourPoints = 5


def _put_kind(dataset: Any) -> None:
    _first(dataset).ContourGeometricType = "CLOSED"


def _no_regions(dataset: Any) -> None:
    del dataset.StructureSetROISequence, dataset.ROIContourSequence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put_frame, r"another frame of reference .*1\.2\.3\.40, not .*1\.2\.3\.4\)"),
        (_put_data("1", "2"), "points are no finite triples"),
        (_put_data("1", "2", "1e999"), "points are no finite triples"),
        (_put_data(*["1e308", "1e308", "1"] * 4), "voxels o(ff|utside) its volume"),
        (_put_kind, "contour of unknown type 'CLOSED'"),
        (_put_points, "declares 5 points of a contour and holds 4"),
        (_put_number(1), "has ROI number 1 twice"),
        (_put_number(9), "draws ROI number 2, which it does not name"),
        (_no_regions, "holds no contour"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, image: Volume, change: Callable[[Any], None], message: str
) -> None:
    regions = [(n, f"region {n}", [box((2, 2), (8, 8), n)]) for n in (1, 2)]
    path = write_rtstruct(tmp_path / "rs", image, regions, change=change)
    refused(path, image, VolumeError, message)


@pytest.mark.parametrize("undefined_lengths", [False, True])
def test_a_structure_set_cut_short_anywhere_is_refused(
    tmp_path: Path, image: Volume, undefined_lengths: bool
) -> None:
    def change(dataset: Any) -> None:
        for below in (dataset, *dataset.ROIContourSequence):
            for element in below:
                element.is_undefined_length = undefined_lengths and element.VR == "SQ"

    regions = [(n, f"region {n}", [box((2, 2), (8, 8), k) for k in range(3)]) for n in (1, 2)]
    path = write_rtstruct(tmp_path / "rs", image, regions, change=change)
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path, image, VolumeError, str(path))


def test_a_sequence_shorter_than_it_says_is_refused(tmp_path: Path, image: Volume) -> None:
    path = write_rtstruct(tmp_path / "rs", image, [(1, "liver", [box((2, 2), (8, 8), 1)])])
    whole = bytearray(path.read_bytes())
    length_at = whole.rindex(b"\x06\x30\x40\x00SQ\x00\x00") + 8  # of ContourSequence
    whole[length_at + 1] += 1
    path.write_bytes(whole)
    refused(path, image, VolumeError, "is truncated")


corners = st.lists(
    st.tuples(st.floats(-0.5, 11.49), st.floats(-0.5, 8.49)), min_size=3, max_size=30
)


@given(corners)
def test_filling_agrees_with_an_independent_one(points: list[tuple[float, float]]) -> None:
    """Away from edges it is matplotlib's; of polygons that cross themselves, by parity."""
    polygon = np.array(points)
    ours = inside([polygon], (12, 9))
    centres = np.argwhere(np.ones((12, 9), bool)).astype(float)
    parity = np.zeros(len(centres), int)
    for first in range(1, len(polygon) - 1):  # a fan of triangles has the polygon's parity
        triangle = Outline(polygon[[0, first, first + 1, 0]], closed=True)
        parity += triangle.contains_points(centres)
    near = np.zeros(len(centres), bool)
    for first in range(1, len(polygon)):
        for a, b in ((0, first), (first - 1, first)):
            near |= _distance(centres, polygon[a], polygon[b]) < 1e-6
    assert ((parity % 2 == 1) == ours.ravel())[~near].all()


def _distance(points: Array, a: Array, b: Array) -> Array:
    along = b - a
    share = ((points - a) @ along / max(along @ along, 1e-30)).clip(0, 1)
    distances: Array = np.linalg.norm(points - a - share[:, None] * along, axis=1)
    return distances


def test_regions_that_share_an_edge_share_no_voxel_and_leave_none() -> None:
    left = np.array([[0, 0], [0, 4], [8, 4], [8, 0.0]])
    right = np.array([[0, 4], [0, 8], [8, 8], [8, 4.0]])
    both = inside([left], (9, 9)).astype(int) + inside([right], (9, 9))
    assert (both[:8, :8] == 1).all()
    assert both.sum() == 64


def test_a_drawn_tumour_equals_its_mask_of_another_program(real_data: Path) -> None:
    """The voxel mask of the data set was made from the same structure set by MIRP."""
    folder = real_data / "ibsi_sts"
    ct = read_volume(folder / "dicom" / "STS_002" / "CT" / "image")
    drawn = read_labels(folder / "dicom" / "STS_002" / "CT" / "mask" / "RS.dcm", ct)
    mask = read_labels(folder / "nifti" / "STS_002" / "CT_mask.nii.gz")
    assert grid_distance_voxels(ct.affine, mask.affine, ct.array.shape) < 1e-3
    assert np.array_equal(drawn.array, mask.array)
    assert drawn.names == {1: "GTV_Mass_CT"}
