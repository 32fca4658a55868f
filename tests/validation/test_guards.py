"""Each thing that can go wrong has its line, with its figure."""

from __future__ import annotations

import pytest

from medcyclegan.validation.cycles import Cycles
from medcyclegan.validation.guards import warn_of

FINE = {
    "soft_tissue_changed": 0.4,
    "structure_kept": 0.93,
    "correlation": 0.95,
    "edges_invented": 0.01,
    "null_by_source_hu_fat": 1.0,
    "null_by_source_hu_bone": 4.0,
}
HONEST = Cycles(40.0, 40.2)


def test_nothing_is_said_of_a_good_checkpoint_or_of_what_is_not_known() -> None:
    assert not [*warn_of(FINE, HONEST, armed=True)]
    assert not [*warn_of({}, HONEST, armed=True)]


@pytest.mark.parametrize(
    ("figure", "value", "line"),
    [
        ("soft_tissue_changed", 0.034, "identity: 3.4% of soft tissue changed by more than 10 HU"),
        ("structure_kept", -0.36, "inversion: edges of source and output agree by -0.36"),
        ("correlation", -0.74, "inversion: HU of source and output agree by -0.74"),
        ("null_by_source_hu_bone", 14.04, "drift: bone moved by 14.0 HU, more than 5"),
        ("edges_invented", 0.18, "invented edges: 18.0% of the edges are new"),
    ],
)
def test_each_has_its_line(figure: str, value: float, line: str) -> None:
    said = [*warn_of({**FINE, figure: value}, HONEST, armed=True)]
    assert len(said) == 1
    assert said[0].startswith(line)
    assert "\n" not in said[0]


def test_changing_nothing_is_no_fault_at_the_start() -> None:
    assert not [*warn_of({**FINE, "soft_tissue_changed": 0.0}, HONEST, armed=False)]


def test_a_hidden_source() -> None:
    (line,) = warn_of(FINE, Cycles(2.0, 31.0), armed=False)
    assert line.startswith(
        "steganography: noise of 3 HU on the translated image makes the cycle's error 31.0 HU, "
        "2.0 without"
    )
