from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medcyclegan.cli import main
from medcyclegan.report.run_page import make_page, write_run_report
from medcyclegan.report.run_reading import read_run
from medcyclegan.training.logs import RunLog

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Collects a page's elements and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag == "br" else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    found.text = " ".join(found.text.split())
    return found


def test_the_page_tells_the_run(run_folder: Path, picture: bytes) -> None:
    found = parsed(make_page(read_run(run_folder)))
    assert "finished at step 40 of 40" in found.text
    assert "images of domain contrast into domain noncontrast" in found.text
    assert (
        "Chosen by validation: step 30, score 20.00. Changing nothing scores 1040.00, which is "
        "rejected. Histogram matching scores 25.00." in found.text
    )
    assert "step 20: bone moved by 9.0 HU" in found.text
    assert "chosen, step 30" in found.text
    assert re.search(r"edges invented ?0.30 ?0.40", found.text)
    assert "target patients" not in found.text  # the same in each: a line of the plot
    assert "versions: torch2.13.0" in found.text
    assert "volumes: one" in found.text
    pictures = [attributes["src"] for tag, attributes in found.elements if tag == "img"]
    samples = "data:image/png;base64," + base64.b64encode(picture).decode()
    assert pictures.count(samples) == 4
    assert len(pictures) == 4 + 4  # and the score, its figures, losses, speed


def test_the_page_needs_nothing_from_anywhere(run_folder: Path) -> None:
    page = make_page(read_run(run_folder))
    for tag, attributes in parsed(page).elements:
        assert tag not in {"script", "link", "iframe", "object"}
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in page


def test_equal_runs_give_equal_pages(run_folder: Path) -> None:
    assert make_page(read_run(run_folder)) == make_page(read_run(run_folder))


def test_planted_markup_is_inert(run_folder: Path) -> None:
    clean = [tag for tag, _ in parsed(make_page(read_run(run_folder))).elements]
    (run_folder / "config.yaml").write_text(
        f"# {EVIL}\n" + (run_folder / "config.yaml").read_text()
    )
    (run_folder / "environment.json").write_text(json.dumps({EVIL: EVIL, "cores": [EVIL]}))
    with (run_folder / "warnings.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 1, "warning": EVIL}) + "\n")
    with (run_folder / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 40, EVIL: 1.0, f"validation/{EVIL}": 1.0}) + "\n")
    evil = run_folder.rename(run_folder.with_name("<script>x"))
    page = make_page(read_run(evil))
    assert EVIL not in page
    found = parsed(page)
    assert "script" not in [tag for tag, _ in found.elements]
    assert "onerror" not in {name for _, attributes in found.elements for name in attributes}
    assert [tag for tag, _ in found.elements if tag == "img"] == [t for t in clean if t == "img"]
    assert found.text.count("alert(1)") >= 8


def test_a_network_that_loses_to_a_candidate_is_said_to(run_folder: Path) -> None:
    with RunLog(run_folder, 41) as log:
        figures = {"score": 19.0, "identity_score": 18.5, "histogram_matching_score": 30.0}
        log.write(50, {f"validation/{name}": value for name, value in figures.items()})
    text = parsed(make_page(read_run(run_folder))).text
    assert "Changing nothing scores 18.50, no worse than the network. Histogram" in text
    assert "Histogram matching scores 30.00. " in text


def test_a_run_of_which_every_checkpoint_was_rejected_says_so(run_folder: Path) -> None:
    with RunLog(run_folder, 1) as log:
        log.write(10, {"validation/score": 8003.0})
    text = parsed(make_page(read_run(run_folder))).text
    assert re.search(r"step 10, score 8003\S*, although it was rejected, like every other", text)


def test_stopped_running_and_unvalidated_runs_have_a_page(run_folder: Path) -> None:
    (run_folder / "finished.json").unlink()
    with RunLog(run_folder, 1) as log:
        assert "Nothing is logged yet." in make_page(read_run(run_folder))
        log.write(5, {"cycle_a": 1.0})
        text = parsed(make_page(read_run(run_folder))).text
        assert "not finished: step 5 of 40 is the last that was logged" in text
        assert "Nothing was validated so far" in text


def test_a_run_that_ended_early_says_so(run_folder: Path) -> None:
    config = run_folder / "config.yaml"
    config.write_text(config.read_text().replace("steps: 40", "steps: 100"))
    assert "finished at step 40 of 100, early" in make_page(read_run(run_folder))


def test_the_command_writes_the_page(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run_folder)]) == 0
    assert capsys.readouterr().out == f"written: {run_folder / 'report.html'}\n"
    other = tmp_path / "new/page.html"
    assert main(["report", str(run_folder), "--out", str(other)]) == 0
    assert other.read_bytes() == (run_folder / "report.html").read_bytes()


def test_where_no_run_is_the_command_says_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none"), "--out", str(tmp_path / "page.html")]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"\S*none: no run there \(config.yaml is missing\); give a .*\n", error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_place_for_the_page(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run_folder), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}: is a folder; give a file")
    (tmp_path / "file").write_text("")
    assert main(["report", str(run_folder), "--out", str(tmp_path / "file/page.html")]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert write_run_report(run_folder).name == "report.html"
