from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medcyclegan.errors import InputError
from medcyclegan.io import write_labels
from medcyclegan.io.stored import ReadOptions
from medcyclegan.scan import OrganLabels, scan
from medcyclegan.volume import Labels, Volume

WriteBody = Callable[..., Path]


def test_one_row_for_each_volume_good_or_bad(folder: Path) -> None:
    rows = scan(folder).rows
    names = ["empty.nii.gz", "late/p1.nii.gz", "late/p2.nii.gz", "plain/p3.nii.gz"]
    assert [row.path for row in rows] == [*names, "plain/shifted.nii.gz"]
    empty, first, _, plain, shifted = rows
    assert (first.format, first.shape, first.orientation) == ("nifti", (110, 90, 4), "LPS")
    assert first.spacing_mm == (3.0, 3.0, 5.0)
    assert (first.accepted, first.problems, first.region) == (True, (), "abdomen")
    assert first.hu_min is not None
    assert first.hu_min < -1000
    assert (first.phase, plain.phase) == ("contrast", "noncontrast")
    assert min(first.confidence, plain.confidence) > 0.8
    assert "bright and smooth" in first.evidence[0]
    assert len({row.patient for row in rows if row.accepted}) == 3
    assert (shifted.accepted, shifted.phase, shifted.confidence) == (False, "unknown", 0.0)
    assert "subtract 1024" in shifted.problems[0]
    assert (empty.accepted, empty.hu_min) == (False, None)
    assert empty.problems == ("is empty; copy it anew",)
    assert scan(folder / "late" / "p1.nii.gz").rows[0].shape == first.shape


def test_what_is_passed_over_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert scan(Path("in")).skipped == ["in/notes.txt: skipped, no volume by name or content"]
    for name in "abc":
        Path(f"in/{name}.txt").write_text(name)
    assert scan(Path("in")).skipped == ["in: 4 skipped, no volume by name or content"]


def test_any_number_of_workers_gives_the_same_rows(folder: Path) -> None:
    counted: list[tuple[str, int, int]] = []
    together = scan(folder, workers=2, progress=lambda *step: counted.append(step))
    assert together == scan(folder)
    assert [step for step in counted if step[0] == "volumes"] == [
        ("volumes", done, 5) for done in range(1, 6)
    ]


def test_organs_of_label_maps_are_evidence(folder: Path, tmp_path: Path) -> None:
    array = np.zeros((110, 90, 4), np.uint8)
    array[36:44, 46:54] = 7  # in a vessel
    affine = np.diag([-3.0, -3.0, 5.0, 1.0])
    for name in ("p1", "p2"):
        path = tmp_path / "labels" / "late" / f"{name}.nii.gz"
        like = Volume(np.zeros((110, 90, 4), np.int16), affine)
        write_labels(Labels(array, affine), path, like=like)
    known = OrganLabels(tmp_path / "labels", {"aorta": (7,), "liver": (1,)})
    found = scan(folder, labels=known)
    first = next(row for row in found.rows if row.path == "late/p1.nii.gz")
    assert first.evidence[1] in {"aorta: 169 HU", "aorta: 170 HU"}
    assert first.confidence > 0.99
    nameless = scan(folder, labels=OrganLabels(tmp_path / "labels", {})).rows
    assert "names no organs; give --tissues" in nameless[1].problems[0]
    assert any("no label map" in line for line in found.skipped)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        scan(tmp_path / "none")


def test_from_within_a_series_its_folder_is_named(
    write_body: WriteBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = write_body("case", 170, file_format="dicom")
    monkeypatch.chdir(series)
    (row,) = scan(Path(".")).rows
    assert (row.path, row.accepted, row.phase) == ("case", True, "contrast")
    assert row.series


def test_real_series_show_what_speaks_of_contrast(real_data: Path) -> None:
    (row,) = scan(real_data / "totalsegmentator" / "example_ct_dicom").rows
    assert row.evidence[0] == "ContrastBolusAgent: named"
    assert (row.shape, row.orientation, row.accepted) == ((512, 512, 20), "LPS", True)
    assert (row.phase, row.region) == ("contrast", "abdomen")
    (bad,) = scan(real_data / "dcm_qa_ct").rows
    assert (bad.path, bad.accepted) == ("In/GE", False)
    assert "gantry tilt of 18.5" in bad.problems[0]


def test_options_reach_the_readers(real_data: Path) -> None:
    path = real_data / "derived_bad" / "fourD_3phases.nii.gz"
    assert not scan(path).rows[0].accepted
    assert len(scan(path, ReadOptions(split_4d=True)).rows) == 3


def test_a_reason_names_the_file_at_fault_below_its_series(real_data: Path) -> None:
    (row,) = scan(real_data / "derived_bad" / "dicom_truncated_file").rows
    assert not row.accepted
    assert row.problems[0].startswith("trunc.dcm: ")
