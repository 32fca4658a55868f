from __future__ import annotations

import copy
from html.parser import HTMLParser
from typing import Any

import pytest

from medcyclegan.report.protocol_page import make_chart, make_page
from medcyclegan.report.protocol_tables import (
    arms_table,
    gap_line,
    steps_line,
    tables_markdown,
    tables_text,
    training_table,
)


def span(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.04}


def figures(value: float) -> dict[str, Any]:
    return {
        row: {
            "dice": span(value),
            "surface_mm": span(2.0),
            "surface95_mm": span(7.0),
            "missed": 0.125,
        }
        for row in ("mean", "liver", "vena_cava")
    }


def against(value: float) -> dict[str, Any]:
    return {"p": 0.0004, "p_holm": 0.03, "rows": {"mean": span(value)}}


@pytest.fixture
def result() -> dict[str, Any]:
    titles = {
        "standard": "standard augmentation",
        "strong": "strong <intensity>",
        "oracle": "oracle",
    }
    dice = {"standard": 0.55, "strong": 0.6, "oracle": 0.8}
    return {
        "patients": {"labelled": 32, "unpaired": 30, "test_in": 12, "test_out": 11},
        "data": "phantom",
        "organs": ["liver", "vena_cava"],
        "seeds": {"translation": [0, 1], "segmentation": [0, 1]},
        "tolerance": 0.005,
        "margin": 0.02,
        "least_gap": 0.05,
        "steps": 800,
        "settled": True,
        "rounds": [
            {"steps": 400, "dice": {}, "change": {}},
            {
                "steps": 800,
                "dice": {},
                "change": {arm: {"in": 0.001, "out": -0.0042} for arm in titles},
            },
        ],
        "arms": {
            arm: {
                "title": title,
                "about": f"About {arm}.",
                "trainings": 2,
                "cpu_seconds": 120.0,
                "in": figures(0.85),
                "out": figures(dice[arm]),
            }
            for arm, title in titles.items()
        },
        "against": {
            domain: {"standard": {arm: against(dice[arm] - 0.55) for arm in ("strong", "oracle")}}
            for domain in ("in", "out")
        },
        "gap": {
            "out": {"mean": {**span(0.25), "large_and_sure": True}},
            "in": {"mean": {**span(0.0), "large_and_sure": False}},
        },
        "verdicts": {
            "out": {"strong": {"mean": {"kind": "recovery", **span(0.2)}}},
            "in": {"strong": {"mean": {"kind": "non_inferiority", "met": True}}},
        },
        "cpu_seconds": {"patients": 110.0, "train strong s0": 60.0},
        "versions": {"torch": "2"},
    }


class Page(HTMLParser):
    """Notes what a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_says_what_it_does_not_show(result: dict[str, Any]) -> None:
    page = Page()
    html = make_page(result, "output: <here>\n")
    page.feed(html)
    assert not page.fetched
    assert "Nothing here shows a benefit on real" in page.text
    assert "strong <intensity>" in page.text
    assert "<intensity>" not in html
    assert "recovers 0.20 (0.15 to 0.24)" in page.text
    assert "not inferior" in page.text
    assert "output: <here>" in page.text
    result["data"] = "files"
    assert "Nothing here shows" not in make_page(result, "")


def test_the_chart_puts_dice_on_its_scale(result: dict[str, Any]) -> None:
    chart = make_chart(result, "out")
    assert [text for _, text in chart.ticks] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    places = {text: x for x, text in chart.ticks}
    by_title = {mark.title: mark for mark in chart.marks}
    assert by_title["oracle"].x == pytest.approx(places["0.8"])
    assert by_title["standard augmentation"].low == pytest.approx(places["0.5"])
    assert chart.guide == by_title["standard augmentation"].x
    assert [mark.y for mark in chart.marks] == sorted(mark.y for mark in chart.marks)


def test_tables_say_figures_intervals_tests_and_verdicts(result: dict[str, Any]) -> None:
    head, rows = arms_table(result, "out")
    assert dict(zip(head, rows[1], strict=True)) == {
        "arm": "strong <intensity>",
        "Dice": "0.600 (0.550 to 0.640)",
        "against standard": "0.050 (0.000 to 0.090)",
        "p (Holm)": "0.030",
        "gap to the oracle": "recovers 0.20 (0.15 to 0.24)",
        "surface, mm": "2.00",
        "95 % surface, mm": "7.0",
        "missed": "12.5 %",
    }
    assert rows[0][2:5] == ["", "", ""]
    assert training_table(result)[1][0] == [
        "standard augmentation",
        "2",
        "0.0010",
        "-0.0042",
        "2.0",
    ]
    text, markdown = tables_text(result), tables_markdown(result)
    assert "vena cava" in text
    assert all(len(line) < 300 for line in text.splitlines())
    assert "| strong <intensity> | 0.600 (0.550 to 0.640) |" in markdown
    assert "| --- | ---: |" in markdown


def test_a_training_that_did_not_settle_says_where(result: dict[str, Any]) -> None:
    assert "changed no arm's mean Dice" in steps_line(result)
    odd = copy.deepcopy(result)
    odd["settled"] = False
    odd["rounds"][1]["change"]["strong"]["out"] = -0.02
    assert steps_line(odd).endswith("by more than 0.005 in strong <intensity> 0.0200.")
    odd["rounds"] = odd["rounds"][:1]
    assert "never doubled" in steps_line(odd)


def test_the_gap_says_whether_recovery_is_said(result: dict[str, Any]) -> None:
    assert "large and sure enough" in gap_line(result, "out")
    assert "no recovery is said" in gap_line(result, "in")
    result["gap"]["in"]["mean"]["value"] = None
    assert gap_line(result, "in") == "in distribution: no oracle, so that no recovery is said."
