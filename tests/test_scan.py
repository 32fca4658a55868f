from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from medcyclegan.errors import InputError
from medcyclegan.io import write_volume
from medcyclegan.scan import rows_to_csv, rows_to_json, scan
from medcyclegan.volume import Volume


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    array = np.full((6, 5, 4), -1000, np.int16)
    array[2:4, 2:4] = 50
    write_volume(Volume(array, np.diag([-0.8, -0.8, 2.5, 1])), tmp_path / "in" / "b.nii.gz")
    write_volume(Volume(array + 1024, np.eye(4)), tmp_path / "in" / "a" / "shifted.nii")
    (tmp_path / "in" / "c.nii.gz").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("text")
    return tmp_path / "in"


def test_one_row_for_each_volume_good_or_bad(folder: Path) -> None:
    shifted, good, empty = scan(folder).rows
    assert (good.path, good.format, good.shape) == ("b.nii.gz", "nifti", (6, 5, 4))
    assert good.spacing_mm == (0.8, 0.8, 2.5)
    assert (good.orientation, good.hu_min, good.hu_max) == ("LPS", -1000, 50)
    assert good.accepted
    assert good.problems == ()
    assert (shifted.path, shifted.accepted) == ("a/shifted.nii", False)
    assert "not HU" in shifted.problems[0]
    assert (empty.path, empty.accepted, empty.hu_min) == ("c.nii.gz", False, None)
    assert empty.problems == ("is empty; copy it anew",)
    assert scan(folder / "b.nii.gz").rows == [good]


def test_what_is_passed_over_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert scan(Path("in")).skipped == ["in/notes.txt: skipped, no volume by name or content"]


def test_from_within_a_series_its_folder_is_named(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(real_data / "totalsegmentator" / "example_ct_dicom")
    (row,) = scan(Path(".")).rows
    assert (row.path, row.accepted) == ("example_ct_dicom", True)


def test_rows_become_json_and_csv(folder: Path) -> None:
    rows = scan(folder).rows
    objects = json.loads(rows_to_json(rows))
    assert [one["accepted"] for one in objects] == [False, True, False]
    assert objects[1]["spacing_mm"] == [0.8, 0.8, 2.5]
    table = list(csv.DictReader(io.StringIO(rows_to_csv(rows))))
    assert [one["path"] for one in table] == ["a/shifted.nii", "b.nii.gz", "c.nii.gz"]
    assert table[1]["shape"] == "6x5x4"
    assert table[0]["problems"] == rows[0].problems[0]


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        scan(tmp_path / "none")


def test_real_series_show_their_tags(real_data: Path) -> None:
    (row,) = scan(real_data / "totalsegmentator" / "example_ct_dicom").rows
    assert "ContrastBolusAgent: APPLIED" in row.phase_tags
    assert (row.shape, row.orientation, row.accepted) == ((512, 512, 20), "LPS", True)
    (bad,) = scan(real_data / "dcm_qa_ct").rows
    assert (bad.path, bad.accepted) == ("In/GE", False)
    assert "gantry tilt of 18.5" in bad.problems[0]
