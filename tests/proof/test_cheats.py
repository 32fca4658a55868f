from __future__ import annotations

import json
from pathlib import Path

import pytest

from medcyclegan.errors import InputError
from medcyclegan.evaluate.comparing import CEILING, SECOND
from medcyclegan.proof.cheats import (
    EXPECTATIONS,
    NOISE,
    NOISE_TAKEN_OVER,
    OTHER_SCANNER,
    cheats,
    judge,
)

Summary = dict[str, dict[str, float]]

SOUND: Summary = {
    "identity": {
        "gap_closed": 0.0,
        "null_shift": 0.0,
        "dose_slope": 100.0,
        "mae": 20.0,
        "structure_kept": 1.0,
        "patch_distance": 10.0,
        "organ_distribution": 90.0,
    },
    "inverted_image": {
        "gap_closed": -2.0,
        "structure_kept": -0.5,
        "patch_distance": 70.0,
        "organ_distribution": 200.0,
    },
    "histogram_matching": {"gap_closed": 0.7, "null_shift": 30.0},
    "best_curve": {"gap_closed": 0.75, "null_shift": 8.0},
    "label_shift": {
        "gap_closed": 0.8,
        "null_shift": 0.0,
        "dose_slope": 100.0,
        "organ_distribution": 12.0,
    },
    CEILING: {"gap_closed": 0.95, "null_shift": 0.1, "dose_slope": 9.0, "mae": 8.0},
    "blurred_truth": {"mae": 7.0, "texture": 0.1},
    "lesions_removed": {"gap_closed": 0.99, "lesions_kept": 0.0, "lesions_lost": 1.0},
    "lesion_invented": {"gap_closed": 0.99, "lesions_invented": 1.0},
    OTHER_SCANNER: {NOISE_TAKEN_OVER: 0.6},
    SECOND: {
        "gap_closed": 0.99,
        "mae": 7.5,
        "texture": 1.0,
        "lesions_kept": 1.0,
        "lesions_invented": 0.0,
        "patch_distance": 6.0,
        "organ_distribution": 6.0,
        NOISE_TAKEN_OVER: 0.0,
    },
}


def test_sound_instruments_meet_every_expectation() -> None:
    judged = judge(SOUND)
    assert len(judged) == len(EXPECTATIONS)
    assert all(expected["met"] for expected in judged)
    assert "identity 0.00" in judged[2]["found"]


@pytest.mark.parametrize(
    ("method", "metric", "value"),
    [
        (SECOND, "gap_closed", 0.9),
        ("identity", "null_shift", 1.0),
        ("inverted_image", "gap_closed", 0.1),
        ("label_shift", "gap_closed", 0.96),
        ("best_curve", "gap_closed", 0.96),
        ("label_shift", "null_shift", 5.0),
        (CEILING, "dose_slope", 90.0),
        ("blurred_truth", "mae", 7.8),
        ("blurred_truth", "texture", 0.9),
        ("inverted_image", "structure_kept", 0.9),
        ("lesions_removed", "lesions_kept", 0.9),
        ("lesions_removed", "lesions_lost", 0.1),
        (SECOND, "lesions_kept", 0.5),
        ("lesion_invented", "lesions_invented", 0.5),
        (SECOND, "lesions_invented", 2.0),
        ("identity", "patch_distance", 5.0),
        ("label_shift", "organ_distribution", 95.0),
        (OTHER_SCANNER, NOISE_TAKEN_OVER, 0.1),
        (SECOND, NOISE_TAKEN_OVER, 0.5),
    ],
)
def test_an_instrument_that_is_fooled_is_told(method: str, metric: str, value: float) -> None:
    fooled = {**SOUND, method: {**SOUND[method], metric: value}}
    assert [expected["met"] for expected in judge(fooled)].count(False) >= 1


def test_a_figure_that_is_not_there_meets_no_expectation() -> None:
    fooled = {name: figures for name, figures in SOUND.items() if name != OTHER_SCANNER}
    missed = [expected for expected in judge(fooled) if not expected["met"]]
    assert len(missed) == 1
    assert "other scanner -" in missed[0]["found"]


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
