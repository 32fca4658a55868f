from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import (
    Need,
    Reference,
    Scan,
    TissueTable,
    make_region,
    make_scan,
    slices_like,
)
from medcyclegan.volume import Labels, Volume

AXIAL = np.diag([-3.0, -2.0, 5.0, 1.0])
WINDOW = Window(-200, 600)


def places(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_thick_tissue_is_measured_without_its_rim_in_the_slice() -> None:
    mask = np.zeros((3, 20, 20), bool)
    mask[:, 4:14, 4:14] = True
    core = np.zeros(mask.shape, bool)
    core[:, 5:13, 5:13] = True  # no slice is lost
    region = make_region(mask)
    assert region.core.tolist() == places(core)
    assert region.rim.tolist() == places(mask & ~core)


def test_thin_tissue_is_measured_whole_and_has_no_rim() -> None:
    mask = np.zeros((3, 20, 20), bool)
    mask[:, 4:14, 4:6] = True
    region = make_region(mask)
    assert region.core.tolist() == places(mask)
    assert not len(region.rim)


@pytest.mark.parametrize(("width", "whole"), [(3, False), (2, True)])
def test_a_core_under_22_percent_of_the_tissue_is_too_small(width: int, whole: bool) -> None:
    mask = np.zeros((10, 20, 20), bool)
    mask[:, 4:14, 4 : 4 + width] = True  # the core of 3 columns is 8 of 30 voxels, 27 %
    assert bool(len(make_region(mask).core) == np.count_nonzero(mask)) is whole


def test_a_core_under_30_voxels_is_too_small() -> None:
    mask = np.zeros((1, 20, 20), bool)
    mask[:, 4:11, 4:11] = True  # core: 25 of 49
    assert len(make_region(mask).core) == 49
    mask[:, 4:12, 4:12] = True  # core: 36 of 64
    assert len(make_region(mask).core) == 36


def test_the_edge_of_the_picture_is_no_rim() -> None:
    assert len(make_region(np.ones((3, 20, 20), bool)).core) == 1200


def test_tissues_may_be_of_several_labels_and_absent_ones_are_left_out() -> None:
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[:, 4:9, 4:14], labels[:, 9:14, 4:14] = 3, 4
    table = TissueTable({"kidneys": (3, 4), "spleen": (9,)}, {"fat": (0,), "bone": (8,)})
    scan = Scan(np.zeros(labels.shape, np.float32), (5.0, 2.0, 3.0), labels)
    reference = Reference("p", scan, WINDOW, table)
    assert {name: len(region.core) for name, region in reference.organs.items()} == {
        "kidneys": 3 * 64
    }
    assert list(reference.null_tissues) == ["fat"]
    unlabelled = Reference("p", Scan(scan.hu, scan.spacing_mm), WINDOW, table)
    assert unlabelled.organs == unlabelled.null_tissues == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_slices_are_the_same_whatever_the_order_of_the_file(order: tuple[int, int, int]) -> None:
    array = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
    affine = np.eye(4)
    affine[:3, :3] = AXIAL[:3, :3][:, order]
    volume = Volume(array.transpose(order), affine)
    scan = make_scan(volume, Labels(volume.array, affine))
    np.testing.assert_array_equal(scan.hu, array.transpose(2, 1, 0))
    assert scan.labels is not None
    np.testing.assert_array_equal(scan.labels, array.transpose(2, 1, 0))
    assert scan.hu.dtype == np.float32
    assert scan.hu.flags.c_contiguous
    assert scan.labels.flags.c_contiguous
    assert scan.spacing_mm == (5.0, 2.0, 3.0)
    np.testing.assert_array_equal(slices_like(volume, volume), scan.hu)


def test_other_shapes_are_refused() -> None:
    volume, other = (Volume(np.zeros((4, 4, n), np.float32), np.eye(4)) for n in (2, 3))
    with pytest.raises(GeometryError, match=r"\(4, 4, 2\), \(4, 4, 3\)"):
        slices_like(other, volume)
    with pytest.raises(GeometryError, match=r"\(4, 4, 2\), \(4, 4, 3\)"):
        make_scan(volume, Labels(other.array, other.affine))


def test_what_is_known_of_a_patient() -> None:
    hu = np.zeros((1, 4, 4), np.float32)
    needs: list[Need] = ["labels", "truth", "second", "dose", "targets"]
    bare = Reference("p", Scan(hu, (1, 1, 1)), WINDOW)
    assert not any(bare.has(need) for need in needs)
    labelled = Scan(hu, (1, 1, 1), np.zeros(hu.shape, np.uint8))
    full = Reference(
        "p", labelled, WINDOW, truth=hu, second=hu, dose=1.0, targets=[Scan(hu, (1, 1, 1))]
    )
    assert all(full.has(need) for need in needs)


def test_the_body_is_found_once_and_holds_its_air() -> None:
    hu = np.full((1, 30, 30), -1000, np.float32)
    hu[:, 5:25, 5:25] = 40
    hu[:, 10:15, 10:15] = -1000  # gas inside
    scan = Scan(hu, (1, 1, 1))
    assert scan.body is scan.body
    assert scan.body[0, 12, 12]
    assert not scan.body[0, 2, 2]
