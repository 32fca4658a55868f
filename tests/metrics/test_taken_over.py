from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medcyclegan.metrics.reference import Hu, LabelMap, Reference, Scan
from medcyclegan.metrics.taken_over import TAKEN_OVER, traits

FAT = 1
Make = Callable[..., Reference]
Noise = Callable[[int], Hu]
TRAITS = {"fat HU", "noise in fat", "slope at the skin", "body area"}


@pytest.fixture
def differing(truth: Hu, noise: Noise, scan: Callable[[Hu], Scan]) -> tuple[Scan, ...]:
    """Targets with twice the noise of the source."""
    return tuple(scan(truth + 2.0 * noise(seed)) for seed in (11, 12, 13))


def taken_over(known: list[Reference], outputs: list[Hu]) -> dict[str, float]:
    parts = [TAKEN_OVER.measure(*each) for each in zip(known, outputs, strict=True)]
    assert all(set(each) == TRAITS for each in parts)
    return {name: TAKEN_OVER.combine(np.array([each[name] for each in parts])) for name in parts[0]}


def test_traits_by_hand(clean: Hu, noise: Noise, labels: LabelMap) -> None:
    fat = np.flatnonzero(labels == FAT)
    body = np.zeros(clean.shape, bool)
    body[:, 6:58, 6:58] = True
    found = traits(clean + noise(0), body, fat, (5.0, 2.0, 2.0))
    assert found["fat HU"] == pytest.approx(-100.0, abs=0.3)
    assert found["noise in fat"] == pytest.approx(10.0, rel=0.1)
    assert found["body area"] == pytest.approx(52 * 52 * 4.0 / 100.0)
    assert found["slope at the skin"] == pytest.approx(900.0 / 4.0, rel=0.03)  # over two voxels


def test_noise_that_is_put_in_is_taken_over(
    reference: Make, clean: Hu, truth: Hu, noise: Noise, differing: tuple[Scan, ...]
) -> None:
    known = [reference(source=clean + noise(seed), targets=differing) for seed in range(3)]
    stays = taken_over(known, [truth + noise(20 + seed) for seed in range(3)])
    halfway = taken_over(known, [truth + 1.5 * noise(20 + seed) for seed in range(3)])
    wholly = taken_over(known, [truth + 2.0 * noise(20 + seed) for seed in range(3)])
    assert stays["noise in fat"] == pytest.approx(0.0, abs=0.05)
    assert halfway["noise in fat"] == pytest.approx(0.5, abs=0.05)
    assert wholly["noise in fat"] == pytest.approx(1.0, abs=0.05)


def test_fat_and_habitus_likewise(
    reference: Make, clean: Hu, truth: Hu, noise: Noise, scan: Callable[[Hu], Scan]
) -> None:
    thinner = truth.copy()
    thinner[:, :7], thinner[:, :, :7] = -1000.0, -1000.0  # a body 51 voxels wide, of 52
    targets = tuple(
        scan(np.where(thinner == -100.0, -110.0, thinner) + noise(seed)) for seed in (11, 12)
    )
    known = [reference(source=clean + noise(seed), targets=targets) for seed in range(3)]
    outputs = [np.where(truth == -100.0, -102.0, truth) + noise(20 + seed) for seed in range(3)]
    for output in outputs:
        output[:, :, :7] = -1000.0  # half as thin
    found = taken_over(known, outputs)
    assert found["fat HU"] == pytest.approx(0.2, abs=0.15)
    assert found["body area"] == pytest.approx(0.5, abs=0.1)


def test_nothing_is_said_where_populations_do_not_differ_or_patients_are_few(
    reference: Make, clean: Hu, truth: Hu, noise: Noise, scan: Callable[[Hu], Scan]
) -> None:
    alike = tuple(scan(truth + noise(seed)) for seed in (11, 12, 13))
    known = [reference(source=clean + noise(seed), targets=alike) for seed in range(3)]
    outputs = [truth + 2.0 * noise(20 + seed) for seed in range(3)]
    assert np.isnan(taken_over(known, outputs)["noise in fat"])
    assert np.isnan(taken_over(known[:1], outputs[:1])["noise in fat"])
    assert TAKEN_OVER.measure(reference(targets=alike[:1]), truth) == {}


def test_patients_without_fat_are_left_out(
    reference: Make, truth: Hu, labels: LabelMap, differing: tuple[Scan, ...]
) -> None:
    lean = np.where(labels > 0, 30.0, -1000.0).astype(np.float32)
    assert TAKEN_OVER.measure(reference(source=lean, targets=differing), truth) == {}
