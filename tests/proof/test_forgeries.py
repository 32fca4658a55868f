from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Reference, Scan, TissueTable
from medcyclegan.proof.forgeries import (
    FLICKER_HU,
    FORGERIES,
    INVENTED_HU,
    INVENTED_MM,
    SQUARE_HU,
    Forgery,
    blurred_truth,
    checkerboard,
    denoised_truth,
    flickering_slices,
    inverted_image,
    lesion_invented,
    lesions_removed,
)

LIVER, SPLEEN, LESION = 1, 2, 3
SHAPE, SPACING = (14, 40, 56), (5.0, 3.0, 3.0)


@pytest.fixture
def patient() -> Reference:
    """A liver of 50 HU with a lesion of 20 HU, a small spleen of 48 HU, in fat."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:12, 8:32, 6:34] = LIVER
    labels[4:8, 10:18, 40:50] = SPLEEN
    labels[3:5, 10:14, 8:12] = LESION
    truth = np.full(SHAPE, -100.0, np.float32)
    truth[:, :, :2] = -1000.0
    for value, hu in ((LIVER, 50.0), (SPLEEN, 48.0), (LESION, 20.0)):
        truth[labels == value] = hu
    noise = np.random.default_rng(0).normal(0, 10, (2, *SHAPE)).astype(np.float32)
    return Reference(
        "one",
        Scan(truth + 60.0 * (labels > 0).astype(np.float32) + noise[0], SPACING, labels),
        Window(-200.0, 600.0),
        TissueTable(organs={"spleen": (SPLEEN,), "liver": (LIVER,)}, lesions={"lesion": (LESION,)}),
        truth=truth,
        second=truth + noise[1],
    )


def test_every_forgery_lies_on_the_patients_grid_and_leaves_him_alone(patient: Reference) -> None:
    before = [patient.source.hu.copy(), patient.truth, patient.second]
    for forge, title in FORGERIES.values():
        output = forge(patient)
        assert output.shape == SHAPE
        assert output.dtype == np.float32
        assert title
    for kept, now in zip(before, (patient.source.hu, patient.truth, patient.second), strict=True):
        np.testing.assert_array_equal(kept, now)


@pytest.mark.parametrize(
    ("forge", "least", "most"), [(denoised_truth, 0.85, 0.95), (blurred_truth, 0.2, 0.45)]
)
def test_a_smoothed_truth_keeps_the_mean_and_softens_edges(
    forge: Forgery, least: float, most: float, patient: Reference
) -> None:
    assert patient.truth is not None
    output = forge(patient)
    deep = (6, 20, 20)
    assert output[deep] == pytest.approx(patient.truth[deep], abs=0.1)
    edge, sharp = (np.abs(np.diff(hu, axis=1)).max() for hu in (output, patient.truth))
    assert least * sharp < edge < most * sharp


def test_inversion_turns_what_lies_in_the_window_and_nothing_else(patient: Reference) -> None:
    source, output = patient.source.hu, inverted_image(patient)
    soft = patient.source.body & (source > -200) & (source < 600)
    assert soft.any()
    np.testing.assert_allclose(output[soft], 400.0 - source[soft])
    np.testing.assert_array_equal(output[~soft], source[~soft])


def test_removed_lesions_look_like_their_surroundings(patient: Reference) -> None:
    assert patient.second is not None
    labels, output = patient.source.labels, lesions_removed(patient)
    lesion = labels == LESION
    assert output[lesion].mean() == pytest.approx(50.0, abs=5.0)
    assert output[lesion].std() == pytest.approx(10.0, rel=0.3)  # its grain is left
    np.testing.assert_array_equal(output[~lesion], patient.second[~lesion])


def test_the_invented_lesion_lies_in_the_largest_organ_alone(patient: Reference) -> None:
    assert patient.second is not None
    change = lesion_invented(patient) - patient.second
    dark = change < INVENTED_HU / 2
    assert (patient.source.labels[dark] == LIVER).all()  # type: ignore[index]
    across_mm = np.ptp(np.nonzero(dark)[2]) * SPACING[2]
    assert across_mm == pytest.approx(INVENTED_MM, abs=2 * SPACING[2])
    assert change.min() == pytest.approx(INVENTED_HU, abs=1.0)


def test_flickering_slices_are_brighter_and_darker_in_turn(patient: Reference) -> None:
    assert patient.second is not None
    change, body = flickering_slices(patient) - patient.second, patient.source.body
    assert change[0][body[0]] == pytest.approx(FLICKER_HU)
    assert change[1][body[1]] == pytest.approx(-FLICKER_HU)
    assert (change[~body] == 0).all()


def test_squares_of_the_checkerboard_are_12_mm_wide(patient: Reference) -> None:
    assert patient.second is not None
    change, body = checkerboard(patient) - patient.second, patient.source.body
    assert (change[~body] == 0).all()
    inside = change[6, 16:24, 16:24]  # two by two squares of four voxels
    assert inside[:4, :4] == pytest.approx(inside[0, 0])
    assert inside[:4, 4:] == pytest.approx(-inside[0, 0])
    assert inside[4:, 4:] == pytest.approx(inside[0, 0])
    assert abs(inside[0, 0]) == pytest.approx(SQUARE_HU)
