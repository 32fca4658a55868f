from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from medcyclegan.metrics.lesions import (
    LESIONS_INVENTED,
    LESIONS_KEPT,
    LESIONS_LOST,
    find_lesions,
)
from medcyclegan.metrics.metric import WHOLE, share_of
from medcyclegan.metrics.reference import Hu, LabelMap, Mask, Reference, Scan, TissueTable

FAT, LIVER, LESION, MUSCLE, SKIN = 1, 2, 3, 4, 5
KINDS = (("cyst", (LESION,)),)
Make = Callable[..., Reference]


def test_a_lesion_and_its_ring(labels: LabelMap) -> None:
    scan = Scan(np.zeros(labels.shape, np.float32), (5.0, 2.0, 2.0), labels)
    (lesion,) = find_lesions(scan, KINDS)
    ring = np.zeros(labels.shape, bool)
    ring.ravel()[lesion.ring] = True
    assert lesion.kind == "cyst"
    np.testing.assert_array_equal(lesion.inside, np.flatnonzero(labels == LESION))
    slices, rows, columns = np.nonzero(ring)
    assert (slices.min(), slices.max()) == (2, 5)  # 5 mm off
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 32, 22, 32)  # 4 mm
    assert not ring[2, 23, 23]  # obliquely off by more than 5 mm
    assert set(labels[ring]) == {LIVER}


def test_the_ring_is_of_the_host_alone_and_lesions_count_one_by_one(labels: LabelMap) -> None:
    changed = labels.copy()
    changed[5:7, 12:18, 30:38] = LESION  # at the liver's edge, beside fat
    changed[0:2, 33:36, 14:17] = 7
    scan = Scan(np.zeros(labels.shape, np.float32), (5.0, 2.0, 2.0), changed)
    found = find_lesions(scan, (("cyst", (LESION,)), ("metastasis", (7,))))
    assert [lesion.kind for lesion in found] == ["cyst", "cyst", "metastasis"]
    assert all(set(changed.ravel()[lesion.ring]) == {LIVER} for lesion in found)


@pytest.mark.parametrize(
    ("contrast", "kept", "lost"),
    [  # the truth's is -20 HU
        (-20.0, 1.0, 0.0),
        (-10.5, 1.0, 0.0),
        (-29.5, 1.0, 0.0),
        (-9.5, 0.0, 1.0),
        (0.0, 0.0, 1.0),
        (20.0, 0.0, 1.0),
        (-31.0, 0.0, 0.0),  # overdone
    ],
)
def test_kept_is_half_to_one_and_a_half_of_the_truths_contrast(
    reference: Make, truth: Hu, labels: LabelMap, contrast: float, kept: float, lost: float
) -> None:
    output = truth.copy()
    output[labels == LESION] = 55.0 + contrast
    assert LESIONS_KEPT.measure(reference(), output) == {"cyst": (kept, 1.0)}
    assert LESIONS_LOST.measure(reference(), output) == {"cyst": (lost, 1.0)}


def test_a_lesion_that_the_truth_hardly_shows_does_not_count(
    reference: Make, truth: Hu, labels: LabelMap
) -> None:
    faint = truth.copy()
    faint[labels == LESION] = 55.0 - 7.9
    known = replace(reference(), truth=faint)
    assert LESIONS_KEPT.measure(known, truth) == LESIONS_LOST.measure(known, truth) == {}
    faint[labels == LESION] = 55.0 - 8.1
    assert LESIONS_KEPT.measure(known, faint) == {"cyst": (1.0, 1.0)}


def test_shares_are_of_all_patients_lesions() -> None:
    assert share_of(np.array([[1.0, 1.0], [0.0, 3.0]])) == 0.25
    assert np.isnan(share_of(np.zeros((2, 2))))


def ball(labels: LabelMap, across_mm: float, centre: tuple[int, int, int] = (4, 36, 36)) -> Mask:
    slices, rows, columns = np.ogrid[tuple(slice(size) for size in labels.shape)]
    squared_mm = (
        ((slices - centre[0]) * 5.0) ** 2
        + ((rows - centre[1]) * 2.0) ** 2
        + ((columns - centre[2]) * 2.0) ** 2
    )
    return squared_mm <= (across_mm / 2) ** 2


def invented(known: Reference, output: Hu) -> float:
    return LESIONS_INVENTED.measure(known, output)[WHOLE][0]


def test_invented_lesions_are_counted_dark_and_bright(
    reference: Make, truth: Hu, labels: LabelMap, noise: Callable[[int], Hu]
) -> None:
    known = reference()
    output = truth + noise(2)
    assert invented(known, output) == 0.0
    output[ball(labels, 18.0)] -= 30.0
    assert invented(known, output) == 1.0
    output[ball(labels, 18.0, (4, 20, 38))] += 30.0
    assert invented(known, output) == 2.0


@pytest.mark.parametrize(("across_mm", "off_hu"), [(6.0, 40.0), (18.0, 11.0)])
def test_small_or_faint_blobs_are_no_lesions(
    reference: Make, truth: Hu, labels: LabelMap, across_mm: float, off_hu: float
) -> None:
    assert invented(reference(), truth + off_hu * ball(labels, across_mm)) == 0.0


def test_an_organ_off_as_a_whole_and_a_wrong_real_lesion_are_not_invented(
    reference: Make, truth: Hu, labels: LabelMap
) -> None:
    output = truth.copy()
    output[labels == LIVER] += 40.0
    output[labels == MUSCLE] -= 25.0
    output[labels == LESION] = 300.0
    assert invented(reference(), output) == 0.0


def test_a_blob_at_the_end_of_the_scan_counts_like_one_inside(
    reference: Make, truth: Hu, labels: LabelMap
) -> None:
    blob = np.zeros(labels.shape, np.float32)
    blob[:3, 33:41, 17:25] = 15.0
    assert invented(reference(), truth + blob) == 1.0


def test_thin_tissue_and_lesions_of_an_organ_are_not_judged(
    reference: Make, truth: Hu, labels: LabelMap
) -> None:
    changed = labels.copy()
    changed[:, 34:36, 12:44] = SKIN  # a sheet of two voxels, all rim
    known = reference()
    known = replace(
        known,
        source=replace(known.source, labels=changed),
        tissues=TissueTable(organs={"liver": (LIVER,)}, null_tissues={"skin": (SKIN,)}),
    )
    output = truth.copy()
    output[:, 34:36, 16:36] += 100.0
    assert invented(known, output) == 0.0
    output[:, 17:23, 16:36] += 100.0
    assert invented(known, output) == 1.0
    all_lesion = replace(known.tissues, lesions={"tumour": (LIVER,)})
    assert invented(replace(known, tissues=all_lesion), output) == 0.0


def test_blobs_count_in_tissue_that_must_not_move_but_not_at_edges_and_in_air(
    reference: Make, truth: Hu, labels: LabelMap
) -> None:
    blob, edge, air = (np.zeros(labels.shape, np.float32) for _ in range(3))
    blob[2:5, 33:41, 16:36] = edge[2:5, 12:16, 16:36] = air[2:5, 0:5, 20:40] = 100.0
    known = replace(reference(), tissues=TissueTable(null_tissues={"fluid": (LIVER,)}))
    assert invented(known, truth + blob) == 1.0
    assert invented(known, truth + edge) == 0.0
    assert invented(known, truth + air) == 0.0


def test_another_kernel_invents_nothing(reference: Make, truth: Hu) -> None:
    softer = ndimage.gaussian_filter(truth, (0.0, 1.0, 1.0))
    assert np.abs(softer - truth).max() > 20.0
    assert invented(reference(), softer) == 0.0


def test_cheats_rank_where_they_belong(
    reference: Make, truth: Hu, clean: Hu, labels: LabelMap, noise: Callable[[int], Hu]
) -> None:
    removed = truth + noise(2)
    removed[labels == LESION] += 20.0
    known = reference()
    scores = {
        name: (
            LESIONS_KEPT.measure(known, output)["cyst"][0],
            LESIONS_LOST.measure(known, output)["cyst"][0],
            invented(known, output),
        )
        for name, output in {
            "truth": truth + noise(2),
            "removed": removed,
            "identity": known.source.hu,
            "inverted": 400.0 - clean,
        }.items()
    }
    assert scores["truth"] == (1.0, 0.0, 0.0)
    assert scores["removed"] == (0.0, 1.0, 0.0)
    assert scores["identity"] == (0.0, 0.0, 0.0)  # -40 HU for -20: overdone
    assert scores["inverted"][:2] == (0.0, 1.0)
