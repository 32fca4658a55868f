from __future__ import annotations

import copy
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from medcyclegan import cli, config, demo, phantom
from medcyclegan.cohort import phantom_tissues
from medcyclegan.errors import InputError
from medcyclegan.intensity import Window
from medcyclegan.io import read_labels, read_volume
from medcyclegan.metrics.baselines import MOST_SHIFT_HU
from medcyclegan.metrics.compare import compare
from medcyclegan.metrics.reference import Reference, make_scan, slices_like
from medcyclegan.phantom import NULL_TISSUES, ORGANS

TINY = {
    "slices": {"size": 32, "spacing_mm": 8.0},
    "model": {
        "kind": "cyclegan",
        "generator": {"kind": "resnet", "filters": 2, "blocks": 1, "norm": "batch"},
        "discriminator": {"kind": "patchgan", "filters": 2, "layers": 2},
    },
    "training": {"steps": 2, "batch_size": 1, "threads": 1, "device": "cpu"},
}
BASELINES = ["histogram matching", "least-squares curve", "best growing curve"]
GOOD = {
    "summary": {
        "worst": 0.5,
        "median": 0.75,
        "mean": 0.71,
        "mean_shift_hu": 8.0,
        "largest_shift_hu": 12.04,
        "largest_shift_in": "spongy_bone",
        "baselines": {"histogram matching": {"mean": 0.7}},
    },
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A demo of few patients, coarse slices and two steps of small networks."""
    recipe = tmp_path / "tiny.yaml"
    shipped = config.load_config(config.shipped_configs()[demo.CONFIG]).model_dump(mode="json")
    recipe.write_text(json.dumps({**shipped, **TINY}))
    monkeypatch.setattr(demo, "shipped_configs", lambda: {demo.CONFIG: recipe})
    monkeypatch.setattr(demo, "TRAINING_PATIENTS", 2)
    monkeypatch.setattr(demo, "TEST_PATIENTS", 1)
    monkeypatch.setattr(demo, "WORKERS", 1)
    monkeypatch.setattr(demo, "make_cohort", partial(phantom.make_cohort, size=48))
    monkeypatch.chdir(tmp_path)


def test_an_untrained_demo_writes_everything_and_exits_1(
    tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo"]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    out = tmp_path / "medcyclegan-demo"
    names = {path.relative_to(out).as_posix() for path in out.rglob("*.nii.gz")}
    assert names == {
        "augmented/labels/test-00_noncontrast.nii.gz",
        "augmented/test-00_noncontrast.nii.gz",
        "phantom/contrast/contrast-00.nii.gz",
        "phantom/contrast/contrast-01.nii.gz",
        "phantom/labels/test-00.nii.gz",
        "phantom/noncontrast/noncontrast-00.nii.gz",
        "phantom/noncontrast/noncontrast-01.nii.gz",
        "phantom/test/test-00.nii.gz",
        "phantom/twins/test-00.nii.gz",
    }
    assert (out / "run" / "finished.json").is_file()
    assert (out / "augmented" / "manifest.jsonl").is_file()
    assert not list(out.rglob(".medcyclegan-*"))

    result = json.loads((out / "metrics.json").read_text())
    assert result["accepted"] is False
    assert list(result["organs"]) == list(ORGANS)
    assert list(result["null_tissues"]) == [*NULL_TISSUES, "air"]
    assert list(result["cases"]["test-00"]["organs"]) == list(ORGANS)
    assert result["cohort"] == {"contrast": 2, "noncontrast": 2, "test": 1}
    assert result["seeds"] == {"phantom": 0, "training": 0}
    assert result["command"] == "medcyclegan demo"
    assert set(result["seconds"]) == {"phantom", "train", "augment", "measure", "report"}
    assert set(result["versions"]) == {"python", "medcyclegan", "torch", "monai", "numpy"}
    liver = result["organs"]["liver"]
    assert list(liver["baselines"]) == BASELINES
    shifts = [result["null_tissues"][name]["shift_hu"] for name in NULL_TISSUES]
    assert result["criteria"][3]["value"] == pytest.approx(sum(shifts) / 5, abs=1e-3)
    largest = result["summary"]["largest_shift_in"].replace("_", " ")
    assert result["criteria"][3]["note"].startswith(f"largest: {largest}, ")
    for shown in (page := (out / "report.html").read_text(), said.out):
        assert result["criteria"][3]["note"] in shown
    best = result["summary"]["baselines"]["best growing curve"]["mean_shift_hu"]
    rows = [
        result["null_tissues"][name]["baselines"]["best growing curve"] for name in NULL_TISSUES
    ]
    assert best == pytest.approx(sum(row["shift_hu"] for row in rows) / 5, abs=1e-3)
    assert 0.9 * MOST_SHIFT_HU < best <= MOST_SHIFT_HU + 1e-3

    image = read_volume(out / "phantom" / "test" / "test-00.nii.gz")
    labels = read_labels(out / "augmented" / "labels" / "test-00_noncontrast.nii.gz")
    twin = read_volume(out / "phantom" / "twins" / "test-00.nii.gz")
    from_files = Reference(
        patient="test-00",
        source=make_scan(image, labels),
        window=Window(-200, 600),
        tissues=phantom_tissues(),
        truth=slices_like(twin, image),
    )
    translated = read_volume(out / "augmented" / "test-00_noncontrast.nii.gz")
    again = compare([from_files], [slices_like(translated, image)], {})
    for kind in ("organs", "null_tissues"):
        for name, row in again[kind].items():
            written = result[kind][name]
            assert {key: written[key] for key in row} | {"baselines": {}} == row
    alone = again["organs"]["liver"]
    measured = {key: alone[key] for key in ("input_hu", "output_hu", "twin_hu")}
    assert result["cases"]["test-00"]["organs"]["liver"] == measured

    assert page.count("data:image/png;base64,") == 4
    assert "NOT accepted" in said.out
    assert re.search(r"^vena cava( +\S+){7}$", said.out, re.MULTILINE)


def test_an_earlier_demo_is_replaced_and_what_others_put_there_stays(
    tiny: None, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("mine")
    out = tmp_path / "out"
    (out / "run").mkdir(parents=True)
    (out / "run" / "config.yaml").write_text("of an earlier demo that was stopped")
    (out / "phantom" / "contrast").mkdir(parents=True)
    (out / "phantom" / "contrast" / "old.nii.gz").write_text("no volume")
    (out / "augmented").symlink_to(elsewhere)
    (out / "notes.txt").write_text("mine")
    (out / ".medcyclegan-abc").mkdir()
    (out / demo.MARK).write_text("{}")
    demo.demo(out, say=lambda _: None)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [demo.MARK, "augmented", "metrics.json", "notes.txt", "phantom", "report.html", "run"]
    )
    assert not (out / "phantom" / "contrast" / "old.nii.gz").exists()
    assert not (out / "augmented").is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["precious.txt"]


def test_any_other_out_is_refused_and_left_as_it_was(
    tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "full"
    (folder / "phantom").mkdir(parents=True)
    (folder / "phantom" / "precious.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    assert cli.main(["demo", "full"]) == 2
    assert cli.main(["demo", "file"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "full: is not empty and no earlier demo's; give another folder",
        "file: is a file; give a folder to write to",
    ]
    assert [path.name for path in folder.rglob("*")] == ["phantom", "precious.txt"]


def test_a_folder_with_what_a_killed_start_left_is_taken_as_empty(tmp_path: Path) -> None:
    (tmp_path / ".medcyclegan-x").mkdir()
    demo._check_out(tmp_path)
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="not empty"):
        demo._check_out(tmp_path)


def changed(*keys: str, to: float | None) -> dict[str, Any]:
    table: dict[str, Any] = copy.deepcopy(GOOD)
    section = table
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = to
    return table


def test_figures_on_the_threshold_are_accepted() -> None:
    assert all(criterion.met for criterion in demo.judge(GOOD))


@pytest.mark.parametrize("value", [None, 0.01])
@pytest.mark.parametrize(
    ("number", "keys", "worse"),
    [
        (0, ("summary", "worst"), 0.49),
        (1, ("summary", "median"), 0.74),
        (2, ("summary", "mean"), 0.70),
        (2, ("summary", "baselines", "histogram matching", "mean"), 0.71),
        (3, ("summary", "mean_shift_hu"), 8.01),
    ],
)
def test_each_figure_that_falls_short_or_is_unknown_is_not_accepted(
    number: int, keys: tuple[str, ...], worse: float, value: float | None
) -> None:
    table = changed(*keys, to=None if value is None else worse)
    met = [criterion.met for criterion in demo.judge(table)]
    assert met == [index != number for index in range(4)]


def test_the_tissue_that_moved_most_is_named_beside_the_mean() -> None:
    assert [criterion.note for criterion in demo.judge(GOOD)] == [
        "", "", "", "largest: spongy bone, 12.0 HU",
    ]  # fmt: skip
    unknown = changed("summary", "largest_shift_in", to=None)
    unknown["summary"]["largest_shift_hu"] = None
    assert demo.judge(unknown)[3].note == "largest: not known, - HU"


def test_nothing_says_where_on_this_machine_it_was_made(tiny: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    demo.demo(out, say=lambda _: None)
    for name in ("report.html", "metrics.json"):
        text = (out / name).read_text()
        assert str(tmp_path) not in text
        assert tmp_path.name not in text
    page = (out / "report.html").read_text()
    assert "volumes: phantom/contrast" in page
    assert "output: run" in page


def test_the_shipped_recipe_reads_what_the_demo_writes_by_default() -> None:
    shipped = config.load_config(config.shipped_configs()[demo.CONFIG])
    assert shipped == demo._config(Path("medcyclegan-demo"))


def test_patients_shown_include_an_arterial_one() -> None:
    cohort = phantom.make_cohort(
        0, train_contrast=0, train_noncontrast=0, test=5, size=16, slices=4
    )
    shown = demo._shown(cohort, [case.image for case in cohort.test])
    phases = {f"test-{number:02d}": case.phase for number, case in enumerate(cohort.test)}
    assert [phases[case.name] for case in shown] == ["venous", "venous", "arterial"]
