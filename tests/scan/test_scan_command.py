from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from medcyclegan import cli


@pytest.fixture(autouse=True)
def at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)


def test_the_table_says_phase_and_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scan", "in", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "3 volumes can be used, 2 cannot" in said.out
    assert "noncontrast" in said.out
    assert "refused: is empty" in said.out
    assert said.err == "in/notes.txt: skipped, no volume by name or content\n"


def test_json_and_csv_hold_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scan", "in", "--json", "--workers", "1"]) == 0
    objects = json.loads(capsys.readouterr().out)
    assert cli.main(["scan", "in", "--csv", "--workers", "2"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [one["path"] for one in table] == [one["path"] for one in objects]
    assert [float(one["confidence"]) for one in table] == [one["confidence"] for one in objects]


def test_a_config_is_written_and_what_it_lacks_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["scan", "in", "--workers", "1", "--write-config", "new.yaml"]) == 0
    *_, shifted, last = capsys.readouterr().err.splitlines()
    assert shifted.startswith("in/plain/shifted.nii.gz: left out, ")
    assert last == "new.yaml: written; patients: 2 contrast, 1 noncontrast; left out: 2"
    assert (tmp_path / "new.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("in/late --write-config new.yaml", "surely noncontrast"),
        ("in --write-config in/notes.txt", "in/notes.txt: exists"),
        ("in --tissues t.yaml", "--tissues needs --labels"),
        ("in --workers 0", "--workers"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    words: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["scan", *words.split()]) == 2
    said = capsys.readouterr()
    assert says in said.err.splitlines()[-1]
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before
