from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.intensity import Window
from medcyclegan.metrics import METRICS
from medcyclegan.metrics.bootstrap import bootstrap
from medcyclegan.metrics.metric import WHOLE, Metric, Parts
from medcyclegan.metrics.organ_hu import GAP_CLOSED, NULL_SHIFT
from medcyclegan.metrics.reference import Hu, Reference, Scan, TissueTable
from medcyclegan.metrics.table import Measured, measure, tabulate

LABELS = np.array([[[1, 1, 2, 3]]], np.uint8)
TABLE = TissueTable({"liver": (1,), "spleen": (3,)}, {"fat": (2,)})
SHOWN = {"gap_closed": GAP_CLOSED, "null_shift": NULL_SHIFT}


def patient(key: str, *, gap: float = 50.0, spleen: bool = True, truth: bool = True) -> Reference:
    labels = LABELS if spleen else np.where(LABELS == 3, 0, LABELS)
    clean = np.array([[[50, 50, -100, 45]]], np.float32)
    source = clean + np.array([[[gap, gap, 0, 2 * gap]]], np.float32)
    scan = Scan(source, (5.0, 1.0, 1.0), labels)
    return Reference(key, scan, Window(-200, 600), TABLE, truth=clean if truth else None)


def with_left(reference: Reference, left: float) -> Hu:
    """Return an output whose organs are so many HU above the truth, and fat 1 HU below."""
    assert reference.truth is not None
    return reference.truth + np.array([[[left, left, -1, left]]], np.float32)


PATIENTS = [patient("p"), patient("q", gap=30), patient("r", spleen=False)]
LEFT = [10.0, 0.0, 5.0]


def methods(patients: Sequence[Reference] = PATIENTS) -> dict[str, list[Measured]]:
    return {
        "ours": [
            measure(each, with_left(each, left), SHOWN)
            for each, left in zip(patients, LEFT, strict=False)
        ],
        "identity": [measure(each, each.source.hu, SHOWN) for each in patients],
    }


def test_one_patient_by_hand() -> None:
    found = measure(PATIENTS[0], with_left(PATIENTS[0], 10), SHOWN)
    assert found == Measured(
        "p",
        {
            "gap_closed": {"liver": (50.0, 10.0), "spleen": (100.0, 10.0)},
            "null_shift": {"fat": (1.0,)},
        },
        {},
    )


def test_what_is_not_known_of_a_patient_is_not_measured() -> None:
    blind = patient("p", truth=False)
    found = measure(blind, blind.source.hu, SHOWN)
    assert list(found.parts) == ["null_shift"]
    assert found.lacking == {"gap_closed": ("truth",)}


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"\(1, 1, 4\), \(1, 1, 3\)"):
        measure(PATIENTS[0], PATIENTS[0].source.hu[..., :3], SHOWN)


def test_the_table_by_hand() -> None:
    table = tabulate(methods(), SHOWN)
    assert table["patients"] == 3
    assert table["not_measured"] == {}
    closed = table["metrics"]["gap_closed"]
    assert {key: closed[key] for key in ("title", "rows_are", "ideal")} == {
        "title": "gap closed", "rows_are": "organs", "ideal": 1.0,
    }  # fmt: skip
    assert list(closed["rows"]) == ["liver", "spleen"]
    liver = closed["rows"]["liver"]
    assert liver["patients"] == 3
    assert liver["methods"]["ours"]["value"] == pytest.approx(1 - 15 / 130, abs=1e-6)
    assert liver["methods"]["identity"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert liver["differences"].keys() == {"identity"}
    assert liver["differences"]["identity"] == liver["methods"]["ours"]
    spleen = closed["rows"]["spleen"]
    assert spleen["patients"] == 2
    assert spleen["methods"]["ours"]["value"] == pytest.approx(1 - 10 / 160, abs=1e-6)
    fat = table["metrics"]["null_shift"]["rows"]["fat"]["methods"]
    assert fat["ours"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_intervals_are_the_bootstraps() -> None:
    found = tabulate(methods(), SHOWN, resamples=200, seed=7)["metrics"]["gap_closed"]["rows"]
    ours, theirs = (
        np.array([each.parts["gap_closed"]["liver"] for each in measured])
        for measured in methods().values()
    )
    first, second = (
        bootstrap(each, GAP_CLOSED.combine, resamples=200, seed=7) for each in (ours, theirs)
    )
    wanted = {"ours": first.estimate, "identity": second.estimate}
    for name, each in wanted.items():
        assert found["liver"]["methods"][name] == pytest.approx(each._asdict(), rel=1e-5)
    difference = (first - second).estimate._asdict()
    assert found["liver"]["differences"]["identity"] == pytest.approx(difference, rel=1e-5)


def test_no_closure_is_told_without_identity() -> None:
    ours = {"ours": methods()["ours"]}
    with pytest.raises(ValueError, match="identity"):
        tabulate(ours, SHOWN)
    assert list(tabulate(ours, {"null_shift": NULL_SHIFT})["metrics"]) == ["null_shift"]


def test_metrics_that_no_patient_allows_are_named_with_what_they_need() -> None:
    blind = [patient("p", truth=False)]
    found = tabulate({"ours": [measure(each, each.source.hu) for each in blind]})
    assert found["not_measured"]["gap_closed"] == ["truth"]
    assert found["not_measured"]["noise_corrected_error"] == ["second", "truth"]
    assert found["not_measured"]["dose_slope"] == ["dose", "truth"]
    assert "null_shift" in found["metrics"]


def test_where_some_patients_have_a_truth_they_make_the_figure() -> None:
    table = tabulate(methods([PATIENTS[0], patient("s", truth=False)][:1]), SHOWN)
    assert table["metrics"]["gap_closed"]["rows"]["liver"]["patients"] == 1
    blind = patient("s", truth=False)
    both = {
        name: [*each, measure(blind, blind.source.hu, SHOWN)]
        for name, each in methods(PATIENTS[:1]).items()
    }
    table = tabulate(both, SHOWN)
    assert table["patients"] == 2
    assert table["not_measured"] == {}
    liver = table["metrics"]["gap_closed"]["rows"]["liver"]
    assert (liver["patients"], liver["methods"]["ours"]["value"]) == (1, pytest.approx(0.8))
    assert liver["methods"]["ours"]["low"] is None
    assert table["metrics"]["null_shift"]["rows"]["fat"]["patients"] == 2


def test_a_row_compares_methods_in_the_same_patients() -> None:
    def unless_untouched(reference: Reference, output: Hu) -> Parts:
        change = float(np.abs(output - reference.source.hu).max())
        return {WHOLE: (change,)} if change else {}

    picky = {"change": Metric("change", "whole", 0.0, frozenset(), unless_untouched)}
    first, second = PATIENTS[:2]
    table = tabulate(
        {
            "a": [measure(each, each.source.hu + 1, picky) for each in (first, second)],
            "b": [
                measure(first, first.source.hu + 3, picky),
                measure(second, second.source.hu, picky),
            ],
        },
        picky,
    )
    row = table["metrics"]["change"]["rows"][WHOLE]
    assert row["patients"] == 1
    assert [row["methods"][name]["value"] for name in ("a", "b")] == [1.0, 3.0]


def test_methods_are_of_the_same_patients() -> None:
    both = methods()
    with pytest.raises(ValueError, match="identity and ours were not measured in the same"):
        tabulate({**both, "identity": both["identity"][::-1]}, SHOWN)
    with pytest.raises(ValueError, match="same patients"):
        tabulate({**both, "identity": both["identity"][:2]}, SHOWN)
    with pytest.raises(ValueError, match="no methods"):
        tabulate({}, SHOWN)


def test_a_new_metric_is_a_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def loudest(reference: Reference, output: Hu) -> Parts:
        del reference
        return {WHOLE: (float(output.max()),)}

    metric = Metric("loudest voxel, HU", "whole", float("inf"), frozenset(), loudest)
    monkeypatch.setitem(METRICS, "loudest", metric)
    references = PATIENTS[:2]
    everything: dict[str, Any] = tabulate(
        {"identity": [measure(each, each.source.hu) for each in references]}
    )
    assert everything["metrics"]["loudest"]["ideal"] is None
    row = everything["metrics"]["loudest"]["rows"][WHOLE]
    assert row["methods"]["identity"]["value"] == (145 + 105) / 2


def test_the_table_is_json_even_where_nothing_can_be_said() -> None:
    still = [patient("p", gap=0.0), patient("q", gap=0.0)]  # its gap closed is 0 / 0
    table = tabulate({"identity": [measure(each, each.source.hu) for each in still]})
    closed = table["metrics"]["gap_closed"]["rows"]["liver"]["methods"]["identity"]
    assert set(closed.values()) == {None}
    json.dumps(table, allow_nan=False)
