from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from medcyclegan.phantom import (
    DIFFERING,
    FINDINGS,
    LABELS,
    LESIONS,
    LOOKALIKES,
    PLAIN,
    RULE_BREAKERS,
    SEGMENTED,
    TISSUES,
    PhantomCase,
    Population,
    label_values,
    make_case,
)
from medcyclegan.phantom.anatomy import paint_patient
from medcyclegan.phantom.findings import plan_findings, planning_grid
from medcyclegan.phantom.marks import FILLING, ORGANS_OF

ALL = Population(
    phases=("venous",), scanners={"smooth": 1.0}, findings=dict.fromkeys(FINDINGS, 1.0)
)
FEW = Population(
    phases=("venous",),
    scanners={"smooth": 1.0},
    findings=dict.fromkeys(set(FINDINGS) - {"kidney_bed", "fatty_liver"}, 1.0),
)
DOCUMENTED = {  # HU without contrast medium
    "calcified_plaque": (200, 1000), "kidney_stone": (250, 1200), "gallstone": (30, 400),
    "oral_contrast": (150, 400), "clip": (2000, 3000), "kidney_cyst": (-5, 20),
    "liver_cyst": (-5, 20), "ascites": (-5, 20), "unopacified_cava": (30, 55),
    "kidney_bed": (-120, -85), "fatty_liver": (-5, 40), "atrophic_kidney": (20, 40),
    "opacified_pelvis": (-5, 15), "hypo_lesion": (25, 50), "hyper_lesion": (35, 60),
}  # fmt: skip
RISE = {  # HU that venous enhancement adds
    "fatty_liver": (25, 75), "atrophic_kidney": (25, 90), "opacified_pelvis": (200, 900),
    "hypo_lesion": (8, 40), "hyper_lesion": (20, 75),
}  # fmt: skip


def every(seed: int, population: Population, **options: object) -> PhantomCase:
    populations = {"contrast": population, "noncontrast": population}
    return make_case(seed, "venous", populations=populations, slices=32, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def full() -> list[PhantomCase]:
    """Patients with all they can have at once."""
    return [every(seed, population) for seed in (0, 1) for population in (ALL, FEW)]


def core(case: PhantomCase, name: str) -> np.ndarray:
    """Where a tissue fills the voxel and its neighbours in the slice."""
    mask = case.labels.array == LABELS[name]
    for axis in (0, 1):
        mask = mask & np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    return mask


def test_every_finding_can_be_seen_and_has_a_label_of_its_own(full: list[PhantomCase]) -> None:
    seen = {finding.name for case in full for finding in case.findings}
    assert seen == set(FINDINGS) == set(ORGANS_OF)
    for case in full:
        there = {name for name in FINDINGS if (case.labels.array == LABELS[name]).any()}
        assert {finding.name for finding in case.findings} == there
        assert not there >= {"kidney_bed", "atrophic_kidney"}
    assert set(FINDINGS) == {*LOOKALIKES, *RULE_BREAKERS, *LESIONS} - {"lesion"}


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_measure_what_is_documented_in_both_phases(
    full: list[PhantomCase], name: str
) -> None:
    low, high = DOCUMENTED[name]
    for case in full:
        assert low <= case.physiology.base_hu[LABELS[name]] <= high
        rise = case.dose * float(case.physiology.response[LABELS[name]]) * TISSUES[name].venous
        least, most = RISE.get(name, (0, 0))
        assert least <= rise <= most
    measured = 0
    for case in full:
        inside = core(case, name)
        if inside.sum() < 20:  # too small to be clear of its surroundings
            continue
        measured += 1
        base = float(case.physiology.base_hu[LABELS[name]])
        row = TISSUES[name]
        rise = case.dose * float(case.physiology.response[LABELS[name]]) * row.venous
        slack = 8.0 + 0.08 * abs(base)
        assert np.median(case.clean_twin.array[inside]) == pytest.approx(base, abs=slack)
        change = case.clean.array - case.clean_twin.array
        assert np.median(change[inside]) == pytest.approx(rise, abs=5.0 + 0.25 * rise)
    small = {"calcified_plaque", "kidney_stone", "gallstone", "clip", "opacified_pelvis"}
    assert measured or name in small


def test_small_findings_stand_out_in_both_phases(full: list[PhantomCase]) -> None:
    for name, least in (("calcified_plaque", 200), ("kidney_stone", 150), ("clip", 600)):
        for case in full:
            mask = case.labels.array == LABELS[name]
            if mask.any():
                assert case.clean.array[mask].max() > least, name
                assert case.clean_twin.array[mask].max() > least, name


def test_look_alikes_hold_still_in_their_core(full: list[PhantomCase]) -> None:
    for case in full:
        change = np.abs(case.clean.array - case.clean_twin.array)
        for name in LOOKALIKES:
            inside = core(case, name)
            if inside.sum() >= 20:
                assert np.median(change[inside]) < 5.0, name


def test_round_findings_are_where_the_case_says_and_as_large(full: list[PhantomCase]) -> None:
    for case in full:
        affine, labels = case.labels.affine, case.labels.array
        world = np.argwhere(labels > 0) @ affine[:3, :3].T + affine[:3, 3]
        values = labels[labels > 0]
        for finding in case.findings:
            assert finding.organ == ORGANS_OF[finding.name]
            if finding.name in FILLING:
                continue
            distance = np.linalg.norm((world - finding.centre_mm)[:, :2], axis=1)
            level = np.abs(world[:, 2] - finding.centre_mm[2]) <= 2.6
            within = (distance <= finding.diameter_mm / 2) & level
            mine = values == LABELS[finding.name]
            assert (within & mine).any(), finding
            if finding.name in ("hypo_lesion", "hyper_lesion", "liver_cyst"):
                assert mine[within & (distance < finding.diameter_mm / 2 - 2)].all(), finding


def test_lesions_have_the_volume_of_their_diameter() -> None:
    only = Population(phases=("venous",), scanners={"smooth": 1.0}, findings={"hypo_lesion": 1.0})
    for seed in range(3):
        case = every(seed, only)
        voxels = (case.labels.array == LABELS["hypo_lesion"]).sum()
        balls = sum(np.pi / 6 * finding.diameter_mm**3 for finding in case.findings)
        volume = voxels * np.prod(case.labels.affine.diagonal()[:3])
        assert case.findings
        assert volume == pytest.approx(balls, rel=0.25)


def test_a_patient_is_otherwise_the_same_man() -> None:
    none = Population(phases=("venous",), scanners={"smooth": 1.0}, findings={"clip": 0.0})
    without, with_all = every(4, none), every(4, ALL)
    marked = np.isin(with_all.labels.array, [LABELS[name] for name in FINDINGS])
    same = without.labels.array == with_all.labels.array
    assert same[~marked].all()
    assert not without.findings
    far = np.abs(without.clean.array - with_all.clean.array) > 1.0
    assert far[~marked].mean() < 0.05  # blur of a finding's rim reaches a little beyond it


def planned(seed: int, shares: Mapping[str, float]) -> set[str]:
    painter = paint_patient(planning_grid(), np.random.default_rng(seed))
    marks = plan_findings(painter, np.random.default_rng((seed, 1)), shares)
    return {mark.name for mark in marks} & set(FINDINGS)


def test_a_rarer_finding_is_found_in_some_of_the_same_patients() -> None:
    few, many = (
        {seed for seed in range(16) if planned(seed, {"fatty_liver": share})}
        for share in (0.3, 0.7)
    )
    assert set() < few < many < set(range(16))


def test_the_plain_populations_have_no_findings_and_lesions_of_one_kind() -> None:
    case = make_case(0, "venous", size=64, slices=24)
    assert not case.findings
    assert (case.labels.array == LABELS["lesion"]).any()
    assert not np.isin(case.labels.array, [LABELS[name] for name in FINDINGS]).any()
    differing = make_case(0, "venous", size=64, slices=24, populations=DIFFERING)
    assert not (differing.labels.array == LABELS["lesion"]).any()
    assert not PLAIN["contrast"].findings


def test_prevalence_differs_between_the_domains_as_documented() -> None:
    counted = {}
    for domain, population in DIFFERING.items():
        found = [planned(seed, population.findings) for seed in range(40)]
        counted[domain] = Counter(name for names in found for name in names)
        for name, share in population.findings.items():
            assert counted[domain][name] / 40 == pytest.approx(share, abs=0.2), name
    assert set(counted["contrast"]) == set(FINDINGS)
    assert counted["contrast"]["hypo_lesion"] > counted["noncontrast"]["hypo_lesion"] + 5
    assert counted["contrast"]["calcified_plaque"] < counted["noncontrast"]["calcified_plaque"] - 3


def test_segmented_organs_hold_their_findings() -> None:
    parts = [part for parts in SEGMENTED.values() for part in parts]
    assert len(parts) == len(set(parts))
    assert set(parts) <= set(LABELS)
    assert set(label_values("kidneys")) <= {LABELS[part] for part in SEGMENTED["kidneys"]}
