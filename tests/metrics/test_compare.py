from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.metrics import METRICS, Tissues, Trial, compare
from medcyclegan.volume import Labels, Volume

AFFINE = np.diag([-3.0, -3.0, 5.0, 1.0])
LIVER, FAT = {"liver": (1,)}, {"fat": (2,)}


def volume(liver: float, fat: float) -> Volume:
    array = np.full((24, 24, 2), fat, np.float32)
    array[6:16, 6:16] = liver
    return Volume(array, AFFINE)


LABELS = Labels(np.where(volume(1, 2).array == 1, 1, 2).astype(np.uint8), AFFINE)
CASES = [
    SimpleNamespace(image=volume(100, -100), clean_twin=volume(50, -100), labels=LABELS),
    SimpleNamespace(image=volume(120, -90), clean_twin=volume(50, -90), labels=LABELS),
]


def test_the_table_by_hand() -> None:
    table = compare(
        CASES,
        [volume(60, -97), volume(70, -91)],
        {"idle": [case.image for case in CASES], "truth": [case.clean_twin for case in CASES]},
        organs=LIVER,
        null_tissues=FAT,
    )
    assert table["patients"] == 2
    assert table["organs"]["liver"] == {
        "patients": 2, "input_hu": 110.0, "output_hu": 65.0, "twin_hu": 50.0, "gap_closed": 0.75,
        "baselines": {"idle": {"gap_closed": 0.0}, "truth": {"gap_closed": 1.0}},
    }  # fmt: skip
    assert table["null_tissues"]["fat"] == {
        "patients": 2, "input_hu": -95.0, "output_hu": -94.0, "twin_hu": -95.0,
        "shift_hu": 2.0, "change_hu": 2.0,
        "baselines": {key: {"shift_hu": 0.0, "change_hu": 0.0} for key in ("idle", "truth")},
    }  # fmt: skip
    summary = table["summary"]
    assert (summary["worst"], summary["median"], summary["mean"]) == (0.75, 0.75, 0.75)
    assert (summary["mean_shift_hu"], summary["largest_shift_hu"]) == (2.0, 2.0)
    assert summary["largest_shift_in"] == "fat"
    assert summary["baselines"]["truth"]["mean"] == 1.0


def row_of_summary(null_tissues: Tissues, aside: tuple[str, ...] = ()) -> dict[str, Any]:
    table = compare(
        CASES,
        [volume(60, -97), volume(70, -91)],
        {},
        organs=LIVER,
        null_tissues=null_tissues,
        aside=aside,
    )
    return table["summary"]


def test_what_is_set_aside_has_its_row_but_no_part_in_the_mean() -> None:
    both = {**FAT, "air": (1,)}  # the liver's voxels under another name: 40 and 50 HU away
    assert row_of_summary(both)["mean_shift_hu"] == (2 + 45) / 2
    summary = row_of_summary(both, aside=("air",))
    assert summary["mean_shift_hu"] == 2.0
    assert (summary["largest_shift_in"], summary["largest_shift_hu"]) == ("air", 45.0)


def test_one_organ_of_which_nothing_can_be_said_leaves_the_summary_empty() -> None:
    still = {"liver": (1,), "fat": (2,)}  # fat does not change: its gap closed is 0 / 0
    table = compare(CASES, [volume(60, -97), volume(70, -91)], {}, organs=still, null_tissues={})
    assert table["organs"]["liver"]["gap_closed"] == 0.75
    assert table["organs"]["fat"]["gap_closed"] is None
    assert {table["summary"][key] for key in ("worst", "median", "mean")} == {None}


def test_a_tissue_no_patient_has_keeps_its_row_and_leaves_the_summary_empty() -> None:
    table = compare(
        CASES,
        [volume(60, -97), volume(70, -91)],
        {"idle": [case.image for case in CASES]},
        organs={**LIVER, "spleen": (9,)},
        null_tissues={**FAT, "bone": (8,)},
    )
    assert table["organs"]["spleen"] == {
        "patients": 0, "input_hu": None, "output_hu": None, "twin_hu": None, "gap_closed": None,
        "baselines": {"idle": {"gap_closed": None}},
    }  # fmt: skip
    summary = table["summary"]
    baseline = summary.pop("baselines")["idle"]
    assert set(summary.values()) == set(baseline.values()) == {None}


def test_a_new_metric_is_a_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def voxels(trials: Sequence[Trial]) -> dict[str, float]:
        return {"liver": float(sum(trial.organs["liver"].sum() for trial in trials))}

    monkeypatch.setitem(METRICS["organs"], "voxels", voxels)
    table = compare(
        CASES,
        [volume(60, -97), volume(70, -91)],
        {"idle": [case.image for case in CASES]},
        organs=LIVER,
        null_tissues=FAT,
    )
    row = table["organs"]["liver"]
    assert row["voxels"] == row["baselines"]["idle"]["voxels"] == 2 * 8 * 8 * 2


def test_the_table_is_json_even_where_nothing_can_be_said() -> None:
    same = [SimpleNamespace(image=volume(50, 0), clean_twin=volume(50, 0), labels=LABELS)]
    table = compare(same, [volume(50, 0)], {}, organs=LIVER, null_tissues={})
    assert table["organs"]["liver"]["gap_closed"] is None
    assert table["summary"]["worst"] is None
    json.dumps(table, allow_nan=False)


def test_outputs_must_be_on_the_cases_grid_and_one_for_each() -> None:
    small = Volume(np.zeros((4, 4, 2), np.float32), AFFINE)
    with pytest.raises(GeometryError):
        compare(CASES, [small, small], {}, organs=LIVER, null_tissues=FAT)
    with pytest.raises(ValueError, match="shorter"):
        compare(CASES, [volume(50, 0)], {}, organs=LIVER, null_tissues=FAT)
