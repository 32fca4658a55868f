from __future__ import annotations

from typing import Any

import pytest

from medcyclegan.config.segmentation import ProtocolConfig, StatisticsConfig, TranslationConfig
from medcyclegan.proof.comparison import compare_arms

ORGANS = ["liver", "spleen"]
CONFIG = ProtocolConfig(
    output="out",
    translation=TranslationConfig(seeds=[0, 1]),
    statistics=StatisticsConfig(resamples=500),
)


def record(liver: float, *, shift: float = 0.0, missed: bool = False) -> dict[str, Any]:
    """Ten patients whose liver Dice spreads by 0.09, and whose spleen is 0.1 below it."""

    def patient(number: int) -> dict[str, Any]:
        dice = liver + shift + 0.01 * number - 0.045
        spleen: dict[str, float | None] = {
            "dice": dice - 0.1,
            "surface_mm": 2.0,
            "surface95_mm": 6.0,
        }
        if missed and number == 0:
            spleen = {"dice": 0.0, "surface_mm": None, "surface95_mm": None}
        return {
            "liver": {"dice": dice, "surface_mm": 1.0, "surface95_mm": 3.0},
            "spleen": spleen,
        }

    out = {f"p{number}": patient(number) for number in range(10)}
    near = {
        name: {organ: {**score, "dice": 0.9} for organ, score in found.items()}
        for name, found in out.items()
    }
    return {"test": {"out": out, "in": near}}


@pytest.fixture(scope="module")
def compared() -> dict[str, Any]:
    records = {
        "nothing": [[record(0.4), record(0.4)]],
        "standard": [[record(0.5), record(0.5)]],
        "cyclegan_offline": [
            [record(0.64), record(0.66)],
            [record(0.60), record(0.70, missed=True)],
        ],
        "oracle": [[record(0.7), record(0.7)]],
    }
    return compare_arms(records, ORGANS, CONFIG)


def test_figures_are_means_over_seeds_patients_and_organs(compared: dict[str, Any]) -> None:
    rows = compared["arms"]["standard"]["out"]
    assert rows["liver"]["dice"]["value"] == pytest.approx(0.5)
    assert rows["mean"]["dice"]["value"] == pytest.approx(0.45)
    assert rows["liver"]["dice"]["low"] < 0.5 < rows["liver"]["dice"]["high"]
    assert rows["liver"]["surface_mm"]["value"] == 1.0
    assert rows["mean"]["surface95_mm"]["value"] == pytest.approx(4.5)


def test_a_missed_organ_counts_in_dice_and_is_named_beside_surfaces(
    compared: dict[str, Any],
) -> None:
    rows = compared["arms"]["cyclegan_offline"]["out"]
    assert rows["spleen"]["missed"] == pytest.approx(1 / 40)
    assert rows["spleen"]["surface_mm"]["value"] == 2.0
    assert rows["mean"]["missed"] == pytest.approx(1 / 80)
    assert rows["spleen"]["dice"]["value"] < 0.55


def test_recovery_is_said_where_the_gap_is_large_and_sure(compared: dict[str, Any]) -> None:
    gap = compared["gap"]["out"]["liver"]
    assert gap["large_and_sure"]
    assert gap["value"] == pytest.approx(0.2)
    found = compared["verdicts"]["out"]["cyclegan_offline"]["liver"]
    assert found["kind"] == "recovery"
    assert found["value"] == pytest.approx(0.75)
    assert found["low"] < 0.75 < found["high"]
    assert compared["verdicts"]["out"]["nothing"]["liver"]["value"] == pytest.approx(-0.5)
    assert "standard" not in compared["verdicts"]["out"]


def test_non_inferiority_is_said_elsewhere(compared: dict[str, Any]) -> None:
    assert not compared["gap"]["in"]["mean"]["large_and_sure"]
    found = compared["verdicts"]["in"]
    assert found["cyclegan_offline"]["liver"] == {"kind": "non_inferiority", "met": True}


def test_a_worse_arm_is_not_called_not_inferior_and_without_oracle_there_is_no_gap() -> None:
    records = {"nothing": [[record(0.47)]], "standard": [[record(0.5)]]}
    compared = compare_arms(records, ORGANS, CONFIG.model_copy(update={"training": one_seed()}))
    assert compared["gap"]["out"]["mean"]["value"] is None
    found = compared["verdicts"]["out"]["nothing"]["mean"]
    assert found == {"kind": "non_inferiority", "met": False}


def one_seed() -> Any:
    return CONFIG.training.model_copy(update={"seeds": [0]})


def test_every_arm_is_tested_against_each_reference(compared: dict[str, Any]) -> None:
    against = compared["against"]["out"]
    assert set(against) == {"nothing", "standard"}
    assert set(against["standard"]) == {"nothing", "cyclegan_offline", "oracle"}
    best = against["standard"]["oracle"]
    assert best["rows"]["mean"] == pytest.approx({"value": 0.2, "low": 0.2, "high": 0.2})
    assert best["p"] == pytest.approx(2 / 2**10)
    assert best["p_holm"] == pytest.approx(3 * 2 / 2**10)


def test_a_gap_that_is_not_sure_is_not_recovered() -> None:
    worse = [record(0.9, shift=s) for s in (-0.3, 0.3)]
    records = {"standard": [[record(0.8), record(0.8)]], "oracle": [worse]}
    gap = compare_arms(records, ORGANS, CONFIG)["gap"]["out"]["mean"]
    assert gap["value"] == pytest.approx(0.1)
    assert gap["low"] < 0
    assert not gap["large_and_sure"]
