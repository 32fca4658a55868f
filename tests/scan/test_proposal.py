from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medcyclegan.config import load_config
from medcyclegan.errors import InputError
from medcyclegan.io.stored import ReadOptions
from medcyclegan.scan import ScanRow, propose_config, scan
from medcyclegan.scan.doubts import SYNTHETIC

WriteBody = Callable[..., Path]
PLAIN = ScanRow(
    "b.nii", "nifti", (9, 9, 9), (1.0, 1.0, 5.0), "LPS", -1000, 50, "noncontrast", 0.95, (), True
)
CONTRAST = replace(PLAIN, path="a.nii", phase="contrast", patient="k1")
TINY = ["training.steps=2", "training.batch_size=1", "slices.size=32", "model.generator.filters=2"]
TINY += ["model.generator.blocks=1", "model.discriminator.filters=2", "training.device=cpu"]


def test_the_proposal_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write_body: WriteBody
) -> None:
    from medcyclegan.train import train

    write_body("plain/p4.nii.gz", 38)
    monkeypatch.chdir(folder.parent)
    rows = scan(Path("in")).rows
    proposal = propose_config(rows, Path("in"), Path("new.yaml"))
    assert proposal.patients == {"contrast": 2, "noncontrast": 2}
    assert [line.split(": ")[0] for line in proposal.left_out] == [
        "in/empty.nii.gz",
        "in/plain/shifted.nii.gz",
    ]
    config = load_config("new.yaml", TINY)
    assert config.domains.a.volumes == ["in/late/p1.nii.gz", "in/late/p2.nii.gz"]
    assert config.domains.b.name == "noncontrast"
    assert (config.slices.size, config.slices.spacing_mm) == (32, 3.0)
    assert (train(config) / "finished.json").is_file()


def test_volumes_of_a_patient_stand_together(tmp_path: Path) -> None:
    rows = [CONTRAST, replace(CONTRAST, path="c.nii", patient="k2"), PLAIN]
    rows += [replace(CONTRAST, path="d.nii")]
    text = propose_config(rows, tmp_path, tmp_path / "new.yaml").text
    first, second = text.index("# patient k1"), text.index("# patient k2")
    assert first < text.index("a.nii") < text.index("d.nii") < second < text.index("c.nii")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (replace(PLAIN, path="x", confidence=0.75), "confidence of 0.75 alone"),
        (replace(PLAIN, path="x", phase="unknown"), "phase is unknown"),
        (replace(PLAIN, path="x", problems=("padding", SYNTHETIC)), "synthetic, by its own header"),
        (replace(PLAIN, path="x", accepted=False, problems=("is empty",)), "is empty"),
        (replace(PLAIN, path="a.nii"), "holds volumes of both domains"),
    ],
)
def test_what_is_not_sure_is_left_out_and_said(tmp_path: Path, row: ScanRow, says: str) -> None:
    rows = [CONTRAST, replace(CONTRAST, path="c.nii"), PLAIN, row]
    proposal = propose_config(rows, tmp_path, tmp_path / "new.yaml")
    assert says in proposal.left_out[0]
    assert '/x"' not in proposal.text


def test_a_folder_that_holds_others_below_is_left_out(tmp_path: Path) -> None:
    rows = [replace(CONTRAST, path="p"), replace(PLAIN, path="p/q"), PLAIN, CONTRAST]
    proposal = propose_config(rows, tmp_path, tmp_path / "new.yaml")
    assert "other volumes lie below it, such as p/q" in proposal.left_out[0]


def test_an_empty_domain_or_a_taken_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no volume of 1 is surely noncontrast"):
        propose_config([CONTRAST], tmp_path, tmp_path / "new.yaml")
    assert not list(tmp_path.iterdir())
    (tmp_path / "new.yaml").write_text("mine")
    with pytest.raises(InputError, match="exists; choose another name"):
        propose_config([CONTRAST, PLAIN], tmp_path, tmp_path / "new.yaml")
    assert (tmp_path / "new.yaml").read_text() == "mine"


def test_names_that_no_config_can_hold_are_left_out(tmp_path: Path) -> None:
    odd = [f"a{mark}b.nii" for mark in "\u2028\x85\x7f\t\xa0\U0001f600é"]
    rows = [*(replace(CONTRAST, path=name) for name in [*odd, "c\udcff.nii"]), PLAIN]
    target = tmp_path / "new.yaml"
    proposal = propose_config(rows, tmp_path, target)
    (line,) = proposal.left_out
    assert "not UTF-8" in line
    volumes = load_config(target).domains.a.volumes
    assert [Path(str(volume)).name for volume in volumes] == odd


def test_options_and_odd_names_go_along(tmp_path: Path) -> None:
    rows = [replace(CONTRAST, path='a "b": [c] #.nii'), PLAIN]
    options = ReadOptions(split_4d=True)
    target = tmp_path / "new.yaml"
    propose_config(rows, tmp_path, target, options)
    config = load_config(target)
    assert config.reading.split_4d
    assert not config.reading.resample_tilt
