from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.best_curve import KNOT_HU, fit_best_curve
from medcyclegan.metrics.curves import Curve
from medcyclegan.metrics.reference import Reference, Scan, TissueTable

LIVER, AORTA, BONE, FAT = 1, 2, 3, 4
TISSUES = TissueTable(
    organs={"liver": (LIVER,), "aorta": (AORTA,)}, null_tissues={"bone": (BONE,), "fat": (FAT,)}
)


def patient(source: dict[int, float], truth: dict[int, float]) -> Reference:
    """Return a patient of tissues 10 columns wide, each of one HU."""
    labels = np.repeat(np.array(list(source), np.uint8), 10)
    labels = np.broadcast_to(labels, (2, 12, labels.size)).copy()

    def hu(values: dict[int, float]) -> np.ndarray:
        return np.vectorize({**source, **values}.get)(labels).astype(np.float32)

    return Reference(
        "one", Scan(hu({}), (5.0, 3.0, 3.0), labels), Window(-200, 600), TISSUES, truth=hu(truth)
    )


def mean_in(hu: np.ndarray | None, reference: Reference, tissue: str) -> float:
    assert hu is not None
    region = (reference.organs | reference.null_tissues)[tissue]
    return float(hu.ravel()[region.core].mean())


def closed(curve: Curve, patients: list[Reference]) -> dict[str, float]:
    """Return the gap closed in each organ."""
    result = {}
    for organ in TISSUES.organs:
        gap, left = 0.0, 0.0
        for one in patients:
            if organ in one.organs:
                truth = mean_in(one.truth, one, organ)
                gap += abs(mean_in(one.source.hu, one, organ) - truth)
                left += abs(mean_in(curve.at(one.source.hu), one, organ) - truth)
        result[organ] = 1 - left / gap if gap else np.nan
    return result


def shifts(curve: Curve, patients: list[Reference]) -> dict[str, float]:
    """Return how far the mean of each null tissue moves."""
    result = {}
    for name in TISSUES.null_tissues:
        moved = [
            mean_in(curve.at(one.source.hu), one, name) - mean_in(one.source.hu, one, name)
            for one in patients
        ]
        result[name] = float(np.abs(moved).mean())
    return result


def test_an_organ_of_a_null_tissues_hu_goes_just_as_far_as_the_limit_lets_it() -> None:
    patients = [patient({LIVER: 60, AORTA: 200, BONE: 200, FAT: -100}, {LIVER: 50, AORTA: 40})]
    curve = fit_best_curve(patients, most_shift_hu=8.0)
    assert shifts(curve, patients) == pytest.approx({"bone": 16.0, "fat": 0.0}, abs=0.01)
    found = closed(curve, patients)
    assert found["aorta"] == pytest.approx(16 / 160, abs=1e-3)
    assert found["liver"] == pytest.approx(1.0, abs=1e-3)


def test_without_a_limit_it_fits_the_organs_and_takes_bone_along() -> None:
    patients = [patient({LIVER: 60, AORTA: 200, BONE: 200, FAT: -100}, {LIVER: 50, AORTA: 50})]
    curve = fit_best_curve(patients, most_shift_hu=1000.0)
    assert min(closed(curve, patients).values()) == pytest.approx(1.0, abs=1e-3)
    assert shifts(curve, patients)["bone"] == pytest.approx(150.0, abs=0.1)


def test_what_is_set_aside_has_no_say() -> None:
    one = patient({LIVER: 60, AORTA: 200, BONE: 200, FAT: -100}, {LIVER: 50, AORTA: 50})
    patients = [replace(one, tissues=replace(TISSUES, aside=frozenset({"bone"})))]
    curve = fit_best_curve(patients, most_shift_hu=8.0)
    assert min(closed(curve, patients).values()) == pytest.approx(1.0, abs=1e-3)
    patients = [replace(one, tissues=replace(TISSUES, aside=frozenset({"aorta"})))]
    curve = fit_best_curve(patients, most_shift_hu=0.0)
    assert closed(curve, patients)["aorta"] == pytest.approx(0.0, abs=1e-3)


def test_organs_count_evenly_however_wide_their_gap() -> None:
    # At 100 HU both organs meet: the liver's 10 HU count as much as the aorta's 90.
    patients = [
        patient({LIVER: 100, BONE: 500, FAT: -100}, {LIVER: 90}),
        patient({AORTA: 100, BONE: 500, FAT: -100}, {AORTA: 10}),
    ]
    found = closed(fit_best_curve(patients, most_shift_hu=8.0), patients)
    assert found["liver"] == pytest.approx(1.0, abs=1e-3)
    assert found["aorta"] == pytest.approx(10 / 90, abs=1e-3)


def test_without_any_tissue_there_is_nothing_to_fit() -> None:
    one = patient({LIVER: 60}, {LIVER: 50})
    with pytest.raises(ValueError, match="no patient has any"):
        fit_best_curve([replace(one, tissues=TissueTable())], most_shift_hu=8.0)


def test_the_curve_grows_and_none_that_grows_does_better() -> None:
    rng = np.random.default_rng(0)
    patients = []
    for step in range(-20, 30, 10):
        one = patient(
            {LIVER: 100 + step, AORTA: 180 + 3 * step, BONE: 190 + step, FAT: -100},
            {LIVER: 55, AORTA: 45},
        )
        noise = rng.normal(0, 12, one.source.hu.shape).astype(np.float32)
        patients.append(replace(one, source=replace(one.source, hu=one.source.hu + noise)))
    curve = fit_best_curve(patients, most_shift_hu=8.0)
    assert (np.diff(curve.values) >= 0).all()
    assert curve.values[[0, -1]] == pytest.approx(curve.hu[[0, -1]])

    def judged(values: np.ndarray) -> tuple[float, float]:
        tried = Curve(curve.hu, values)
        gaps, moved = closed(tried, patients), shifts(tried, patients)
        return float(np.mean(list(gaps.values()))), float(np.mean(list(moved.values())))

    best, shift = judged(curve.values)
    assert shift <= 8.001
    allowed = 0
    for _ in range(40):
        change = rng.normal(0, rng.choice([0.2, 1, 5]), curve.values.shape)
        mean, shift = judged(np.maximum.accumulate(curve.values + change))
        if shift <= 8.0:
            allowed += 1
            assert mean <= best + 1e-3
    assert allowed
    assert np.diff(curve.hu) == pytest.approx(KNOT_HU)
