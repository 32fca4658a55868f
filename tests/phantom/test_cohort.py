from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medcyclegan.metrics import (
    Curve,
    compare,
    fit_best_curve,
    fit_least_squares_curve,
    gap_closed,
    make_regions,
    make_trial,
)
from medcyclegan.phantom import (
    LABELS,
    NULL_TISSUES,
    ORGANS,
    SCANNERS,
    TISSUES,
    Cohort,
    PhantomCase,
    label_values,
    make_case,
    make_cohort,
)
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Volume


@pytest.fixture(scope="module")
def test_cases() -> tuple[PhantomCase, ...]:
    return make_cohort(train_contrast=0, train_noncontrast=0).test


@pytest.fixture(scope="module")
def training() -> Cohort:
    return make_cohort(train_contrast=4, train_noncontrast=4, test=0, size=64, slices=6)


def means(case: PhantomCase, array: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    regions = make_regions(case.labels, {name: label_values(name) for name in names})
    return {name: float(array[mask].mean()) for name, mask in regions.items()}


def test_equal_seeds_give_equal_cases_and_other_seeds_others() -> None:
    first, again, other = (make_case(seed, "venous", size=64, slices=6) for seed in (5, 5, 6))
    for name in ("image", "labels", "clean_twin", "clean"):
        np.testing.assert_array_equal(getattr(first, name).array, getattr(again, name).array)
    assert (first.dose, first.scanner, first.patient) == (again.dose, again.scanner, again.patient)
    assert first.patient != other.patient
    assert first.dose != other.dose
    assert np.mean(first.labels.array != other.labels.array) > 0.05


def test_volumes_are_whole_hu_on_the_grid_of_the_labels(
    test_cases: tuple[PhantomCase, ...],
) -> None:
    case = test_cases[0]
    assert case.image.array.shape == (128, 128, 24)
    assert case.image.array.dtype == np.int16
    assert case.clean_twin.array.dtype == np.float32
    assert case.image.spacing_mm == (3.0, 3.0, 5.0)
    assert case.image.orientation == "LPS"
    assert case.image.provenance.format == "phantom"
    assert case.image.provenance.patient == case.patient
    for other in (case.clean, case.clean_twin, case.labels):
        np.testing.assert_array_equal(other.affine, case.image.affine)
    assert case.image.array.min() >= -1024
    assert slice_frame(case.image.array.shape, case.image.affine).plane == "axial"


def test_organs_lie_where_people_have_them(test_cases: tuple[PhantomCase, ...]) -> None:
    for case in test_cases:
        at = {
            name: case.image.affine[:3, :3]
            @ np.argwhere(np.isin(case.labels.array, label_values(name))).mean(axis=0)
            for name in ("liver", "spleen", "aorta", "vena_cava", "spongy_bone", "pancreas", "lung")
        }
        assert at["liver"][0] > at["aorta"][0] > at["spleen"][0]  # world x grows to the right
        assert at["vena_cava"][0] > at["aorta"][0]
        assert at["pancreas"][1] > at["aorta"][1] > at["spongy_bone"][1]  # y grows to the front
        assert at["lung"][2] > at["liver"][2] > at["pancreas"][2]  # z grows to the head


def test_every_patient_has_every_organ_and_fits_the_field_of_view(
    test_cases: tuple[PhantomCase, ...],
) -> None:
    for case in test_cases:
        for name in (*ORGANS, *NULL_TISSUES, "lesion", "stomach_air", "muscle", "bowel_wall"):
            assert np.isin(case.labels.array, label_values(name)).sum() >= 10, name
        for name in ("aorta", "vena_cava"):
            core = make_regions(case.labels, {name: label_values(name)})[name]
            assert core.sum(axis=(0, 1)).min() >= 8, name
        edges = [np.take(case.labels.array, n, axis) for n in (0, -1) for axis in (0, 1)]
        assert not any(edge.any() for edge in edges)


def test_tissues_measure_what_the_literature_says(test_cases: tuple[PhantomCase, ...]) -> None:
    unenhanced = {
        "liver": (-15, 70), "spleen": (35, 60), "kidneys": (20, 45), "aorta": (30, 55),
        "vena_cava": (30, 55), "pancreas": (25, 55), "fat": (-120, -85), "spongy_bone": (110, 280),
        "gallbladder": (-5, 30), "muscle": (35, 65),
    }  # fmt: skip
    venous = {"liver": (30, 70), "spleen": (40, 110), "kidneys": (85, 210), "aorta": (65, 175),
              "vena_cava": (60, 165), "pancreas": (30, 90)}  # fmt: skip
    arterial = {"liver": (7, 25), "aorta": (150, 420), "kidneys": (50, 200), "vena_cava": (5, 70)}
    for case in test_cases:
        before = means(case, case.clean_twin.array, tuple(unenhanced))
        after = means(case, case.clean.array, tuple(unenhanced))
        for name, (low, high) in unenhanced.items():
            assert low <= before[name] <= high, name
        for name, (low, high) in (venous if case.phase == "venous" else arterial).items():
            assert low <= after[name] - before[name] <= high, (name, case.phase)


def test_twins_differ_only_where_contrast_medium_goes(
    test_cases: tuple[PhantomCase, ...],
) -> None:
    for case in test_cases:
        change = np.abs(case.clean.array - case.clean_twin.array)
        regions = make_regions(
            case.labels, {name: label_values(name) for name in (*NULL_TISSUES, "air")}
        )
        for name, mask in regions.items():
            limit = 4.0 if name == "cortical_bone" else 1.5  # too thin to be clear of the blur
            assert change[mask].mean() < limit, name
        assert change[np.isin(case.labels.array, label_values("kidneys"))].mean() > 30
        noise = case.image.array - case.clean.array
        assert 7 < noise[regions["fat"]].std() < 20


def test_doses_phases_and_scanners_vary(test_cases: tuple[PhantomCase, ...]) -> None:
    doses = [case.dose for case in test_cases]
    assert len(set(doses)) == len(doses)
    assert min(doses) >= 0.7
    assert max(doses) <= 1.4
    assert np.std(doses) > 0.08
    assert [case.phase for case in test_cases].count("arterial") == len(test_cases) // 4
    assert {case.twin_phase for case in test_cases} == {"noncontrast"}
    assert {case.scanner for case in test_cases} == set(SCANNERS)


def test_no_patient_is_in_two_places(training: Cohort, test_cases: tuple[PhantomCase, ...]) -> None:
    cases = (*training.contrast, *training.noncontrast, *test_cases)
    assert len({case.patient for case in cases}) == len(cases) == 16
    assert {case.phase for case in training.noncontrast} == {"noncontrast"}
    assert [case.phase for case in training.contrast] == ["venous"] * 3 + ["arterial"]
    small = [*training.contrast, *training.noncontrast]
    for n, one in enumerate(small):
        for two in small[n + 1 :]:
            assert np.mean(one.labels.array != two.labels.array) > 0.03


def test_a_cohort_depends_neither_on_its_size_nor_on_workers(training: Cohort) -> None:
    fewer = make_cohort(train_contrast=2, train_noncontrast=1, test=0, size=64, slices=6, workers=2)
    for got, wanted in zip(
        (*fewer.contrast, *fewer.noncontrast),
        (*training.contrast[:2], *training.noncontrast[:1]),
        strict=True,
    ):
        assert got.patient == wanted.patient
        np.testing.assert_array_equal(got.image.array, wanted.image.array)


@pytest.fixture(scope="module")
def judged_curves(test_cases: tuple[PhantomCase, ...]) -> dict[str, dict[str, Any]]:
    """Tables of curves fitted on the truth of the demo's test patients."""

    def best(most_shift_hu: float) -> Curve:
        return fit_best_curve(
            test_cases, organs=organs, null_tissues=null_tissues, most_shift_hu=most_shift_hu
        )

    organs = {name: label_values(name) for name in ORGANS}
    null_tissues = {name: label_values(name) for name in NULL_TISSUES}
    curves = {
        "least squares": fit_least_squares_curve(test_cases),
        "best": best(8.0),
        "for organs alone": best(1000.0),
    }
    return {
        name: compare(
            test_cases,
            [curve(case.image) for case in test_cases],
            {},
            organs=organs,
            null_tissues=null_tissues,
        )
        for name, curve in curves.items()
    }


@pytest.mark.parametrize("name", ["least squares", "best"])
def test_no_curve_within_the_limit_translates_kidneys_or_aorta(
    judged_curves: dict[str, dict[str, Any]], name: str
) -> None:
    organs = judged_curves[name]["organs"]
    assert organs["kidneys"]["gap_closed"] < 0.75
    assert organs["aorta"]["gap_closed"] < 0.75


def test_curves_pay_with_bone(judged_curves: dict[str, dict[str, Any]]) -> None:
    best, least_squares, organs_alone = (
        judged_curves[name]["summary"] for name in ("best", "least squares", "for organs alone")
    )
    assert 7.9 < best["mean_shift_hu"] <= 8.001
    assert best["largest_shift_in"] == "spongy_bone"
    assert best["largest_shift_hu"] > 30
    assert least_squares["mean_shift_hu"] > 16
    assert organs_alone["worst"] > 0.75
    assert organs_alone["mean_shift_hu"] > 32
    assert judged_curves["for organs alone"]["null_tissues"]["spongy_bone"]["shift_hu"] > 100


def test_the_twin_closes_the_gap_and_noise_does_not_hide_it(
    test_cases: tuple[PhantomCase, ...],
) -> None:
    organs = {name: label_values(name) for name in ORGANS}
    trials = []
    for case in test_cases:
        grain = np.roll(case.image.array - case.clean.array, 7, axis=0)
        noisy = Volume(case.clean_twin.array + grain, case.image.affine)
        trials.append(make_trial(case, noisy, make_regions(case.labels, organs), {}))
    assert min(gap_closed(trials).values()) > 0.95


def test_labels_count_from_background_and_tissues_that_must_not_move_do_not_enhance() -> None:
    assert LABELS["background"] == 0
    assert sorted(LABELS.values()) == list(range(len(LABELS)))
    for name in (*NULL_TISSUES, "background", "stomach_air", "bowel_gas"):
        assert TISSUES[name].arterial == TISSUES[name].venous == 0
    assert label_values("kidneys") == (LABELS["kidney_cortex"], LABELS["kidney_medulla"])
    assert label_values("aorta") == (LABELS["aorta"],)
