from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.phantom.abdomen import ABDOMEN
from medcyclegan.phantom.parameters import LABELS, Phase
from medcyclegan.phantom.physiology import Physiology, make_physiology
from medcyclegan.phantom.posterior import LABEL_NAMES, Known, as_slices, expected_uptake, look_up
from medcyclegan.volume import Labels, Volume

SEEN = ("liver", "spleen", "kidney_cortex", "kidney_medulla", "aorta", "vena_cava", "pancreas")
Floats = npt.NDArray[np.float64]


def blocks(phases: tuple[Phase, Phase], names: tuple[str, ...] = SEEN) -> Known:
    """What is known of a patient of blocks, each a label 30 mm wide."""
    labels = np.repeat([LABELS[name] for name in names], 10)[:, None, None]
    labels = np.broadcast_to(labels, (len(labels), 12, 12)).astype(np.uint8)
    affine = np.diag([-3.0, -3.0, 5.0, 1.0])
    scan = as_slices(Volume(np.zeros(labels.shape, np.int16), affine), Labels(labels, affine))
    return look_up(scan, phases, ABDOMEN)


def patients(count: int, *, labelled_fat: bool = True) -> list[Physiology]:
    return [
        make_physiology(
            ABDOMEN,
            np.random.default_rng([seed, 1]),
            np.random.default_rng([seed, 2]),
            labelled_fat=labelled_fat,
        )
        for seed in range(count)
    ]


def draw(known: Known, drawn: list[Physiology], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return what patients' labels measure and take up, each (patients, labels)."""
    base, response = (
        np.array([getattr(one, name)[known.values] for one in drawn], np.float64)
        for name in ("base_hu", "response")
    )
    dose = np.array([one.dose for one in drawn])[:, None]
    texture, uneven = np.sqrt(known.mottle) * rng.standard_normal((2, *base.shape))
    uptake = dose * (response + known.uneven * uneven)
    noise = np.sqrt(known.noise) * rng.standard_normal(base.shape)
    return base + known.texture * texture + known.gain[0] * uptake + noise, uptake


USUAL = ((110.0, 150.0), (100.0, 140.0), (120.0, 175.0), (105.0, 165.0))


@pytest.mark.parametrize(
    ("names", "looks", "labelled_fat"),
    [
        (("liver", "aorta"), USUAL, True),
        (("liver", "aorta"), (*USUAL, (75.0, 150.0)), False),
    ],
)
def test_the_expected_uptake_is_that_of_patients_who_measure_the_same(
    names: tuple[str, ...], looks: tuple[tuple[float, float], ...], labelled_fat: bool
) -> None:
    """Against Monte Carlo: patients drawn from the phantom itself, weighted by their likeness."""
    known = replace(blocks(("venous", "noncontrast"), names), noise=np.full(2, 3.0))
    drawn = patients(12000, labelled_fat=labelled_fat)
    noiseless = replace(known, noise=np.zeros(2))
    measured, uptake = draw(noiseless, drawn, np.random.default_rng(0))
    for look in looks:
        hu = np.array(look)
        weight = np.exp(-0.5 * ((measured - hu) ** 2 / known.noise).sum(axis=1))
        alike = weight.sum() ** 2 / (weight**2).sum()
        assert alike > 15  # enough patients like this one
        wanted = weight @ uptake / weight.sum()
        spread = np.sqrt(weight @ (uptake - wanted) ** 2 / weight.sum())
        got = expected_uptake(replace(known, hu=hu), ABDOMEN, labelled_fat=labelled_fat)
        assert (np.abs(got - wanted) < 3.5 * spread / np.sqrt(alike)).all(), look


@pytest.mark.parametrize("phase", ["venous", "arterial", "delayed"])
def test_nothing_does_better_over_many_patients(phase: Phase) -> None:
    known = blocks((phase, "noncontrast"))
    measured, uptake = draw(known, patients(160), np.random.default_rng(1))
    change = known.gain[0] * uptake
    ours = np.array(
        [
            known.gain[0] * expected_uptake(replace(known, hu=hu), ABDOMEN, labelled_fat=True)
            for hu in measured
        ]
    )
    error = np.sqrt(((ours - change) ** 2).mean(axis=0))
    same_for_all = np.sqrt(((known.gain[0] - change) ** 2).mean(axis=0))
    to_the_table = np.sqrt(((measured - known.base - change) ** 2).mean(axis=0))
    slope = [np.polyfit(m, c, 1) for m, c in zip(measured.T, change.T, strict=True)]
    alone = np.array([np.polyval(fit, m) for fit, m in zip(slope, measured.T, strict=True)]).T
    each_alone = np.sqrt(((alone - change) ** 2).mean(axis=0))  # the best line, fitted on the truth
    for rival in (same_for_all, to_the_table, each_alone):
        assert (error < 1.02 * rival).all(), dict(zip(LABEL_NAMES, rival, strict=False))
        assert error.mean() < 0.95 * rival.mean()
    assert (error < 0.45 * same_for_all).sum() >= 4


def test_blood_is_the_same_everywhere_and_a_kidney_responds_as_a_whole() -> None:
    known = blocks(("venous", "noncontrast"))
    at = {LABEL_NAMES[value]: n for n, value in enumerate(known.values)}
    drawn = patients(3000)
    for what, variance in (
        ("base_hu", known.base_variance),
        ("response", known.response_variance),
    ):
        values = np.array([getattr(one, what)[known.values] for one in drawn])
        np.testing.assert_allclose(np.cov(values.T), variance, atol=0.08 * variance.max())
    assert known.base_variance[at["aorta"], at["vena_cava"]] > 10
    assert known.response_variance[at["kidney_cortex"], at["kidney_medulla"]] > 0.005


def test_a_dose_seen_in_one_organ_is_known_in_another() -> None:
    known = blocks(("venous", "noncontrast"), ("liver", "aorta"))
    usual = known.base + known.gain[0]
    more = np.where(known.values == LABELS["aorta"], 30.0, 0.0)
    least, middle, most = (
        expected_uptake(replace(known, hu=usual + sign * more), ABDOMEN, labelled_fat=True)
        for sign in (-1, 0, 1)
    )
    assert middle == pytest.approx(1.0, abs=0.02)
    assert (most > middle + 0.03).all()  # though the liver measures the same
    assert (least < middle - 0.03).all()


def test_a_liver_of_little_hu_may_be_fatty_where_no_label_says_so() -> None:
    known = blocks(("venous", "noncontrast"), ("liver", "spleen", "aorta"))
    fatty = known.base + known.gain[0] - np.where(known.values == LABELS["liver"], 40.0, 0.0)
    told, untold = (
        expected_uptake(replace(known, hu=fatty), ABDOMEN, labelled_fat=labelled)
        for labelled in (True, False)
    )
    liver = known.values == LABELS["liver"]
    assert told[liver] < 0.75
    assert untold[liver] == pytest.approx(1.0, abs=0.06)
