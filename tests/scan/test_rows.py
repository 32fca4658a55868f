from __future__ import annotations

import csv
import io
import json

from medcyclegan.scan import ScanRow, rows_to_csv, rows_to_json

ROWS = [
    ScanRow("a/x.nii", "nifti", problems=("is empty", "of two kinds")),
    ScanRow("b", "dicom", (6, 5, 4), (0.8, 0.8, 2.5), "LPS", -1000, 50, "contrast", 0.9, (), True),
]
CONTRACT = (
    "path format shape spacing_mm orientation hu_min hu_max phase confidence problems accepted"
)


def test_json_has_the_fields_of_the_contract_in_order() -> None:
    objects = json.loads(rows_to_json(ROWS))
    assert list(objects[0])[:11] == CONTRACT.split()
    assert [one["accepted"] for one in objects] == [False, True]
    assert objects[1]["spacing_mm"] == [0.8, 0.8, 2.5]
    assert objects[0]["hu_min"] is None


def test_csv_reads_back() -> None:
    table = list(csv.DictReader(io.StringIO(rows_to_csv(ROWS))))
    assert [one["path"] for one in table] == ["a/x.nii", "b"]
    assert (table[1]["shape"], table[1]["spacing_mm"]) == ("6x5x4", "0.8x0.8x2.5")
    assert [one["accepted"] for one in table] == ["false", "true"]
    assert table[0]["problems"] == "is empty; of two kinds"
