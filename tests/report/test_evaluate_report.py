from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from medcyclegan.report.evaluate_page import make_page
from medcyclegan.report.evaluate_plots import COLORS, MARKERS, draw_plots
from medcyclegan.report.evaluate_tables import all_tables, markdown_table, summary_table


def figures(value: float | None, low: float | None = None, high: float | None = None) -> Any:
    return {"value": value, "low": low, "high": high}


def metric(title: str, rows_are: str, ideal: float | None, rows: dict[str, Any]) -> Any:
    return {"title": title, "rows_are": rows_are, "ideal": ideal, "rows": rows}


def row(ours: Any, theirs: Any) -> Any:
    return {"patients": 3, "methods": {"ours": ours, "identity": theirs}, "differences": {}}


RESULT: dict[str, Any] = {
    "made_by": "medcyclegan evaluate",
    "version": "1.2.3",
    "method": "ours",
    "patients": 3,
    "seed": 0,
    "targets": 0,
    "window": {"low_hu": -200.0, "high_hu": 600.0},
    "methods": {
        "ours": {"title": "in question", "fitted_on": None},
        "identity": {"title": "nothing is changed", "fitted_on": "nothing"},
    },
    "left_out": {"label_shift": "labels"},
    "not_measured": {"taken_over": ["targets"]},
    "aside": ["air"],
    "summary": {
        "ours": {"gap_closed_worst": 0.5, "gap_closed": 0.75, "psnr": 33.3},
        "identity": {"gap_closed_worst": 0.0, "gap_closed": 0.0, "psnr": None},
    },
    "metrics": {
        "gap_closed": metric(
            "gap closed",
            "organs",
            1.0,
            {
                "liver": row(figures(0.75, 0.61, 0.89), figures(0.0, 0.0, 0.0)),
                "vena_cava": row(figures(0.5), figures(None)),
            },
        ),
        "psnr": metric("ratio, dB", "whole", None, {"volume": row(figures(33.3), figures(None))}),
        "dose_slope": metric("slope", "organs", 0.0, {"liver": row(figures(1.0), figures(80.0))}),
        "null_shift": metric(
            "shift <HU>", "null_tissues", 0.0, {"air": row(figures(2.0), figures(0.0))}
        ),
    },
    "cases": {
        name: {
            "dose": dose,
            "methods": {
                method: {"dose_slope": {"liver": [dose, dose - 1.0]}}
                for method in ("ours", "identity")
            },
        }
        for name, dose in (("one", 0.8), ("two", 1.2))
    },
}


def lines_of(text: str) -> dict[str, list[str]]:
    return {words[0]: words for words in (re.split(r"  +", line) for line in text.splitlines())}


def test_the_summary_shows_each_figure_of_each_method() -> None:
    lines = lines_of(summary_table(RESULT))
    assert lines["gap closed, worst organ"] == ["gap closed, worst organ", "1", "0.50", "0.00"]
    assert lines["ratio, dB"] == ["ratio, dB", "high", "33.3", "-"]
    assert "left out: label_shift, which takes labels" in lines
    assert ["", "taken_over: targets"] in [
        re.split(r"  +", line) for line in summary_table(RESULT).splitlines()
    ]


def test_every_row_is_shown_with_its_interval() -> None:
    text = all_tables(RESULT)
    assert lines_of(text)["liver"][1:3] == ["3", "1.00"]  # of the last table that has one
    assert "0.61 to 0.89" in text
    assert "air (aside)" in text
    assert "vena cava" in text


def test_the_markdown_table_has_a_line_for_each_method() -> None:
    lines = markdown_table(RESULT, ["gap_closed", "mae", "psnr"]).splitlines()
    assert lines == [
        "| method | gap closed | psnr |",
        "|---|---:|---:|",
        "| *ideal* | 1 | high |",
        "| ours | 0.75 | 33.3 |",
        "| identity | 0.00 | - |",
    ]


def test_the_page_needs_nothing_from_anywhere_and_trusts_no_text() -> None:
    page = make_page(RESULT, {"gap_closed": b"picture"})
    assert "shift &lt;HU&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "data:image/png;base64,cGljdHVyZQ==" in page
    assert "0.61 to 0.89" in page
    assert "what must hold" not in page
    assert "taken over (targets)" in page


@pytest.mark.parametrize("met", [True, False])
def test_expectations_come_first_where_there_are_some(met: bool) -> None:
    result = copy.deepcopy(RESULT) | {
        "accepted": met,
        "expectations": [{"name": "it is so", "found": "ours 0.75", "met": met}],
    }
    page = make_page(result, {})
    assert ("All cheats caught" in page) == met
    assert ("FAILS" in page) == (not met)
    assert page.index("it is so") < page.index("The methods")


def test_plots_are_those_of_what_was_measured_and_depend_on_it_alone() -> None:
    plots = draw_plots(RESULT)
    assert set(plots) == {"gap_closed", "null_shift", "error_against_dose"}
    assert all(png.startswith(b"\x89PNG") for png in plots.values())
    assert draw_plots(RESULT) == plots
    moved = copy.deepcopy(RESULT)
    moved["metrics"]["gap_closed"]["rows"]["liver"]["methods"]["ours"]["value"] = 0.7
    assert draw_plots(moved)["gap_closed"] != plots["gap_closed"]
    assert draw_plots(moved)["null_shift"] == plots["null_shift"]


def test_a_dozen_methods_can_be_told_apart() -> None:
    assert len(set(COLORS)) >= 12
    assert len(set(MARKERS)) >= 12
