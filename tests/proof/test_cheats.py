from __future__ import annotations

import json
from pathlib import Path

import pytest

from medcyclegan.errors import InputError
from medcyclegan.proof.cheats import NOISE, cheats
from medcyclegan.proof.expectations import EXPECTATIONS


def test_the_command_says_on_its_page_what_it_returns(tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "out"
    accepted = cheats(out, patients=4, size=40, slices=8, say=said.append)
    result = json.loads((out / "metrics.json").read_text())
    assert result["accepted"] == accepted
    assert NOISE in result["metrics"]["taken_over"]["rows"]
    met = {expected["name"]: expected["met"] for expected in result["expectations"]}
    assert met["the truth closes the gap"]
    assert met["inversion keeps no structure; identity keeps all"]
    assert accepted == all(met.values())
    page, table = (out / "report.html").read_text(), (out / "cheats.md").read_text()
    assert ("All cheats caught" in page) == accepted
    lines = table.splitlines()
    assert len(lines) == 3 + len(result["methods"])
    assert len({line.count("|") for line in lines}) == 1
    assert sum(line.startswith(("holds", "FAILS")) for line in said) == len(EXPECTATIONS)


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--patients 3: must be at least 4"):
        cheats(tmp_path / "out", patients=3)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match="is not empty"):
        cheats(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        cheats(tmp_path / "thesis.txt")
