from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom import DIFFERING, LABELS, PhantomCase, make_case


@pytest.fixture(scope="module")
def phases() -> dict[str, PhantomCase]:
    """One patient in three phases."""
    return {
        "arterial": make_case(3, "arterial", scanner="smooth", slices=32),
        "venous": make_case(3, "venous", scanner="smooth", slices=32),
        "delayed": make_case(3, "delayed", scanner="smooth", slices=32),
    }


def rise(case: PhantomCase, name: str) -> float:
    change = case.clean.array - case.clean_twin.array
    return float(np.median(change[case.labels.array == LABELS[name]]))


def test_contrast_medium_washes_out_of_vessels_and_organs(phases: dict[str, PhantomCase]) -> None:
    for name in ("aorta", "portal_vein", "liver", "spleen", "pancreas"):
        assert rise(phases["delayed"], name) < 0.85 * rise(phases["venous"], name), name
    assert rise(phases["arterial"], "aorta") > 2 * rise(phases["venous"], "aorta")
    vessels = [rise(phases["delayed"], name) for name in ("aorta", "vena_cava")]
    assert vessels[0] == pytest.approx(vessels[1], rel=0.25)


def test_kidneys_are_even_and_excrete(phases: dict[str, PhantomCase]) -> None:
    cortex, medulla = (rise(phases["delayed"], f"kidney_{part}") for part in ("cortex", "medulla"))
    assert cortex == pytest.approx(medulla, rel=0.25)
    assert rise(phases["venous"], "renal_pelvis") < 60
    assert rise(phases["delayed"], "renal_pelvis") > 120


def test_everyone_excretes_by_the_delayed_phase_where_findings_are_labelled() -> None:
    case = make_case(3, "delayed", populations=DIFFERING, slices=32)
    assert case.domain == "contrast"
    assert "opacified_pelvis" in {finding.name for finding in case.findings}
    assert not (case.labels.array == LABELS["renal_pelvis"]).any()
    mask = case.labels.array == LABELS["opacified_pelvis"]
    assert case.clean.array[mask].max() > 250
    assert case.clean_twin.array[mask].max() < 80
