from __future__ import annotations

import pytest

from medcyclegan.evaluate.comparing import CEILING, SECOND
from medcyclegan.proof.expectations import EXPECTATIONS, NOISE_TAKEN_OVER, OTHER_SCANNER, judge

Summary = dict[str, dict[str, float]]

SOUND: Summary = {
    "identity": {
        "gap_closed": 0.0,
        "null_shift": 0.0,
        "dose_slope": 100.0,
        "mae": 20.0,
        "noise_corrected_error": 37.0,
        "structure_kept": 1.0,
        "patch_distance": 10.0,
        "frechet_distance": 15.0,
        "organ_distribution": 90.0,
    },
    "inverted_image": {
        "gap_closed": -2.0,
        "noise_corrected_error": 390.0,
        "structure_kept": -0.5,
        "patch_distance": 70.0,
        "frechet_distance": 1200.0,
        "null_by_source_hu": 270.0,
        "organ_distribution": 200.0,
    },
    "histogram_matching": {"gap_closed": 0.7, "null_shift": 30.0, "null_by_source_hu": 45.0},
    "best_curve": {"gap_closed": 0.75, "null_shift": 8.0},
    "label_shift": {
        "gap_closed": 0.8,
        "null_shift": 0.0,
        "dose_slope": 100.0,
        "noise_corrected_error": 18.0,
        "organ_distribution": 12.0,
        "null_by_source_hu": 0.1,
    },
    CEILING: {
        "gap_closed": 0.95,
        "null_shift": 0.1,
        "dose_slope": 9.0,
        "mae": 8.0,
        "noise_corrected_error": 6.0,
    },
    "denoised_truth": {"mae": 7.0, "texture": 0.1, "noise_corrected_error": 0.0},
    "blurred_truth": {"texture": 0.1, "noise_corrected_error": 50.0},
    "lesions_removed": {"gap_closed": 0.99, "lesions_kept": 0.0, "lesions_lost": 1.0},
    "lesion_invented": {"gap_closed": 0.99, "lesions_invented": 1.0},
    "flickering_slices": {"gap_closed": 0.99, "flicker": 4.0},
    "checkerboard": {"edges_invented": 0.5},
    OTHER_SCANNER: {NOISE_TAKEN_OVER: 0.6},
    SECOND: {
        "gap_closed": 0.99,
        "mae": 7.5,
        "noise_corrected_error": 0.0,
        "texture": 1.0,
        "lesions_kept": 1.0,
        "lesions_invented": 0.0,
        "patch_distance": 6.0,
        "frechet_distance": 3.0,
        "null_by_source_hu": 1.3,
        "organ_distribution": 6.0,
        "flicker": 1.1,
        "edges_invented": 0.0,
        NOISE_TAKEN_OVER: 0.0,
    },
}


def test_sound_instruments_meet_every_expectation() -> None:
    judged = judge(SOUND)
    assert len(judged) == len(EXPECTATIONS)
    assert all(expected["met"] for expected in judged)
    assert "identity 0.00" in judged[2]["found"]


@pytest.mark.parametrize(
    ("method", "metric", "value"),
    [
        (SECOND, "gap_closed", 0.9),
        ("identity", "null_shift", 1.0),
        ("inverted_image", "gap_closed", 0.1),
        ("label_shift", "gap_closed", 0.96),
        ("best_curve", "gap_closed", 0.96),
        ("label_shift", "null_shift", 5.0),
        (CEILING, "dose_slope", 90.0),
        (CEILING, "noise_corrected_error", 19.0),
        ("inverted_image", "noise_corrected_error", 30.0),
        ("denoised_truth", "mae", 7.8),
        ("denoised_truth", "texture", 0.9),
        ("blurred_truth", "noise_corrected_error", 5.0),
        ("blurred_truth", "texture", 0.9),
        ("inverted_image", "structure_kept", 0.9),
        ("flickering_slices", "flicker", 1.2),
        (SECOND, "flicker", 1.9),
        ("checkerboard", "edges_invented", 0.0),
        (SECOND, "edges_invented", 0.1),
        ("lesions_removed", "lesions_kept", 0.9),
        ("lesions_removed", "lesions_lost", 0.1),
        (SECOND, "lesions_kept", 0.5),
        ("lesion_invented", "lesions_invented", 0.5),
        (SECOND, "lesions_invented", 2.0),
        ("identity", "patch_distance", 5.0),
        ("identity", "frechet_distance", 2.0),
        ("histogram_matching", "null_by_source_hu", 1.0),
        ("label_shift", "organ_distribution", 95.0),
        (OTHER_SCANNER, NOISE_TAKEN_OVER, 0.1),
        (SECOND, NOISE_TAKEN_OVER, 0.5),
    ],
)
def test_an_instrument_that_is_fooled_is_told(method: str, metric: str, value: float) -> None:
    fooled = {**SOUND, method: {**SOUND[method], metric: value}}
    assert [expected["met"] for expected in judge(fooled)].count(False) >= 1


def test_a_figure_that_is_not_there_meets_no_expectation() -> None:
    fooled = {name: figures for name, figures in SOUND.items() if name != OTHER_SCANNER}
    missed = [expected for expected in judge(fooled) if not expected["met"]]
    assert len(missed) == 1
    assert "other scanner -" in missed[0]["found"]
