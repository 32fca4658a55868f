from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.metrics import compare
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
        "baselines": {"idle": 0.0, "truth": 1.0},
    }  # fmt: skip
    assert table["null_tissues"]["fat"] == {
        "patients": 2, "input_hu": -95.0, "output_hu": -94.0, "twin_hu": -95.0,
        "shift_hu": 2.0, "change_hu": 2.0, "baselines": {"idle": 0.0, "truth": 0.0},
    }  # fmt: skip
    summary = table["summary"]
    assert (summary["worst"], summary["median"], summary["mean"]) == (0.75, 0.75, 0.75)
    assert summary["largest_shift_hu"] == 2.0
    assert summary["baselines"]["truth"]["mean"] == 1.0


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
