from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medcyclegan.cohort import read_cohort, write_cohort
from medcyclegan.errors import InputError
from medcyclegan.evaluate import evaluate
from medcyclegan.files import sha256
from medcyclegan.io import write_volume
from medcyclegan.manifest import Entry, Manifest, Origin
from medcyclegan.volume import Volume

PATIENTS = 3


def quiet(line: str) -> None:
    del line


def translate(cohort: Path, out: Path, share: float = 0.8) -> None:
    """Write what goes `share` of the way to the truth, named as `augment` names it."""
    for case in read_cohort(cohort).cases:
        image, twin = case.read_image(), case.read_twin()
        hu = image.array + share * (twin.array - image.array)
        volume = Volume(np.rint(hu).astype(np.int16), image.affine)
        write_volume(volume, out / f"{case.name}_noncontrast.nii.gz")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a cohort, another domain's cohort, and translations."""
    folder = tmp_path_factory.mktemp("data")
    make = partial(write_cohort, role="test", size=48, slices=8)
    make(folder / "cohort", PATIENTS)
    make(folder / "others", 2, domain="noncontrast")
    translate(folder / "cohort", folder / "translated")
    return folder


@pytest.fixture(scope="module")
def found(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an evaluation of the cohort wrote."""
    out = tmp_path_factory.mktemp("found") / "out"
    evaluate(data / "translated", out, cohort=data / "cohort", targets=data / "others", say=quiet)
    return out


def figures(out: Path) -> dict[str, dict[str, float]]:
    return json.loads((out / "metrics.json").read_text())["summary"]


def test_a_method_stands_beside_every_baseline_and_ceiling(found: Path) -> None:
    result = json.loads((found / "metrics.json").read_text())
    assert list(result["methods"]) == [
        "translated",
        "identity",
        "histogram_matching",
        "least_squares_curve",
        "best_curve",
        "label_shift",
        "information_ceiling",
        "second_acquisition",
    ]
    assert result["left_out"] == {}
    assert result["not_measured"] == {}
    assert result["patients"] == PATIENTS
    closed = {name: row["gap_closed"] for name, row in result["summary"].items()}
    assert closed["translated"] == pytest.approx(0.8, abs=0.02)
    assert closed["identity"] == 0.0
    assert closed["second_acquisition"] > 0.9
    assert "other patients" in result["methods"]["label_shift"]["fitted_on"]


def test_what_is_written_says_the_same_everywhere(found: Path) -> None:
    result = json.loads((found / "metrics.json").read_text())
    liver = result["metrics"]["gap_closed"]["rows"]["liver"]
    rows = csv.DictReader((found / "metrics.csv").read_text().splitlines())
    line = next(
        row
        for row in rows
        if (row["metric"], row["row"], row["method"]) == ("gap_closed", "liver", "translated")
    )
    assert float(line["value"]) == liver["methods"]["translated"]["value"]
    assert int(line["patients"]) == liver["patients"] > 1
    page = (found / "report.html").read_text()
    table = (found / "table.txt").read_text()
    for text in ("gap closed, worst organ", f"{liver['methods']['translated']['value']:.2f}"):
        assert text in page
        assert text in table
    assert 'src="http' not in page
    assert {path.name for path in (found / "plots").iterdir()} >= {
        "gap_closed.png",
        "error_against_dose.png",
    }
    assert page.count("data:image/png;base64,") == len(list((found / "plots").iterdir()))
    assert not list(found.rglob(".medcyclegan-*"))


def test_equal_evaluations_give_equal_bytes(data: Path, found: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(found, again)
    (again / "plots" / "old.png").write_bytes(b"of an earlier evaluation")
    evaluate(data / "translated", again, cohort=data / "cohort", targets=data / "others", say=quiet)
    names = {path.relative_to(found) for path in found.rglob("*") if path.is_file()}
    assert names == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    assert not [
        name for name in names if (found / name).read_bytes() != (again / name).read_bytes()
    ]


def test_without_twins_or_labels_what_can_be_said_is_said(data: Path, tmp_path: Path) -> None:
    evaluate(
        data / "translated",
        tmp_path / "out",
        sources=data / "cohort" / "images",
        targets=data / "others" / "images",
        say=quiet,
    )
    result = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(result["methods"]) == ["translated", "identity", "histogram_matching"]
    assert "best_curve" in result["left_out"]
    assert result["not_measured"]["gap_closed"] == ["labels", "truth"]
    assert {"patch_distance", "frechet_distance", "structure_kept"} <= set(result["metrics"])
    assert not list((tmp_path / "out" / "plots").glob("gap*"))


def test_a_users_own_twins_labels_and_tissues_give_the_cohorts_figures(
    data: Path, found: Path, tmp_path: Path
) -> None:
    cohort = read_cohort(data / "cohort")
    tissues = cohort.tissues
    text = [
        *(
            f"{kind}: {json.dumps({name: list(values) for name, values in named.items()})}"
            for kind, named in (
                ("organs", tissues.organs),
                ("lesions", tissues.lesions),
            )
        ),
        f"aside: {json.dumps([name for name in tissues.aside if name in tissues.organs])}",
    ]
    (tmp_path / "tissues.yaml").write_text("\n".join(text))
    evaluate(
        data / "translated",
        tmp_path / "out",
        sources=data / "cohort" / "images",
        twins=data / "cohort" / "twins",
        labels=data / "cohort" / "labels",
        tissues=tmp_path / "tissues.yaml",
        say=quiet,
    )
    ours, theirs = figures(tmp_path / "out"), figures(found)
    for metric in ("gap_closed", "organ_error", "mae", "ssim"):
        assert ours["translated"][metric] == theirs["translated"][metric]
    assert "dose_slope" not in ours["translated"]


def test_a_source_that_was_not_translated_is_told(data: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    shutil.copytree(data / "translated", some)
    sorted(some.iterdir())[0].unlink()
    said: list[str] = []
    evaluate(some, tmp_path / "out", cohort=data / "cohort", say=said.append)
    assert any(line.startswith("not translated, and so left out: 1 of 3") for line in said)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["patients"] == 2


def test_the_manifest_tells_sources_apart_where_names_cannot(tmp_path: Path, data: Path) -> None:
    images, made = tmp_path / "images", tmp_path / "made"
    image = read_cohort(data / "cohort").cases[0].read_image()
    for name in ("a", "a_b"):
        write_volume(image, images / f"{name}.nii.gz")
    moved = Volume((image.array + 1).astype(np.int16), image.affine)
    write_volume(moved, made / "a_b_b.nii.gz")
    write_volume(image, made / "a_b.nii.gz")  # of a, not of a_b
    manifest = Manifest(made, overwrite=True)
    for output, source in (("a_b.nii.gz", "a.nii.gz"), ("a_b_b.nii.gz", "a_b.nii.gz")):
        origin = Origin(source, sha256(images / source), None, "a_to_b", "0", 1.0)
        manifest.add(Entry(origin, output, "0", None, None, {}))
    evaluate(made, tmp_path / "out", sources=images, say=quiet)
    cases = json.loads((tmp_path / "out" / "metrics.json").read_text())["cases"]
    assert set(cases) == {"a.nii.gz", "a_b.nii.gz"}
    moved_by = cases["a_b.nii.gz"]["methods"]["translated"]["null_by_source_hu"]
    assert moved_by["fat"][0] == pytest.approx(1.0)
    unmoved = cases["a.nii.gz"]["methods"]["translated"]["null_by_source_hu"]
    assert unmoved["fat"][0] == pytest.approx(0.0)

    write_volume(moved, images / "a.nii.gz")  # the same name and grid, another volume
    with pytest.raises(InputError, match=r"made/a_b\.nii\.gz: was made from another a\.nii\.gz"):
        evaluate(made, tmp_path / "again", sources=images, say=quiet)
    assert not (tmp_path / "again").exists()


Break = Callable[[Path], None]


def stray(folder: Path) -> None:
    first = sorted((folder / "translated").iterdir())[0]
    shutil.copy(first, folder / "translated" / "stranger.nii.gz")


def twice(folder: Path) -> None:
    first = sorted((folder / "translated").iterdir())[0]
    shutil.copy(first, folder / "translated" / "contrast-0000_again.nii.gz")


def cropped(folder: Path) -> None:
    first = sorted((folder / "translated").iterdir())[0]
    image = read_cohort(folder / "cohort").cases[0].read_image()
    write_volume(Volume(image.array[1:], image.affine), first)


def shifted(folder: Path) -> None:
    first = sorted((folder / "translated").iterdir())[0]
    image = read_cohort(folder / "cohort").cases[0].read_image()
    affine = image.affine.copy()
    affine[0, 3] += 4.0
    write_volume(Volume(image.array, affine), first)


def damaged(folder: Path) -> None:
    sorted((folder / "translated").iterdir())[0].write_bytes(b"no volume")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (stray, "stranger.nii.gz: has no source among those given"),
        (twice, "is of the same source as"),
        (cropped, "contrast-0000_noncontrast.nii.gz: has (47, 48, 8) voxels, its source"),
        (shifted, "voxels off its source"),
        (damaged, "contrast-0000_noncontrast.nii.gz"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    data: Path, tmp_path: Path, spoil: Break, said: str
) -> None:
    shutil.copytree(data / "translated", tmp_path / "translated")
    (tmp_path / "cohort").symlink_to(data / "cohort")
    spoil(tmp_path)
    with pytest.raises(InputError) as refused:
        evaluate(tmp_path / "translated", tmp_path / "out", cohort=data / "cohort", say=quiet)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_source_without_its_twin_or_labels_is_refused(data: Path, tmp_path: Path) -> None:
    images = data / "cohort" / "images"
    for part in ("twins", "labels"):
        shutil.copytree(data / "cohort" / part, tmp_path / part)
        (tmp_path / part / "contrast-0001.nii.gz").unlink()
    (tmp_path / "tissues.yaml").write_text("organs: {liver: 1}")
    with pytest.raises(InputError, match=r"contrast-0001.nii.gz: has no twin in"):
        evaluate(data / "translated", tmp_path / "out", sources=images, twins=tmp_path / "twins")
    with pytest.raises(InputError, match=r"contrast-0001.nii.gz: has no label map in"):
        evaluate(
            data / "translated",
            tmp_path / "out",
            sources=images,
            labels=tmp_path / "labels",
            tissues=tmp_path / "tissues.yaml",
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "give --cohort, or --sources"),
        (("cohort", "sources"), "give --cohort, or --sources"),
        (("cohort", "twins"), "--twins"),
        (("cohort", "labels"), "--labels"),
        (("sources", "labels"), "--tissues"),
        (("sources", "tissues"), "--labels"),
        (("sources", "target_labels"), "--targets"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    data: Path, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    options: Any = dict.fromkeys(given, data / "cohort")
    with pytest.raises(InputError, match=said):
        evaluate(data / "translated", tmp_path / "out", **options)


def test_a_folder_of_other_things_is_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match="is not empty, and medcyclegan evaluate did"):
        evaluate(data / "translated", tmp_path, cohort=data / "cohort")
    (tmp_path / "metrics.json").write_text('{"made_by": "another program"}')
    with pytest.raises(InputError, match="is not empty"):
        evaluate(data / "translated", tmp_path, cohort=data / "cohort")
    (tmp_path / "metrics.json").write_text('{"made_by": "medcyclegan evaluate cheats"}')
    with pytest.raises(InputError, match="is not empty"):
        evaluate(data / "translated", tmp_path, cohort=data / "cohort")
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "metrics.json"}


def test_tissues_that_no_label_map_holds_are_refused(data: Path, tmp_path: Path) -> None:
    tissues = tmp_path / "tissues.yaml"
    tissues.write_text("organs: {liver: 240}")
    cohort = data / "cohort"
    with pytest.raises(InputError, match=r"labels: none of the values in --tissues \(240\) is in"):
        evaluate(
            data / "translated",
            tmp_path / "out",
            sources=cohort / "images",
            twins=cohort / "twins",
            labels=cohort / "labels",
            tissues=tissues,
            say=quiet,
        )
    assert not (tmp_path / "out").exists()


def test_nothing_is_said_of_the_manifest_that_augment_wrote(data: Path, tmp_path: Path) -> None:
    translated = shutil.copytree(data / "translated", tmp_path / "translated")
    (translated / "manifest.jsonl").write_text("")
    (translated / "notes.txt").write_text("mine")
    lines: list[str] = []
    evaluate(translated, tmp_path / "out", sources=data / "cohort" / "images", say=lines.append)
    assert [line for line in lines if "skipped" in line] == [
        f"{translated / 'notes.txt'}: skipped, no volume by name or content"
    ]
