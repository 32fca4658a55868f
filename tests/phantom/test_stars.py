from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.phantom.parameters import (
    DOSE_SD,
    LABELS,
    NULL_TISSUES,
    ORGANS,
    TISSUES,
    label_values,
)
from medcyclegan.phantom.population import DIFFERING, PLAIN, Population
from medcyclegan.phantom.setting import Painted, Streams
from medcyclegan.phantom.shapes import Grid
from medcyclegan.phantom.stars import FILLED, SPOTS, STARS, paint_stars

PLAINLY, DIFFERENTLY = PLAIN["contrast"], DIFFERING["contrast"]
NUMBERS = {"anatomy": 1, "findings": 7}


def make_grid(step: float, slices: int = 32) -> Grid:
    line = np.arange(-192.0, 192.0 + step / 2, step).astype(np.float32)
    return Grid((-50.0 + 5.0 * np.arange(slices)).astype(np.float32), line, line)


def streams(seed: int) -> Streams:
    return lambda name: np.random.default_rng([seed, NUMBERS[name]])


def paint(seed: int, population: Population = PLAINLY, step: float = 4.0) -> Painted:
    return paint_stars(make_grid(step), streams(seed), population)


def counts(painted: Painted) -> npt.NDArray[np.int64]:
    return np.bincount(painted.labels.ravel(), minlength=len(LABELS))


@pytest.mark.parametrize("population", [PLAINLY, DIFFERENTLY])
def test_a_finer_grid_shows_the_same_patient(population: Population) -> None:
    for seed in range(3):
        coarse, fine = paint(seed, population), paint(seed, population, step=2.0)
        np.testing.assert_array_equal(coarse.labels, fine.labels[:, ::2, ::2])
        assert coarse.findings == fine.findings
    assert (paint(0).labels != paint(1).labels).mean() > 0.03


def test_every_patient_has_every_organ_inside_the_field_of_view() -> None:
    for seed in range(12):
        found = counts(paint(seed, step=3.0))
        for name in (*ORGANS, *NULL_TISSUES, "portal_vein", "lung", "muscle", "renal_pelvis"):
            assert found[list(label_values(name))].sum() >= 20, (seed, name)
        labels = paint(seed).labels
        assert not any(np.take(labels, n, axis).any() for axis in (1, 2) for n in (0, -1))


def test_organs_lie_anywhere_and_keep_clear_of_each_other() -> None:
    sides = []
    for seed in range(12):
        labels = paint(seed).labels
        places = np.argwhere(labels == LABELS["liver"]).mean(axis=0)
        sides.append(places[1:] > (labels.shape[1] - 1) / 2)
        aorta, spongy = (labels == LABELS[name] for name in ("aorta", "spongy_bone"))
        assert aorta.any(axis=(1, 2)).all()  # it runs through
        assert spongy.any(axis=(1, 2)).all()
    assert set(np.mean(sides, axis=0).tolist()) & {0.0, 1.0} == set()


def test_shells_lie_one_inside_the_other() -> None:
    labels = paint(2, step=2.0).labels
    medulla, pelvis = (labels == LABELS[name] for name in ("kidney_medulla", "renal_pelvis"))
    spongy = labels == LABELS["spongy_bone"]
    for inner, around in ((pelvis, "kidney_medulla"), (spongy, "cortical_bone")):
        beside = np.zeros_like(inner)
        for axis in (1, 2):
            for step in (-1, 1):
                beside |= np.roll(inner, step, axis)
        assert np.isin(labels[beside & ~inner], LABELS[around]).mean() > 0.9
    assert medulla.any()


def test_patients_without_findings_have_plain_lesions_and_are_else_the_same() -> None:
    for seed in range(6):
        plain, other = paint(seed), paint(seed, Population(("venous",), {}, findings={"clip": 1.0}))
        assert plain.findings == other.findings == ()
        same = plain.labels == other.labels
        assert set(plain.labels[~same].tolist()) <= {LABELS["lesion"]}
        assert set(other.labels[~same].tolist()) <= {LABELS["liver"]}


def test_findings_are_where_they_are_said_to_be() -> None:
    everything = Population(("venous",), {}, findings=dict.fromkeys((*SPOTS, *FILLED), 1.0))
    grid = make_grid(2.0)
    seen: set[str] = set()
    for seed in range(6):
        painted = paint(seed, everything, step=2.0)
        seen |= {finding.name for finding in painted.findings}
        for finding in painted.findings:
            x, y, z = np.array(finding.centre_mm) * (-1, -1, 1)
            if not grid.z[0] <= z <= grid.z[-1]:
                continue
            near = tuple(
                int(np.abs(axis - at).argmin())
                for axis, at in zip((grid.z, grid.y, grid.x), (z, y, x), strict=True)
            )
            there = painted.labels[near[0], near[1] - 1 : near[1] + 2, near[2] - 1 : near[2] + 2]
            assert np.isin(there, [LABELS[name] for name in SPOTS]).any(), finding
        found = counts(painted)
        for name, whole in FILLED.items():
            assert found[LABELS[name]] > 0, name
            assert found[LABELS[whole]] == 0, whole
    assert seen == set(SPOTS) - {"lesion"}


def test_findings_are_as_large_as_they_are_said_to_be() -> None:
    sizes = []
    cysts = Population(("venous",), {}, findings={"liver_cyst": 1.0})
    for seed in range(10):
        painted = paint(seed, cysts, step=2.0)
        if all(-35 < finding.centre_mm[2] < 90 for finding in painted.findings):
            drawn = sum(np.pi / 6 * finding.diameter_mm**3 for finding in painted.findings)
            sizes.append(counts(painted)[LABELS["liver_cyst"]] * 2.0 * 2.0 * 5.0 / drawn)
    assert len(sizes) >= 3
    assert 0.7 < np.median(sizes) < 1.2
    assert all(0.3 < size < 1.4 for size in sizes), sizes


def test_findings_are_as_frequent_as_the_population_has_them() -> None:
    shares = {"hypo_lesion": 0.5, "calcified_plaque": 0.2}
    population = Population(("venous",), {}, findings=shares)
    found = [
        {f.name for f in paint_stars(make_grid(12.0, 4), streams(seed), population).findings}
        for seed in range(120)
    ]
    for name, share in shares.items():
        assert np.mean([name in names for names in found]) == pytest.approx(share, abs=0.11)


def test_patients_of_a_wider_population_are_wider() -> None:
    slim, wide = (
        np.mean(
            [
                (paint(seed, Population(("venous",), {}, habitus=shift)).labels[5] > 0).sum()
                for seed in range(5)
            ]
        )
        for shift in (-1.0, 1.0)
    )
    assert wide > 1.25 * slim


def test_the_table_is_another_than_the_abdomens() -> None:
    assert STARS.tissues is not TISSUES
    for organ in ORGANS:
        for name in {"kidneys": ("kidney_cortex", "kidney_medulla")}.get(organ, (organ,)):
            here, there = STARS.tissues[name], TISSUES[name]
            for phase in ("base_hu", "arterial", "venous", "delayed"):
                assert getattr(here, phase) != getattr(there, phase), (name, phase)
    assert STARS.dose_sd > DOSE_SD
    for name in (*NULL_TISSUES, "kidney_cyst", "gallstone", "calcified_plaque"):
        row = STARS.tissues[name]
        assert row.arterial == row.venous == row.delayed == 0
