from __future__ import annotations

from collections.abc import Callable

import pytest

from medcyclegan.phase import Evidence, judge_phase, organ_evidence, weigh
from medcyclegan.volume import Volume

ENHANCED = {"aorta": 160.0, "kidney_left": 180.0, "spleen": 115.0, "liver": 105.0}
PLAIN = {"aorta": 42.0, "kidneys": 31.0, "spleen": 47.0, "liver": 56.0}


@pytest.mark.parametrize(
    ("organs", "verdict"), [(ENHANCED, "contrast"), (PLAIN, "noncontrast"), ({}, "unknown")]
)
def test_organs_tell(organs: dict[str, float], verdict: str) -> None:
    phase = weigh(organ_evidence(organs))
    assert phase.verdict == verdict
    assert abs(sum(one.log_odds for one in organ_evidence(organs))) <= 5.0001


def test_vessels_alone_tell_and_fat_does_not() -> None:
    assert weigh(organ_evidence({"Portal vein": 140.0})).verdict == "contrast"
    assert organ_evidence({"fat": -100.0, "vertebrae_L1": 180.0}) == []


def test_of_several_vessels_the_most_telling_counts() -> None:
    (only,) = organ_evidence({"inferior_vena_cava": 85.0, "aorta": 220.0})
    assert only == Evidence(4.0, "aorta: 220 HU")


def test_a_bright_liver_alone_is_no_verdict_against_vessels() -> None:
    both = weigh(organ_evidence({"liver": 110.0, "aorta": 40.0}))
    assert both.verdict == "noncontrast"


def test_organs_overrule_the_image(make_body: Callable[..., Volume]) -> None:
    assert judge_phase(make_body(45), ENHANCED).verdict == "contrast"
