"""Figures without pairs are those of METRICS, combined over patients as `evaluate` does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics import METRICS
from medcyclegan.metrics.reference import Hu, Reference, make_scan
from medcyclegan.phantom import PhantomCase
from medcyclegan.validation import Acquisition
from medcyclegan.validation.figures import Tally
from medcyclegan.volume import Volume

WINDOW = Window(-160.0, 600.0)


@pytest.fixture(scope="module")
def references(cases: Sequence[PhantomCase], targets: Sequence[Acquisition]) -> list[Reference]:
    held_to = [make_scan(one.volume) for one in targets if isinstance(one.volume, Volume)]
    return [
        Reference(case.patient, make_scan(case.image), WINDOW, targets=held_to)
        for case in cases[:2]
    ]


def figures(references: Sequence[Reference], outputs: Sequence[Hu]) -> dict[str, float]:
    tally = Tally()
    for reference, output in zip(references, outputs, strict=True):
        tally.add(reference, output)
    return tally.figures()


def test_they_are_those_of_the_metrics(references: list[Reference]) -> None:
    outputs = [reference.source.hu * np.float32(1.1) + 3 for reference in references]
    found = figures(references, outputs)
    for name in ("patch_distance", "edges_invented", "structure_kept"):
        metric = METRICS[name]
        parts = [
            metric.measure(reference, output)["volume"]
            for reference, output in zip(references, outputs, strict=True)
        ]
        assert found[name] == metric.combine(np.array(parts)), name
    rows = METRICS["null_by_source_hu"].measure(references[0], outputs[0])
    assert {f"null_by_source_hu_{row}" for row in rows} <= set(found)
    assert found["null_by_source_hu_fat"] == pytest.approx(7, abs=3)


def test_identity_inversion_and_a_drift_of_the_whole(references: list[Reference]) -> None:
    same = figures(references, [reference.source.hu for reference in references])
    assert same["soft_tissue_changed"] == 0
    assert same["correlation"] == pytest.approx(1)
    assert same["null_by_source_hu_fat"] == same["edges_invented"] == 0
    inverted = figures(references, [-reference.source.hu for reference in references])
    assert inverted["correlation"] == pytest.approx(-1)
    assert inverted["structure_kept"] < 0
    drift = figures(references, [reference.source.hu + 9 for reference in references])
    assert drift["soft_tissue_changed"] == 0
    more = figures(references, [reference.source.hu + 11 for reference in references])
    assert more["soft_tissue_changed"] == 1


def test_what_cannot_be_said_is_left_out(references: list[Reference]) -> None:
    empty = Reference(
        "air", make_scan(Volume(np.full((9, 9, 3), -1000, np.int16), np.eye(4))), WINDOW,
        targets=references[0].targets,
    )  # fmt: skip
    assert set(figures([empty], [empty.source.hu])) <= {"structure_kept"}
