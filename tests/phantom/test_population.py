from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom import (
    DIFFERING,
    FINDINGS,
    PLAIN,
    SCANNERS,
    Domain,
    PhantomCase,
    Population,
    make_patients,
)


@pytest.fixture(scope="module")
def patients() -> dict[Domain, tuple[PhantomCase, ...]]:
    return {
        domain: make_patients(domain, 10, seed=2, role="test", size=48, slices=12)
        for domain in DIFFERING
    }


def test_scanners_are_drawn_in_their_shares() -> None:
    population = Population(phases=("venous",), scanners={"sharp": 0.3, "smooth": 0.7})
    rng = np.random.default_rng(0)
    drawn = [population.draw_scanner(rng) for _ in range(2000)]
    assert drawn.count("sharp") / 2000 == pytest.approx(0.3, abs=0.04)
    assert set(drawn) == set(SCANNERS)


def test_tables_of_populations_are_whole() -> None:
    for populations in (PLAIN, DIFFERING):
        for population in populations.values():
            assert sum(population.scanners.values()) == pytest.approx(1.0)
            assert set(population.scanners) <= set(SCANNERS)
            assert set(population.findings) <= set(FINDINGS)
    assert set(DIFFERING["contrast"].phases) == {"venous", "arterial", "delayed"}
    assert set(PLAIN["contrast"].phases) == {"venous", "arterial"}
    for population in DIFFERING.values():
        assert set(population.findings) == set(FINDINGS)


def test_differing_domains_differ_beyond_contrast_medium(
    patients: dict[Domain, tuple[PhantomCase, ...]],
) -> None:
    width, spacing, grain, sharp = {}, {}, {}, {}
    for domain, cases in patients.items():
        spacings = [case.image.spacing_mm[0] for case in cases]
        low, high = (edge / 48 for edge in DIFFERING[domain].field_of_view_mm)
        assert low <= min(spacings) < max(spacings) <= high
        assert all(case.domain == domain for case in cases)
        width[domain] = np.mean(
            [(case.labels.array > 0).any((1, 2)).sum() * case.image.spacing_mm[0] for case in cases]
        )
        spacing[domain] = np.mean(spacings)
        sharp[domain] = [case.scanner for case in cases].count("sharp")
        assert all(np.abs(case.clean.array - case.image.array).max() > 5 for case in cases)
        grain[domain] = np.mean(
            [(case.image.array - case.clean.array)[case.labels.array > 0].std() for case in cases]
        )
    assert width["noncontrast"] > width["contrast"] + 12
    assert spacing["noncontrast"] > spacing["contrast"]
    assert sharp["noncontrast"] >= sharp["contrast"] + 3
    assert grain["noncontrast"] > 1.4 * grain["contrast"]


def test_bodies_of_both_populations_fit_their_field_of_view(
    patients: dict[Domain, tuple[PhantomCase, ...]],
) -> None:
    for case in (*patients["contrast"], *patients["noncontrast"]):
        edges = [np.take(case.labels.array, n, axis) for n in (0, -1) for axis in (0, 1)]
        assert not any(edge.any() for edge in edges)


def test_the_target_twin_is_seen_as_the_other_domain_is(
    patients: dict[Domain, tuple[PhantomCase, ...]],
) -> None:
    pairs: list[tuple[Domain, Domain]] = [("contrast", "noncontrast"), ("noncontrast", "contrast")]
    for domain, other in pairs:
        grain = []
        for case in patients[domain]:
            one_phase = case.clean_target_twin.array - case.clean_twin.array
            body = case.labels.array > 0
            if case.target_scanner == case.scanner:
                assert not one_phase.any()
            else:
                assert one_phase[body].any()
            added = case.target_twin.array - case.clean_target_twin.array
            grain.append(added[body].std())
        shares, factor = DIFFERING[other].scanners, DIFFERING[other].noise
        expected = factor * sum(shares[n] * np.mean(SCANNERS[n].noise_hu) for n in shares)
        assert np.mean(grain) == pytest.approx(expected, rel=0.2)
