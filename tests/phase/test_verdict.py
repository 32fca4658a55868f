from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.phase import Evidence, weigh

WEIGHTS = st.lists(st.floats(-4, 4), max_size=6)


@given(WEIGHTS)
def test_evidence_against_mirrors_evidence_for(weights: list[float]) -> None:
    phase = weigh([Evidence(one, "x") for one in weights])
    mirrored = weigh([Evidence(-one, "x") for one in weights])
    opposite = {"contrast": "noncontrast", "noncontrast": "contrast", "unknown": "unknown"}
    assert mirrored.verdict == opposite[phase.verdict]
    assert mirrored.confidence == phase.confidence
    assert 0 <= phase.confidence <= 1


def test_the_confidence_is_a_probability() -> None:
    assert weigh([Evidence(math.log(9), "a")]).confidence == 0.9
    assert weigh([Evidence(0.0, "a")]) == weigh([Evidence(0.0, "a")])
    assert weigh([]).confidence == 0
    assert weigh([Evidence(0.6, "a")]).verdict == "unknown"
    assert weigh([Evidence(2.0, "a"), Evidence(-2.0, "b")]).verdict == "unknown"
