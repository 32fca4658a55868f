from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.metrics.reference import make_region
from medcyclegan.phantom import (
    DIFFERING,
    LABELS,
    LOOKALIKES,
    NULL_TISSUES,
    ORGANS,
    PLAIN,
    SCANNERS,
    SETTINGS,
    TISSUES,
    Cohort,
    PhantomCase,
    Populations,
    label_values,
    make_case,
    make_cohort,
    make_patients,
)
from medcyclegan.slices import slice_frame


@pytest.fixture(scope="module")
def test_cases() -> tuple[PhantomCase, ...]:
    return make_cohort(train_contrast=0, train_noncontrast=0).test


@pytest.fixture(scope="module")
def training() -> Cohort:
    return make_cohort(train_contrast=4, train_noncontrast=4, test=0, size=64, slices=6)


def core(case: PhantomCase, name: str) -> np.ndarray:
    """Where tables measure a tissue, as a mask on the image's array."""
    mask = np.isin(case.labels.array, label_values(name)).T
    inner = np.zeros(mask.shape, bool)
    inner.flat[make_region(mask).core] = True
    return inner.T


def means(case: PhantomCase, array: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    return {name: float(array[core(case, name)].mean()) for name in names}


VOLUMES = (
    "image", "labels", "clean", "clean_twin", "second_twin", "clean_target_twin", "target_twin"
)  # fmt: skip


@pytest.mark.parametrize("populations", [None, PLAIN, DIFFERING])
@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_equal_seeds_give_equal_cases_and_other_seeds_others(
    populations: Populations | None, setting: str
) -> None:
    first, again, other = (
        make_case(seed, "venous", populations=populations, setting=setting, size=48, slices=6)
        for seed in (5, 5, 6)
    )
    assert first.findings == again.findings
    for name in VOLUMES:
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
    for name in VOLUMES:
        np.testing.assert_array_equal(getattr(case, name).affine, case.image.affine)
        whole = name in {"image", "second_twin", "target_twin"}
        assert name == "labels" or getattr(case, name).array.dtype == (np.int16 if whole else "f4")
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
            assert core(case, name).sum(axis=(0, 1)).min() >= 8, name
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
        regions = {name: core(case, name) for name in (*NULL_TISSUES, "air")}
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


def test_second_acquisitions_have_noise_of_their_own(test_cases: tuple[PhantomCase, ...]) -> None:
    for case in test_cases[:3]:
        body = case.labels.array > 0
        first = (case.image.array - case.clean.array)[body]
        second = (case.second_twin.array - case.clean_twin.array)[body]
        third = (case.target_twin.array - case.clean_target_twin.array)[body]
        for one, two in ((first, second), (first, third), (second, third)):
            assert abs(np.corrcoef(one, two)[0, 1]) < 0.05
        low, high = SCANNERS[case.scanner].noise_hu
        assert low - 1 < second.std() < high + 1
        assert abs(second.mean()) < 1


def test_a_target_twin_is_the_same_patient_through_another_kernel() -> None:
    case = make_case(1, "venous", scanner="smooth", slices=6)
    while case.target_scanner != "sharp":
        case = make_case(int(case.patient[-1]) + 1, "venous", scanner="smooth", slices=6)
    edges = [
        np.abs(np.diff(volume.array, axis=0)).mean()
        for volume in (case.clean_twin, case.clean_target_twin)
    ]
    assert edges[1] > 1.03 * edges[0]
    liver = core(case, "liver")
    twin, target = (v.array[liver].mean() for v in (case.clean_twin, case.clean_target_twin))
    assert twin == pytest.approx(target, abs=1.0)


def test_patients_of_a_domain_are_the_same_however_many_are_made() -> None:
    many = make_patients("noncontrast", 3, seed=1, role="test", size=32, slices=4)
    few = make_patients("noncontrast", 2, seed=1, role="test", size=32, slices=4, workers=2)
    for got, wanted in zip(few, many, strict=False):
        assert got.patient == wanted.patient
        np.testing.assert_array_equal(got.target_twin.array, wanted.target_twin.array)
    keys = {case.patient for case in many}
    for domain, role in (("contrast", "test"), ("noncontrast", "train")):
        others = make_patients(domain, 1, seed=1, role=role, size=32, slices=4)  # type: ignore[arg-type]
        assert others[0].patient not in keys
        assert others[0].domain == domain
    assert many[0].twin_phase == "venous"


def test_make_cohort_and_make_patients_make_the_same_people(training: Cohort) -> None:
    again = make_patients("contrast", 1, seed=0, populations=PLAIN, size=64, slices=6)
    assert again[0].patient == training.contrast[0].patient
    np.testing.assert_array_equal(again[0].image.array, training.contrast[0].image.array)


def test_labels_count_from_background_and_tissues_that_must_not_move_do_not_enhance() -> None:
    assert LABELS["background"] == 0
    assert sorted(LABELS.values()) == list(range(len(LABELS)))
    for name in (*NULL_TISSUES, *LOOKALIKES, "background", "stomach_air", "bowel_gas"):
        row = TISSUES[name]
        assert row.arterial == row.venous == row.delayed == 0
    assert label_values("kidneys") == (LABELS["kidney_cortex"], LABELS["kidney_medulla"])
    assert label_values("aorta") == (LABELS["aorta"],)
