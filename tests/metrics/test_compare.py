from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.intensity import Window
from medcyclegan.metrics.compare import compare
from medcyclegan.metrics.reference import Hu, Reference, Scan, Tissues, TissueTable

LIVER, FAT = {"liver": (1,)}, {"fat": (2,)}
LABELS = np.full((2, 24, 24), 2, np.uint8)
LABELS[:, 6:16, 6:16] = 1


def slices(liver: float, fat: float) -> Hu:
    return np.where(LABELS == 1, liver, fat).astype(np.float32)


def references(
    organs: Tissues = LIVER, null_tissues: Tissues = FAT, aside: tuple[str, ...] = ()
) -> list[Reference]:
    table = TissueTable(organs, null_tissues, aside=frozenset(aside))
    pairs = [(slices(100, -100), slices(50, -100)), (slices(120, -90), slices(50, -90))]
    return [
        Reference(
            str(number),
            Scan(source, (5.0, 3.0, 3.0), LABELS),
            Window(-200, 600),
            table,
            truth=truth,
        )
        for number, (source, truth) in enumerate(pairs)
    ]


OUTPUTS = [slices(60, -97), slices(70, -91)]
IDLE = {"idle": [each.source.hu for each in references()]}


def test_the_table_by_hand() -> None:
    truths = [slices(50, -100), slices(50, -90)]
    table = compare(references(), OUTPUTS, {**IDLE, "truth": truths})
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


def summary_of(**changes: Any) -> dict[str, Any]:
    return compare(references(**changes), OUTPUTS, IDLE)["summary"]


def test_what_is_set_aside_has_no_part_in_the_means_and_an_organ_no_row() -> None:
    both = {**FAT, "air": (1,)}  # the liver's voxels under another name: 40 and 50 HU away
    assert summary_of(null_tissues=both)["mean_shift_hu"] == (2 + 45) / 2
    summary = summary_of(null_tissues=both, aside=("air",))
    assert summary["mean_shift_hu"] == 2.0
    assert (summary["largest_shift_in"], summary["largest_shift_hu"]) == ("air", 45.0)

    odd = {**LIVER, "fatty_liver": (1,), "still": (2,)}  # the last has a gap of 0
    assert summary_of(organs=odd)["worst"] is None
    summary = summary_of(organs=odd, aside=("still", "fatty_liver"))
    table = compare(references(organs=odd, aside=("still", "fatty_liver")), OUTPUTS, IDLE)
    assert list(table["organs"]) == ["liver"]
    assert summary["worst"] == summary["mean"] == 0.75
    assert summary["baselines"]["idle"]["mean"] == 0.0


def test_one_organ_of_which_nothing_can_be_said_leaves_the_summary_empty() -> None:
    still = {"liver": (1,), "fat": (2,)}  # fat does not change: its gap closed is 0 / 0
    table = compare(references(organs=still, null_tissues={}), OUTPUTS, {})
    assert table["organs"]["liver"]["gap_closed"] == 0.75
    assert table["organs"]["fat"]["gap_closed"] is None
    assert {table["summary"][key] for key in ("worst", "median", "mean")} == {None}


def test_a_tissue_no_patient_has_keeps_its_row_and_leaves_the_summary_empty() -> None:
    absent = references({**LIVER, "spleen": (9,)}, {**FAT, "bone": (8,)})
    table = compare(absent, OUTPUTS, IDLE)
    assert table["organs"]["spleen"] == {
        "patients": 0, "input_hu": None, "output_hu": None, "twin_hu": None, "gap_closed": None,
        "baselines": {"idle": {"gap_closed": None}},
    }  # fmt: skip
    summary = table["summary"]
    baseline = summary.pop("baselines")["idle"]
    assert set(summary.values()) == set(baseline.values()) == {None}


def test_a_tissue_no_patient_has_and_that_is_set_aside_is_left_out() -> None:
    absent = references({**LIVER, "cyst": (9,)}, {**FAT, "clip": (8,)}, ("cyst", "clip"))
    assert compare(absent, OUTPUTS, IDLE) == compare(references(), OUTPUTS, IDLE)


def test_the_table_is_json_even_where_nothing_can_be_said() -> None:
    still = Reference(
        "p",
        Scan(slices(50, 0), (5.0, 3.0, 3.0), LABELS),
        Window(-200, 600),
        TissueTable(LIVER),
        truth=slices(50, 0),
    )
    table = compare([still], [slices(50, 0)], {})
    assert table["organs"]["liver"]["gap_closed"] is None
    assert table["summary"]["worst"] is None
    json.dumps(table, allow_nan=False)


def test_outputs_must_be_of_the_sources_shape_and_one_for_each() -> None:
    small = np.zeros((2, 4, 4), np.float32)
    with pytest.raises(GeometryError):
        compare(references(), [small, small], {})
    with pytest.raises(ValueError, match="shorter"):
        compare(references(), OUTPUTS[:1], {})
