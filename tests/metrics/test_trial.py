from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.metrics import make_regions, make_trial
from medcyclegan.volume import Labels, Volume

AXIAL = np.diag([-3.0, -3.0, 5.0, 1.0])


def test_thick_tissue_is_measured_without_its_rim_in_the_slice() -> None:
    labels = np.zeros((20, 20, 3), np.uint8)
    labels[4:14, 4:14, :] = 7
    core = make_regions(Labels(labels, AXIAL), {"liver": (7,)})["liver"]
    wanted = np.zeros(labels.shape, bool)
    wanted[5:13, 5:13, :] = True  # no slice is lost
    np.testing.assert_array_equal(core, wanted)


def test_the_slice_is_found_in_any_axis_order() -> None:
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[:, 4:14, 4:14] = 7
    affine = np.array([[0, 0, -3.0, 0], [0, -3.0, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    core = make_regions(Labels(labels, affine), {"liver": (7,)})["liver"]
    assert core.sum(axis=(1, 2)).tolist() == [64, 64, 64]


def test_thin_tissue_is_measured_whole_and_absent_tissue_not_at_all() -> None:
    labels = np.zeros((20, 20, 3), np.uint8)
    labels[4:14, 4, :] = 3
    regions = make_regions(Labels(labels, AXIAL), {"cortical_bone": (3,), "spleen": (9,)})
    assert list(regions) == ["cortical_bone"]
    np.testing.assert_array_equal(regions["cortical_bone"], labels == 3)


def test_a_tissue_may_be_made_of_several_labels() -> None:
    labels = np.zeros((20, 20, 3), np.uint8)
    labels[4:9, 4:14, :], labels[9:14, 4:14, :] = 3, 4
    assert make_regions(Labels(labels, AXIAL), {"kidneys": (3, 4)})["kidneys"].sum() == 3 * 64


def test_an_output_of_another_shape_is_refused() -> None:
    volume, other = (Volume(np.zeros((4, 4, n), np.float32), np.eye(4)) for n in (2, 3))
    case = SimpleNamespace(image=volume, clean_twin=volume, labels=None)
    with pytest.raises(GeometryError, match=r"\(4, 4, 2\), \(4, 4, 3\)"):
        make_trial(case, other, {}, {})


def test_the_edge_of_the_picture_is_no_rim() -> None:
    labels = np.full((20, 20, 3), 7, np.uint8)
    assert make_regions(Labels(labels, AXIAL), {"liver": (7,)})["liver"].all()
