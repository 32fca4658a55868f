"""Nothing invalid is read, nothing odd but valid is refused, and no refusal leaves a trace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from medcyclegan import cli
from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.io import read_labels, read_volume
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model
from tests.hostile.corpus import INVALID, VALID
from tests.hostile.grids import check_same_voxels
from tests.hostile.labels import BAD_LABELS, GOOD_LABELS
from tests.hostile.made import series

TWO_FAULTS = {  # a file of its own, and the gap that it leaves
    "dicom series: a slice turned",
    "dicom series: a slice of another size",
    "dicom series: a slice that is text",
    "dicom series: a slice of MR",
}
IN_TREES = [name for name in INVALID if not name.startswith("file:")]  # all that lies there counts
Tree = dict[str, tuple[str, bytes]]


def tree(folder: Path) -> Tree:
    """Return everything below a folder: kind and content."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        kind = "file" if path.is_file() else "folder" if path.is_dir() else "other"
        kind = "link" if path.is_symlink() else kind
        found[path.relative_to(folder).as_posix()] = (
            kind,
            path.read_bytes() if kind == "file" else b"",
        )
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with small untrained networks."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    method = parse_model(
        {
            "kind": "cyclegan",
            "generator": {"kind": "unet", "filters": 2, "depth": 1},
            "discriminator": {"kind": "patchgan", "filters": 2},
        }
    )
    domains = Pair("contrast", "noncontrast")
    card = ModelCard(method.model_dump(), Window(-200, 600), None, 16, 1, domains, {})
    save_model(folder, make_model(method), card)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder for input and one for temporary files."""
    for name in ("in", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


@pytest.mark.parametrize("name", INVALID)
def test_invalid_input_is_refused_in_one_line(
    name: str, here: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, says = INVALID[name]
    path = make(Path("in"))
    before = tree(here)
    words = ["augment", str(path), "out", "--checkpoint", str(model), "--device", "cpu"]
    code = cli.main([*words, "--dry-run"])
    said = capfd.readouterr()
    assert (code, said.out) == (2, ""), said
    assert said.err.count("\n") == (2 if name in TWO_FAULTS else 1), said.err
    assert all(line.startswith(str(path)) for line in said.err.splitlines()), said.err
    assert re.search(says, said.err), said.err
    assert "Traceback" not in said.err
    assert len(said.err) < 600
    assert str(here) not in said.err
    assert tree(here) == before


@pytest.mark.parametrize("name", VALID)
def test_odd_but_valid_input_is_read_exactly(name: str, tmp_path: Path) -> None:
    make, array, affine = VALID[name]
    check_same_voxels(read_volume(make(tmp_path)), array, affine)


def augmented(path: Path, labels: Path, model: Path, *options: str) -> int:
    """Run `augment` with labels; return its exit code."""
    words = ["augment", str(path), "out", "--checkpoint", str(model), "--device", "cpu"]
    return cli.main([*words, "--labels", str(labels), *options])


@pytest.mark.parametrize("name", BAD_LABELS)
def test_labels_that_do_not_belong_are_refused_in_one_line(
    name: str, here: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, says = BAD_LABELS[name]
    path, labels = series()(Path("in")), make(Path("in"))
    before = tree(here)
    code = augmented(path, labels, model)
    said = capfd.readouterr()
    assert (code, said.out) == (2, ""), said
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("in/"), said.err
    assert labels.name in said.err, said.err
    assert re.search(says, said.err), said.err
    assert tree(here) == before


@pytest.mark.parametrize("name", GOOD_LABELS)
def test_labels_that_belong_go_along(
    name: str, here: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, mask = GOOD_LABELS[name]
    path = series()(Path("in"))
    assert augmented(path, make(Path("in")), model) == 0, capfd.readouterr().err
    copy = read_labels(Path("out/labels/series_noncontrast.nii.gz"))
    assert np.array_equal(copy.array, mask)


def test_the_corpus_is_as_large_as_it_claims() -> None:
    assert len(INVALID) >= 350
    assert len(VALID) >= 100


def folders_of(names: dict[str, str]) -> None:
    """Write each case into a folder of its own below `in`."""
    for folder, name in names.items():
        Path("in", folder).mkdir()
        (INVALID[name] if name in INVALID else VALID[name])[0](Path("in", folder))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as people do."""
    return subprocess.run(
        [Path(sys.executable).with_name("medcyclegan"), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"TMPDIR": str(Path("tmp").absolute())},
    )


def test_a_tree_of_invalid_input_costs_a_line_each(here: Path, model: Path) -> None:
    names = {f"{index:03}": name for index, name in enumerate(IN_TREES)}
    folders_of(names)
    before = tree(here)
    done = command("augment", "in", "out", "--checkpoint", str(model), "--device", "cpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    spoken = {line.split("/")[1] for line in done.stderr.splitlines() if line.startswith("in/")}
    assert {name for folder, name in names.items() if folder not in spoken} == set()
    assert tree(here) == before


def test_a_scan_of_everything_accepts_what_is_valid_and_nothing_else(here: Path) -> None:
    names = {f"{index:03}": name for index, name in enumerate([*IN_TREES, *VALID])}
    folders_of(names)
    before = tree(here)
    done = command("scan", "in", "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    accepted = {row["path"].split("/")[0] for row in json.loads(done.stdout) if row["accepted"]}
    assert {names[folder] for folder in accepted} == set(VALID)
    assert tree(here) == before


def test_the_check_of_voxels_notices_a_flip_and_a_shift(tmp_path: Path) -> None:
    make, array, affine = VALID["nifti: plain"]
    volume = read_volume(make(tmp_path))
    check_same_voxels(volume, array, affine)
    for wrong in (array[::-1], array + np.int16(1)):
        with pytest.raises(AssertionError):
            check_same_voxels(volume, wrong, affine)
    shifted = affine.copy()
    shifted[0, 3] += 0.001
    with pytest.raises(AssertionError):
        check_same_voxels(volume, array, shifted)
