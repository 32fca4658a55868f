from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from medcyclegan.metrics import compare, fit_best_curve
from medcyclegan.metrics.best_curve import KNOT_HU
from medcyclegan.volume import Labels, Volume

AFFINE = np.diag([-3.0, -3.0, 5.0, 1.0])
LIVER, AORTA, BONE, FAT = 1, 2, 3, 4
ORGANS = {"liver": (LIVER,), "aorta": (AORTA,)}
NULL_TISSUES = {"bone": (BONE,), "fat": (FAT,)}


def case(source: dict[int, float], truth: dict[int, float]) -> SimpleNamespace:
    """Return a patient of tissues 10 columns wide, each of one HU."""
    labels = np.repeat(np.array(list(source), np.uint8), 10)[:, None, None]
    labels = np.broadcast_to(labels, (labels.size, 12, 2)).copy()

    def volume(hu: dict[int, float]) -> Volume:
        return Volume(np.vectorize({**source, **hu}.get)(labels).astype(np.float32), AFFINE)

    return SimpleNamespace(
        image=volume({}), clean_twin=volume(truth), labels=Labels(labels, AFFINE)
    )


def table(cases: list[SimpleNamespace], limit: float) -> dict[str, dict[str, dict[str, float]]]:
    curve = fit_best_curve(cases, organs=ORGANS, null_tissues=NULL_TISSUES, most_shift_hu=limit)
    outputs = [curve(each.image) for each in cases]
    return compare(cases, outputs, {}, organs=ORGANS, null_tissues=NULL_TISSUES)


def test_an_organ_of_a_null_tissues_hu_goes_just_as_far_as_the_limit_lets_it() -> None:
    cases = [case({LIVER: 60, AORTA: 200, BONE: 200, FAT: -100}, {LIVER: 50, AORTA: 40})]
    found = table(cases, 8.0)
    assert found["null_tissues"]["bone"]["shift_hu"] == pytest.approx(16.0, abs=0.01)  # fat: 0
    assert found["summary"]["mean_shift_hu"] == pytest.approx(8.0, abs=0.01)
    assert found["organs"]["aorta"]["gap_closed"] == pytest.approx(16 / 160, abs=1e-3)
    assert found["organs"]["liver"]["gap_closed"] == pytest.approx(1.0, abs=1e-3)


def test_without_a_limit_it_fits_the_organs_and_takes_bone_along() -> None:
    cases = [case({LIVER: 60, AORTA: 200, BONE: 200, FAT: -100}, {LIVER: 50, AORTA: 50})]
    found = table(cases, 1000.0)
    assert found["summary"]["worst"] == pytest.approx(1.0, abs=1e-3)
    assert found["null_tissues"]["bone"]["shift_hu"] == pytest.approx(150.0, abs=0.1)


def test_organs_count_evenly_however_wide_their_gap() -> None:
    # At 100 HU both organs meet: the liver's 10 HU count as much as the aorta's 90.
    cases = [
        case({LIVER: 100, BONE: 500, FAT: -100}, {LIVER: 90}),
        case({AORTA: 100, BONE: 500, FAT: -100}, {AORTA: 10}),
    ]
    found = table(cases, 8.0)
    assert found["organs"]["liver"]["gap_closed"] == pytest.approx(1.0, abs=1e-3)
    assert found["organs"]["aorta"]["gap_closed"] == pytest.approx(10 / 90, abs=1e-3)


def test_the_curve_grows_and_none_that_grows_does_better() -> None:
    rng = np.random.default_rng(0)
    cases = [
        case(
            {LIVER: 100 + step, AORTA: 180 + 3 * step, BONE: 190 + step, FAT: -100},
            {LIVER: 55, AORTA: 45},
        )
        for step in range(-20, 30, 10)
    ]
    for each in cases:
        noise = rng.normal(0, 12, each.image.array.shape).astype(np.float32)
        each.image = Volume(each.image.array + noise, AFFINE)
    curve = fit_best_curve(cases, organs=ORGANS, null_tissues=NULL_TISSUES, most_shift_hu=8.0)
    assert (np.diff(curve.values) >= 0).all()
    assert curve.values[[0, -1]] == pytest.approx(curve.hu[[0, -1]])

    def judged(values: np.ndarray) -> tuple[float, float]:
        tried = type(curve)(curve.hu, values)
        outputs = [tried(each.image) for each in cases]
        rows = compare(cases, outputs, {}, organs=ORGANS, null_tissues=NULL_TISSUES)
        return rows["summary"]["mean"], rows["summary"]["mean_shift_hu"]

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
