from __future__ import annotations

import pytest

from medcyclegan.phase import tag_evidence


def weight(**tags: str) -> float:
    return sum(one.log_odds for one in tag_evidence(tags))


@pytest.mark.parametrize(
    "name",
    [
        "CT CHEST W/ CONTRAST",
        "CT ABD AND PELVIS WITH IV CONT",
        "CT THORAX  WITH CONTRA",
        "Abdomen venoes 5.0",
        "arteriell",
        "portal venous",
        "CTA_neck",
        "C+ 3mm",
        "Thorax mit KM",
        "PE-Fast #2",
        "enhanced",
        "post-contrast",
        "Leber post KM",
        "C+ - venous",
        "CECT",
    ],
)
def test_names_that_say_with(name: str) -> None:
    assert weight(SeriesDescription=name) == 1.8


@pytest.mark.parametrize(
    "name",
    [
        "CT CHEST WITHOUT CONTR",
        "CT CHEST WO IV CONT",
        "5.1 ROUTINE CHEST NON CONTRAST LOW DOSE",
        "5.3 CHEST UNENHANCED SUP D",
        "nativ",
        "CT Thorax W/O",
        "abdomen sans injection",
        "C- 5mm",
        "NCCT head",
        "Leber ohne KM",
        "pre-contrast",
        "non-enhanced",
    ],
)
def test_names_that_say_without(name: str) -> None:
    assert weight(ProtocolName=name) == -1.3


@pytest.mark.parametrize(
    "name",
    [
        "CT CHEST W/WO CONTRAST",
        "with and without",
        "without and with contrast",
        "W/O and W",
        "CHEST C-/C+",
        "C+/- thorax",
        "THORAX C-C+",
        "pre- and post-contrast",
        "Abdomen mit und ohne KM",
        "sans et avec injection",
        "Leber nativ + KM",
        "CT ANGIOGRAPHY CHEST W/WO CON",
        "1_CHEST",
        "CT DELAY FUSION",
        "PETCT_WholeBody",
        "Conventional B31f",
        "PELVIS",
        "Second opinion",
        "LUNG BX",
    ],
)
def test_names_that_say_neither(name: str) -> None:
    assert weight(StudyDescription=name) == 0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ContrastBolusAgent": "ISOVUE"}, 2.5),
        ({"ContrastBolusAgent": "NON IONIC"}, 2.5),
        ({"ContrastBolusAgent": "& NON IONIC", "ContrastBolusRoute": "Oral & IV"}, 2.5),
        ({"ContrastBolusRoute": "IV"}, 2.5),
        ({"ContrastFlowRate": "3.0"}, 2.5),
        ({"ContrastBolusVolume": "0.0"}, 0.0),
        ({"ContrastBolusAgent": "Gastrografin"}, 0.0),
        ({"ContrastBolusAgent": "BARIUM", "ContrastBolusRoute": "ORAL"}, 0.0),
        ({"ContrastBolusAgent": "NONE"}, -1.5),
        ({"ContrastBolusAgent": "no"}, -1.5),
        ({}, 0.0),
    ],
)
def test_the_agent_counts_where_it_went_into_a_vein(tags: dict[str, str], expected: float) -> None:
    assert weight(**tags) == expected


def test_names_are_one_hand_and_weigh_no_more_than_that() -> None:
    three = {"SeriesDescription": "venous", "ProtocolName": "CTA", "StudyDescription": "with con"}
    assert weight(**three) == 2.5


def test_a_series_before_the_medium_arrives_is_not_told_by_its_study() -> None:
    assert weight(StudyDescription="WITH CONTRAST", SeriesDescription="Premonitoring") == 0
    assert weight(StudyDescription="WITH CONTRAST", SeriesDescription="Chest 5.0") == 0.8


def test_no_free_text_is_handed_on() -> None:
    tags = {
        "StudyDescription": "CT CHEST WITH CONTRAST Jane Doe",
        "ContrastBolusAgent": "Jane Doe 350",
    }
    assert "Doe" not in str(tag_evidence(tags))
