from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medcyclegan.evaluate.comparing import SECOND, Subject, compare_methods, summarise
from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Reference, Scan, TissueTable

TISSUES = TissueTable(organs={"liver": (1,)}, null_tissues={"bone": (2,)}, aside=frozenset({"x"}))


def table(rows: dict[str, dict[str, float | None]], metric: str = "gap_closed") -> dict[str, Any]:
    """Return a table of one metric: row -> method -> value."""
    return {
        "metrics": {
            metric: {
                "rows": {
                    row: {"methods": {name: {"value": value} for name, value in values.items()}}
                    for row, values in rows.items()
                }
            }
        }
    }


def test_a_summary_is_the_mean_over_rows_and_the_worst_organ() -> None:
    found = table(
        {"liver": {"ours": 0.8, "identity": 0.0}, "aorta": {"ours": 0.4, "identity": 0.0}}
    )
    assert summarise(found, ()) == {
        "ours": {"gap_closed": 0.6, "gap_closed_worst": 0.4},
        "identity": {"gap_closed": 0.0, "gap_closed_worst": 0.0},
    }


def test_rows_set_aside_do_not_count() -> None:
    found = table({"liver": {"ours": 0.8}, "fatty_liver": {"ours": -3.0}})
    assert summarise(found, {"fatty_liver"})["ours"]["gap_closed_worst"] == 0.8


def test_a_row_of_which_nobody_can_say_anything_does_not_count() -> None:
    found = table({"liver": {"ours": 0.8, "b": 0.5}, "aorta": {"ours": None, "b": None}})
    assert summarise(found, ())["ours"]["gap_closed"] == 0.8


def test_what_cannot_be_said_of_one_method_alone_leaves_its_summary_open() -> None:
    found = table({"liver": {"ours": 0.8, "b": 0.5}, "aorta": {"ours": None, "b": 0.5}})
    summary = summarise(found, ())
    assert summary["ours"] == {"gap_closed": None, "gap_closed_worst": None}
    assert summary["b"]["gap_closed"] == 0.5


def test_slopes_of_opposite_sign_do_not_cancel() -> None:
    found = table({"liver": {"ours": 10.0}, "aorta": {"ours": -30.0}}, "dose_slope")
    assert summarise(found, ())["ours"]["dose_slope"] == 20.0


def test_outputs_come_first_then_baselines_then_the_truth() -> None:
    labels = np.zeros((3, 30, 30), np.uint8)
    labels[:, 5:15, 5:15], labels[:, 18:25, 18:25] = 1, 2
    truth = np.full(labels.shape, -100.0, np.float32)
    truth[labels == 1], truth[labels == 2] = 50.0, 300.0
    source = truth + 40.0 * (labels == 1).astype(np.float32)
    reference = Reference(
        "one", Scan(source, (5.0, 3.0, 3.0), labels), Window(-200, 600), TISSUES, truth, truth
    )
    outputs = {"ours": lambda: truth + 4.0 * (labels == 1).astype(np.float32)}
    said: list[str] = []
    found = compare_methods(
        [Subject(reference, outputs)], {"ours": "mine"}, seed=0, say=said.append
    )
    assert list(found["methods"])[:2] == ["ours", "identity"]
    assert list(found["methods"])[-1] == SECOND
    assert found["methods"]["ours"] == {"title": "mine", "fitted_on": None}
    assert found["methods"]["best_curve"]["fitted_on"] == "the truth itself"
    assert found["summary"]["ours"]["gap_closed"] == pytest.approx(0.9)
    assert found["aside"] == ["x"]
    parts = found["cases"]["one"]["methods"]["ours"]["gap_closed"]["liver"]
    assert parts == pytest.approx([40.0, 4.0])
    assert said == ["measuring one"]
