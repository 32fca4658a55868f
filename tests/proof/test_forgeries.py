from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Reference, Scan, TissueTable
from medcyclegan.proof.forgeries import (
    FORGERIES,
    INVENTED_HU,
    INVENTED_MM,
    blurred_truth,
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


def test_the_blurred_truth_keeps_the_mean_and_softens_edges(patient: Reference) -> None:
    assert patient.truth is not None
    output = blurred_truth(patient)
    deep = (6, 20, 20)
    assert output[deep] == pytest.approx(patient.truth[deep], abs=0.1)
    edge = np.abs(np.diff(output, axis=1)).max()
    assert edge < 0.95 * np.abs(np.diff(patient.truth, axis=1)).max()


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
