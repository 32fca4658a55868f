from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from medcyclegan.phantom import LABELS, NULL_TISSUES, ORGANS
from medcyclegan.report.demo_page import make_page
from medcyclegan.report.demo_pictures import ShownCase, case_pictures, choose_slice
from medcyclegan.report.demo_tables import tables_text
from medcyclegan.volume import Labels, Volume

AFFINE = np.diag([-3.0, -3.0, 5.0, 1.0])  # I to the left, J to the back, K to the head
BASELINES = ("histogram matching", "least-squares curve", "best growing curve")
SUMMARY = {
    "worst": 0.1, "median": 0.2, "mean": 0.3, "mean_shift_hu": 7.25, "largest_shift_hu": 26.04,
}  # fmt: skip
EVIL = "<script>alert(1)</script>"


def result(**changes: Any) -> dict[str, Any]:
    row = {"input_hu": 111.1, "output_hu": 52.26, "twin_hu": None}
    return {
        "accepted": False,
        "criteria": [
            {
                "name": "gap",
                "value": 0.912,
                "relation": ">=",
                "limit": 0.5,
                "met": True,
                "note": "",
            },
            {
                "name": "shift",
                "value": None,
                "relation": "<=",
                "limit": 8.0,
                "met": False,
                "note": "largest: spongy bone, 26.0 HU",
            },
        ],
        "organs": {
            name: {
                **row,
                "gap_closed": 0.87,
                "baselines": {key: {"gap_closed": 0.34} for key in BASELINES},
            }
            for name in ORGANS
        },
        "null_tissues": {
            name: {
                **row,
                "shift_hu": 1.5,
                "change_hu": -0.04,
                "baselines": {key: {"shift_hu": 72.0} for key in BASELINES},
            }
            for name in (*NULL_TISSUES, "air")
        },
        "summary": SUMMARY | {"baselines": dict.fromkeys(BASELINES, SUMMARY)},
        "cases": {
            "test-00": {
                "phase": "venous",
                "dose": 1.2,
                "scanner": "sharp",
                "organs": {"liver": row},
            }
        },
        "command": "medcyclegan demo out",
        "cohort": {"contrast": 2, "noncontrast": 3, "test": 1},
        "steps": 2,
        "seeds": {"phantom": 5, "training": 6},
        "seconds": {"train": 12.34},
        "versions": {"torch": "2.0"},
    } | changes


def volume(hu: float) -> Volume:
    return Volume(np.full((6, 4, 5), hu, np.float32), AFFINE)


def case() -> ShownCase:
    labels = Labels(np.zeros((6, 4, 5), np.uint8), AFFINE)
    return ShownCase("test-00", volume(40.0), volume(140.0), volume(40.0), labels)


class Page(HTMLParser):
    """Rows of tables as lists of texts, and what the page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for key, value in attrs if key in {"src", "href"}]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_every_organ_and_tissue_has_its_row() -> None:
    page = Page(make_page(result(), [case()], "a: 1\n"))
    assert not page.open
    rows = {row[0]: row[1:] for row in page.rows}
    for name in ORGANS:
        expected = ["111.1", "52.3", "-", "0.87", "0.34", "0.34", "0.34"]
        assert rows[name.replace("_", " ")] == expected
    for name in (*NULL_TISSUES, "air"):
        expected = ["111.1", "52.3", "1.5", "0.0", "72.0", "72.0", "72.0"]
        assert rows[name.replace("_", " ")] == expected
    assert rows["mean without air"] == ["", "", "7.2", "", "7.2", "7.2", "7.2"]
    assert rows["largest"] == ["", "", "26.0", "", "26.0", "26.0", "26.0"]
    assert rows["gap"] == ["0.91", ">= 0.50", "met"]
    assert rows["shiftlargest: spongy bone, 26.0 HU"] == ["-", "<= 8.00", "not met"]
    assert rows["train"] == ["12.3"]


def test_the_page_says_its_verdict_command_seed_and_limits() -> None:
    page = " ".join(make_page(result(), [case()], "key: 17\n").split())
    assert ">Not accepted<" in page
    assert ">Accepted<" in make_page(result(accepted=True), [case()], "")
    assert "<code>medcyclegan demo out</code> with seed 5" in page
    assert "It shows nothing about real patients." in page
    assert "less a rim of one voxel" in page
    assert "key: 17" in page


def test_the_page_needs_nothing_from_anywhere() -> None:
    text = make_page(result(), [case()], "")
    references = Page(text).references
    assert len(references) == 4
    assert all(reference.startswith("data:image/png;base64,") for reference in references)
    assert "url(" not in text
    assert "@import" not in text
    assert "<script" not in text


def test_text_is_escaped() -> None:
    page = make_page(
        result(
            command=EVIL,
            versions={EVIL: EVIL},
            cases={EVIL: result()["cases"]["test-00"] | {"scanner": EVIL, "phase": EVIL}},
        ),
        [case()._replace(name=EVIL)],
        EVIL,
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 7


def test_pictures_share_one_window_and_the_difference_is_translated_less_twin() -> None:
    images = [matplotlib.image.imread(io.BytesIO(data)) for data in case_pictures(case())]
    assert {image.shape[:2] for image in images} == {(4, 6)}
    source, translated, twin, difference = (image[0, 0, :3] for image in images)
    np.testing.assert_allclose(source, 0.5, atol=0.01)  # 40 HU: the middle of -160 to 240
    np.testing.assert_allclose(translated, 0.75, atol=0.01)
    np.testing.assert_array_equal(source, twin)
    np.testing.assert_allclose(difference[0], 0.5, atol=0.01)  # 100 HU too high: the darkest red
    np.testing.assert_array_equal(difference[1:], 0)


def test_pictures_in_the_page_are_those_of_the_case() -> None:
    text = make_page(result(), [case()], "")
    embedded = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert tuple(base64.b64decode(data) for data in embedded) == case_pictures(case())


def test_the_slice_shown_has_all_organs_rather_than_most_of_one() -> None:
    array = np.zeros((6, 4, 5), np.uint8)
    array[:4, :, 1] = LABELS["liver"]
    array[4:, :, 1] = LABELS["pancreas"]
    array[:, 0, 2] = LABELS["kidney_cortex"]
    array[:3, 1:3, 3] = LABELS["liver"]
    array[:3, 0, 3] = LABELS["kidney_medulla"]
    array[3:, 0, 3] = LABELS["pancreas"]
    assert choose_slice(Labels(array, AFFINE)) == 3
    array[array == LABELS["pancreas"]] = 0  # a scan that does not reach an organ
    assert choose_slice(Labels(array, AFFINE)) == 3
    head_first = Labels(np.ascontiguousarray(array[:, :, ::-1]), AFFINE @ np.diag([1, 1, -1, 1]))
    assert choose_slice(head_first) == 3


@pytest.mark.parametrize("accepted", [True, False])
def test_the_tables_for_a_terminal(accepted: bool) -> None:
    text = tables_text(result(accepted=accepted))
    lines = [line.split() for line in text.splitlines()]
    assert ["vena", "cava", "111.1", "52.3", "-", "0.87", "0.34", "0.34", "0.34"] in lines
    assert ["worst", "0.10", "0.10", "0.10", "0.10"] in lines
    assert ["fat", "111.1", "52.3", "-", "1.5", "72.0", "72.0", "72.0"] in lines
    assert ["air", "111.1", "52.3", "-", "1.5", "72.0", "72.0", "72.0"] in lines
    assert ["mean", "without", "air", "7.2", "7.2", "7.2", "7.2"] in lines
    assert ["largest", "26.0", "26.0", "26.0", "26.0"] in lines
    assert ["largest:", "spongy", "bone,", "26.0", "HU"] in lines
    assert "NOT MET shift: - (must be <= 8.00)" in text
    assert text.splitlines()[-1] == ("accepted" if accepted else "NOT accepted")
    assert "\x1b" not in text
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b[" in tables_text(result(), color=True)
