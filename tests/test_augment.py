"""A data set in, a data set out: whole, mirrored, continued, and never on top of the input."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from medcyclegan import augment as augment_module
from medcyclegan.augment import augment, newest_run
from medcyclegan.config import parse_model
from medcyclegan.domains import DIRECTIONS, Direction, Pair
from medcyclegan.errors import CheckpointError, InputError, MedCycleGANError
from medcyclegan.files import sha256
from medcyclegan.intensity import Window
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.translator import Translator

WINDOW = Window(-200, 600)
DOMAINS = Pair("contrast", "noncontrast")
AFFINE = np.array([[-1.5, 0, 0, 90], [0, -1.5, 0, 70], [0, 0, 5, -40], [0, 0, 0, 1.0]])
Tree = dict[str, bytes]


class Darker(nn.Module):
    """A method that lowers everything by a tenth of the window."""

    def __init__(self) -> None:
        super().__init__()
        self.generators = nn.ModuleDict({name: nn.Linear(1, 1) for name in DIRECTIONS})
        self.discriminators = nn.ModuleDict()
        self.multiple = 1

    def generator_losses(self, real: Pair[Tensor]) -> tuple[dict[str, Tensor], Pair[Tensor]]:
        raise NotImplementedError

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        return slices - 0.2


@pytest.fixture
def darker() -> Translator:
    return _darker("a" * 64)


def _darker(identity: str) -> Translator:
    return Translator(
        Darker(), window=WINDOW, spacing_mm=1.5, neighbors=1, domains=DOMAINS, identity=identity
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that paths are typed as people type them: relative."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ct(seed: int = 0, shape: tuple[int, int, int] = (14, 12, 3)) -> npt.NDArray[np.int16]:
    """Return a slice through fat and soft tissue in air."""
    generator = np.random.default_rng(seed)
    hu = generator.normal(-1000, 10, shape)
    hu[2:-2, 2:-2] = generator.normal(-100, 15, hu[2:-2, 2:-2].shape)
    hu[4:-4, 4:-4] = generator.normal(60, 20, hu[4:-4, 4:-4].shape)
    return hu.astype(np.int16)


def write(path: Path, array: npt.NDArray[Any], affine: npt.NDArray[np.float64] = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = nib.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, path)


def voxels(path: Path) -> npt.NDArray[Any]:
    image: Any = nib.load(path)
    return np.asarray(image.dataobj)


def tree(folder: Path) -> Tree:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def entries(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def quiet(line: str) -> None:
    """Say nothing."""


def run_folder(folder: Path, seed: int = 0) -> Path:
    """Write a finished run with a small untrained model."""
    torch.manual_seed(seed)
    method = parse_model(
        {
            "kind": "cyclegan",
            "generator": {"kind": "unet", "filters": 2, "depth": 1},
            "discriminator": {"kind": "patchgan", "filters": 2},
        }
    )
    card = ModelCard(method.model_dump(), WINDOW, 1.5, 16, 1, DOMAINS, {})
    save_model(folder / "model", make_model(method), card)
    (folder / "finished.json").write_text("{}")
    return folder


# ------------------------------------------------------------------------- names and content


def test_the_tree_is_mirrored_with_labels_beside_and_a_line_for_each(
    here: Path, darker: Translator
) -> None:
    write(Path("in/one.nii.gz"), ct(1))
    write(Path("in/clinic/p1/one.NII"), ct(2))
    write(Path("in/clinic/p1/one.nii.gz"), ct(3))
    label = (ct(2) > 0).astype(np.uint8) * 7
    write(Path("masks/clinic/p1/one.nii.gz"), label)
    summary = augment(Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=quiet)
    assert sorted(tree(Path("out"))) == [
        "clinic/p1/one_nii_noncontrast.nii.gz",
        "clinic/p1/one_niigz_noncontrast.nii.gz",
        "labels/clinic/p1/one_nii_noncontrast.nii.gz",
        "labels/clinic/p1/one_niigz_noncontrast.nii.gz",
        "manifest.jsonl",
        "one_noncontrast.nii.gz",
    ]
    assert len(summary.written) == 3
    assert summary.warnings == ["in/one.nii.gz: no label map in masks; the image goes alone"]
    image: Any = nib.load("out/clinic/p1/one_nii_noncontrast.nii.gz")
    assert np.array_equal(image.affine, AFFINE)
    assert image.get_data_dtype() == np.int16
    change = np.asarray(image.dataobj) - ct(2)
    assert (change[ct(2) > -160] == -80).all()
    assert (change[ct(2) <= -200] == 0).all()
    copied: Any = nib.load("out/labels/clinic/p1/one_nii_noncontrast.nii.gz")
    assert copied.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(copied.dataobj), label)
    assert np.array_equal(copied.affine, AFFINE)
    lines = entries(Path("out"))
    assert [line["source"] for line in lines] == [
        "clinic/p1/one.NII",
        "clinic/p1/one.nii.gz",
        "one.nii.gz",
    ]
    first = lines[0]
    assert first["source_sha256"] == sha256(Path("in/clinic/p1/one.NII"))
    assert first["output_sha256"] == sha256(Path("out") / first["output"])
    assert first["labels_sha256"] == sha256(Path("out") / first["labels"])
    assert (first["direction"], first["model"], first["strength"]) == ("a_to_b", "a" * 64, 1.0)
    assert set(first["versions"]) == {"medcyclegan", "torch"}
    assert lines[2]["labels"] is None


def test_nothing_written_tells_where_or_when_it_was_made(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    augment(Path("in"), Path("out"), translator=darker, say=quiet)
    augment(here / "in", here / "again", translator=darker, say=quiet)
    assert tree(Path("out")) == tree(Path("again"))
    for data in tree(Path("out")).values():
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert str(here).encode() not in plain


def test_into_the_other_domain_both_live_in_one_folder(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    augment(Path("in"), Path("out"), translator=darker, to="noncontrast", say=quiet)
    augment(Path("in"), Path("out"), translator=darker, to="contrast", say=quiet)
    assert [line["output"] for line in entries(Path("out"))] == [
        "ct_contrast.nii.gz",
        "ct_noncontrast.nii.gz",
    ]
    assert [line["direction"] for line in entries(Path("out"))] == ["b_to_a", "a_to_b"]


def test_a_single_file_with_a_label_file(here: Path, darker: Translator) -> None:
    write(Path("ct.nii.gz"), ct())
    write(Path("seg.nii.gz"), np.ones((14, 12, 3), np.float32))
    augment(Path("ct.nii.gz"), Path("out"), translator=darker, labels=Path("seg.nii.gz"))
    assert sorted(tree(Path("out"))) == [
        "ct_noncontrast.nii.gz",
        "labels/ct_noncontrast.nii.gz",
        "manifest.jsonl",
    ]
    assert voxels(Path("out/labels/ct_noncontrast.nii.gz")).dtype == np.float32
    assert entries(Path("out"))[0]["source"] == "ct.nii.gz"


def test_an_nnunet_data_set_brings_its_labels(here: Path, darker: Translator) -> None:
    write(Path("set/imagesTr/case_0000.nii.gz"), ct())
    write(Path("set/labelsTr/case.nii.gz"), (ct() > 0).astype(np.int16))
    write(Path("set/imagesTs/other_0000.nii.gz"), ct(1))
    summary = augment(Path("set"), Path("out"), translator=darker, say=quiet)
    assert summary.warnings == []
    assert sorted(tree(Path("out"))) == [
        "imagesTr/case_0000_noncontrast.nii.gz",
        "labels/imagesTr/case_0000_noncontrast.nii.gz",
        "manifest.jsonl",
    ]
    assert entries(Path("out"))[0]["source"] == "imagesTr/case_0000.nii.gz"


def test_what_would_overwrite_another_output_is_refused(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    write(Path("in/labels/ct.nii"), ct(1))
    write(Path("masks/ct.nii"), np.ones((14, 12, 3), np.uint8))
    summary = augment(Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=quiet)
    (failed,) = summary.failed
    assert failed[0] == Path("in/labels/ct.nii")
    assert "rename" in failed[1]
    assert voxels(Path("out/labels/ct_noncontrast.nii.gz")).dtype == np.uint8


# ---------------------------------------------------------------------------------- refusals


def test_bad_volumes_are_named_and_the_rest_is_written(here: Path, darker: Translator) -> None:
    write(Path("in/good.nii.gz"), ct())
    write(Path("in/mr.nii.gz"), np.random.default_rng(0).integers(0, 900, (14, 12, 3), np.int16))
    write(Path("in/off.nii.gz"), ct(1))
    write(Path("in/cut.nii.gz"), ct(2))
    Path("in/cut.nii.gz").write_bytes(Path("in/cut.nii.gz").read_bytes()[:-40])
    Path("in/notes.txt").write_text("seen by nobody")
    shifted = AFFINE.copy()
    shifted[0, 3] += 3
    write(Path("masks/off.nii.gz"), np.ones((14, 12, 3), np.uint8), shifted)
    said: list[str] = []
    summary = augment(
        Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=said.append
    )
    assert summary.written == [Path("out/good_noncontrast.nii.gz")]
    failed = dict(summary.failed)
    assert sorted(failed) == [Path("in/cut.nii.gz"), Path("in/mr.nii.gz"), Path("in/off.nii.gz")]
    assert failed[Path("in/cut.nii.gz")].startswith("in/cut.nii.gz: ")
    assert failed[Path("in/mr.nii.gz")].startswith("in/mr.nii.gz: ")
    reason = "in/off.nii.gz: its label map masks/off.nii.gz: lies 2 voxels off"
    assert failed[Path("in/off.nii.gz")].startswith(reason)
    assert any(line.startswith("in/notes.txt: skipped") for line in said)
    assert [line for line in said if line in failed.values()] == list(failed.values())
    assert sorted(tree(Path("out"))) == ["good_noncontrast.nii.gz", "manifest.jsonl"]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (np.ones((14, 12, 4), np.uint8), "14, 12, 4"),
        (np.full((14, 12, 3), 0.5, np.float32), "not whole"),
    ],
)
def test_labels_that_do_not_fit_refuse_their_volume(
    here: Path, darker: Translator, label: npt.NDArray[Any], reason: str
) -> None:
    write(Path("in/ct.nii"), ct())
    write(Path("masks/ct.nii"), label)
    with pytest.raises(InputError, match=reason) as caught:
        augment(Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=quiet)
    assert str(caught.value).startswith("in/ct.nii: its label map masks/ct.nii: ")
    assert not Path("out").exists()


def test_where_every_volume_is_refused_the_folder_stays_as_it_was(
    here: Path, darker: Translator
) -> None:
    write(Path("in/a.nii"), np.ones((4, 4, 4), np.uint8))
    write(Path("in/b.nii"), np.ones((4, 4, 4), np.uint8))
    for exists in (False, True):
        if exists:
            Path("out").mkdir()
        lines: list[str] = []
        with pytest.raises(InputError) as caught:
            augment(Path("in"), Path("out"), translator=darker, say=lines.append)
        lines.append(str(caught.value))
        assert [line.partition(":")[0] for line in lines] == ["in/a.nii", "in/b.nii"]
        assert Path("out").exists() == exists
        assert tree(Path("out")) == {}


def _no_change(call: Callable[[], object], match: str) -> None:
    before = tree(Path.cwd())
    with pytest.raises(InputError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert tree(Path.cwd()) == before


def test_input_that_cannot_be_used_changes_nothing(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    Path("empty").mkdir()
    Path("text").mkdir()
    Path("text/a.txt").write_text("a")
    say = quiet
    out = Path("out")
    _no_change(lambda: augment(Path("no"), out, translator=darker, say=say), "no: no such")
    _no_change(lambda: augment(Path("empty"), out, translator=darker, say=say), "empty: ")
    _no_change(lambda: augment(Path("text"), out, translator=darker, say=say), "text: ")
    _no_change(
        lambda: augment(Path("in"), out, translator=darker, to="venous", say=say),
        "venous.*'contrast' and 'noncontrast'",
    )
    _no_change(lambda: augment(Path("in"), out, checkpoint=Path("no"), say=say), "no: no such run")
    _no_change(
        lambda: augment(Path("in"), out, translator=darker, labels=Path("no"), say=say),
        "no: no such",
    )
    _no_change(
        lambda: augment(Path("in"), out, translator=darker, labels=Path("in"), say=say),
        "in: holds the volumes",
    )
    _no_change(
        lambda: augment(Path("in"), out, translator=darker, to="", say=say),
        "no domain '' to translate into",
    )
    _no_change(
        lambda: augment(Path("in"), Path("in/ct.nii/a/b"), translator=darker, say=say),
        r"in/ct\.nii/a/b: lies below the file in/ct\.nii",
    )
    os.mkfifo("pipe")
    _no_change(
        lambda: augment(Path("in"), out, translator=darker, labels=Path("pipe"), say=say),
        "pipe: is no regular file",
    )


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("strength", [-1, 2.01, 1e39, float("nan")])
def test_an_impossible_strength_is_refused_before_all_else(
    here: Path, strength: float, dry_run: bool
) -> None:
    _no_change(
        lambda: augment(Path("no"), Path("out"), strength=strength, dry_run=dry_run, say=quiet),
        "^--strength .*from 0 to 2",
    )


def test_what_cannot_be_read_costs_its_volume_alone(
    here: Path, darker: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcdef":
        write(Path(f"in/{name}.nii"), ct(ord(name)))
        write(Path(f"masks/{name}.nii"), np.ones((14, 12, 3), np.uint8))
    for name, make in (("d", lambda path: path.symlink_to("nowhere")), ("e", os.mkfifo)):
        Path(f"masks/{name}.nii").unlink()
        make(Path(f"masks/{name}.nii"))
    opened = Path.open

    def open_(path: Path, *arguments: Any, **options: Any) -> Any:  # root may read any file
        if path in (Path("in/b.nii"), Path("masks/c.nii")):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_)
    said: list[str] = []
    summary = augment(
        Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=said.append
    )
    assert [path.name[0] for path in summary.written] == ["a", "f"]
    assert said == [reason for _, reason in summary.failed]
    assert [line.partition(";")[0] for line in said] == [
        "in/b.nii: cannot be read (Permission denied)",
        "in/c.nii: its label map masks/c.nii: cannot be read (Permission denied)",
        "in/d.nii: its label map masks/d.nii: is no file",
        "in/e.nii: its label map masks/e.nii: is no file",
    ]


def test_refusals_are_said_when_they_happen(here: Path, darker: Translator) -> None:
    for name in "ace":
        write(Path(f"in/{name}.nii"), np.ones((4, 4, 4), np.uint8))
    for name in "bd":
        write(Path(f"in/{name}.nii"), ct(ord(name)))
    said: list[str] = []
    (Path("in") / "f.dcm").write_text("no DICOM, whatever its name says")

    def say(line: str) -> None:
        written = len(list(Path("out").glob("*.nii.gz")))
        said.append(f"{line.partition(':')[0]} after {written}")

    augment(Path("in"), Path("out"), translator=darker, say=say)
    assert said == ["in/f.dcm after 0", "in/a.nii after 1", "in/c.nii after 1", "in/e.nii after 2"]


def test_a_refusal_is_not_lost_where_the_run_fails(
    here: Path, darker: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path("in/a.nii"), np.ones((4, 4, 4), np.uint8))
    write(Path("in/b.nii"), ct())

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    said: list[str] = []
    with pytest.raises(MedCycleGANError, match="No space left"):
        augment(Path("in"), Path("out"), translator=darker, say=said.append)
    assert [line.partition(":")[0] for line in said] == ["in/a.nii"]


def test_from_within_the_folder_of_a_series(
    here: Path, darker: Translator, monkeypatch: pytest.MonkeyPatch, real_data: Path
) -> None:
    monkeypatch.chdir(real_data / "totalsegmentator" / "example_ct_dicom")
    augment(Path("."), here / "out", translator=darker, say=quiet)
    (line,) = entries(here / "out")
    assert line["source"] == "example_ct_dicom"
    assert line["output"] == "example_ct_dicom_noncontrast.nii.gz"


def test_file_names_need_not_be_text(here: Path, darker: Translator) -> None:
    name = os.fsdecode(b"se\xe9rie")
    write(Path("in/ct.nii"), ct())
    Path("in/ct.nii").rename(Path("in", f"{name}.nii"))
    augment(Path("in"), Path("out"), translator=darker, say=quiet)
    assert Path("out", f"{name}_noncontrast.nii.gz").is_file()
    again = augment(Path("in"), Path("out"), translator=darker, say=quiet)
    assert again.skipped == [Path("out", f"{name}_noncontrast.nii.gz")]


def test_voxels_beside_a_header_count_as_its_content(here: Path, darker: Translator) -> None:
    for hu in (0, 1):
        for folder, array in (("in", ct() + np.int16(hu)), ("masks", np.full_like(ct(), hu))):
            pair: Any = nib.Nifti1Pair(array, AFFINE)
            Path(folder).mkdir(exist_ok=True)
            nib.save(pair, f"{folder}/ct.hdr")
    made = [augment(Path("in"), Path("out"), translator=darker, say=quiet)]
    pair = nib.Nifti1Pair(ct() + np.int16(2), AFFINE)
    nib.save(pair, "in/ct.hdr")
    for labels in (None, Path("masks"), Path("masks")):
        made.append(augment(Path("in"), Path("out"), translator=darker, labels=labels, say=quiet))
    nib.save(nib.Nifti1Pair(np.full_like(ct(), 5), AFFINE), "masks/ct.hdr")
    made.append(
        augment(Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=quiet)
    )
    assert [len(summary.written) for summary in made] == [1, 1, 1, 0, 1]
    assert voxels(Path("out/labels/ct_noncontrast.nii.gz")).max() == 5


def test_the_output_never_lies_in_the_input_nor_around_it(here: Path, darker: Translator) -> None:
    write(Path("data/in/ct.nii"), ct())
    write(Path("data/masks/ct.nii"), np.ones((14, 12, 3), np.uint8))
    Path("alias").symlink_to("data/in")
    masks = Path("data/masks")
    for out in ("data/in", "data/in/out", "alias", "alias/out", "data", "data/masks/out"):
        for overwrite in (False, True):
            _no_change(
                lambda out=out, overwrite=overwrite: augment(  # type: ignore[misc]  # bound now
                    Path("data/in"),
                    Path(out),
                    translator=darker,
                    labels=masks,
                    overwrite=overwrite,
                    say=quiet,
                ),
                f"^{out}: (is the input itself|lies inside the input|the input .* lies inside it)",
            )
    Path("out").mkdir()
    Path("out/ct.nii").write_bytes(Path("data/in/ct.nii").read_bytes())
    Path("linked").mkdir()
    Path("linked/ct.nii").symlink_to("../out/ct.nii")
    _no_change(
        lambda: augment(Path("linked"), Path("out"), translator=darker, overwrite=True, say=quiet),
        "out: the input linked/ct.nii lies inside it",
    )


def test_a_folder_of_others_is_left_alone(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("dear")
    _no_change(
        lambda: augment(Path("in"), Path("out"), translator=darker, say=quiet),
        "out: is not empty.*--overwrite",
    )
    augment(Path("in"), Path("out"), translator=darker, overwrite=True, say=quiet)
    assert sorted(tree(Path("out"))) == ["ct_noncontrast.nii.gz", "manifest.jsonl", "thesis.txt"]
    Path("file").write_text("")
    _no_change(lambda: augment(Path("in"), Path("file"), translator=darker, say=quiet), "file: is")


# --------------------------------------------------------------------------------- second runs


def test_a_second_run_skips_what_is_finished_and_makes_what_is_not(
    here: Path, darker: Translator
) -> None:
    for name in "abcd":
        write(Path(f"in/{name}.nii"), ct(ord(name)))
    augment(Path("in"), Path("out"), translator=darker, say=quiet)
    whole = tree(Path("out"))
    times = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    Path("out/b_noncontrast.nii.gz").unlink()
    Path("out/c_noncontrast.nii.gz").write_bytes(b"another's")
    Path("out/.medcyclegan-left").mkdir()
    Path("out/.medcyclegan-left/half.nii.gz").write_bytes(b"half")
    summary = augment(Path("in"), Path("out"), translator=darker, say=quiet)
    assert [path.name[0] for path in summary.written] == ["b", "c"]
    assert [path.name[0] for path in summary.skipped] == ["a", "d"]
    assert tree(Path("out")) == whole
    untouched = Path("out/a_noncontrast.nii.gz")
    assert untouched.stat().st_mtime_ns == times[untouched]
    assert not Path("out/.medcyclegan-left").exists()


def test_a_changed_input_is_made_anew_and_labels_are_added(here: Path, darker: Translator) -> None:
    write(Path("in/a.nii"), ct(1))
    write(Path("in/b.nii"), ct(2))
    augment(Path("in"), Path("out"), translator=darker, say=quiet)
    write(Path("in/a.nii"), ct(3))
    summary = augment(Path("in"), Path("out"), translator=darker, say=quiet)
    assert [path.name[0] for path in summary.written] == ["a"]
    write(Path("masks/b.nii"), np.ones((14, 12, 3), np.uint8))
    summary = augment(Path("in"), Path("out"), translator=darker, labels=Path("masks"), say=quiet)
    assert Path("out/b_noncontrast.nii.gz") in summary.written
    assert Path("out/labels/b_noncontrast.nii.gz").exists()


def test_models_and_strengths_do_not_mix_in_one_folder(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    augment(Path("in"), Path("out"), translator=darker, say=quiet)
    other = _darker("b" * 64)
    _no_change(
        lambda: augment(Path("in"), Path("out"), translator=other, say=quiet),
        "out: ct_noncontrast.nii.gz was made by model aaaaaaaaaaaa.*--overwrite",
    )
    _no_change(
        lambda: augment(Path("in"), Path("out"), translator=darker, strength=0.5, say=quiet),
        "strength 1 as nifti, not by model aaaaaaaaaaaa at strength 0.5",
    )
    summary = augment(Path("in"), Path("out"), translator=other, overwrite=True, say=quiet)
    assert len(summary.written) == 1
    assert [line["model"] for line in entries(Path("out"))] == ["b" * 64]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(here: Path, darker: Translator) -> None:
    write(Path("in/a.nii"), ct(1))
    said: list[str] = []
    shown: list[str] = []
    summary = augment(
        Path("in"),
        Path("out"),
        translator=darker,
        dry_run=True,
        say=said.append,
        show=shown.append,
    )
    assert said == []
    assert shown == ["in/a.nii -> out/a_noncontrast.nii.gz"]
    assert summary.written == [Path("out/a_noncontrast.nii.gz")]
    assert not Path("out").exists()
    augment(Path("in"), Path("out"), translator=darker, say=quiet)
    summary = augment(Path("in"), Path("out"), translator=darker, dry_run=True, say=quiet)
    assert summary.written == []
    assert summary.skipped == [Path("out/a_noncontrast.nii.gz")]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_dry_run_refuses_what_the_run_would(here: Path, dry_run: bool) -> None:
    coarse = AFFINE @ np.diag([2.0, 2.0, 1.0, 1.0])
    for name, affine in (("a", AFFINE), ("coarse", coarse), ("label", AFFINE)):
        write(Path(f"in/{name}.nii"), ct(), affine)
        write(Path(f"masks/{name}.nii"), np.ones((14, 12, 3), np.uint8), affine)
    write(Path("in/mr.nii"), np.ones((14, 12, 3), np.uint8))
    write(Path("masks/label.nii"), np.ones((14, 12, 4), np.uint8))
    direct = Translator(
        Darker(), window=WINDOW, spacing_mm=1.5, neighbors=1, domains=DOMAINS, output="direct"
    )
    summary = augment(
        Path("in"),
        Path("out"),
        translator=direct,
        labels=Path("masks"),
        dry_run=dry_run,
        say=quiet,
        show=quiet,
    )
    assert summary.written == [Path("out/a_noncontrast.nii.gz")]
    assert [path.stem for path, _ in summary.failed] == ["coarse", "label", "mr"]
    assert Path("out").exists() != dry_run


@pytest.mark.parametrize("overwrite", [False, True])
def test_labels_that_are_gone_leave_the_folder(
    here: Path, darker: Translator, overwrite: bool
) -> None:
    for name in ("a.nii", "b.nii", "labels/b.nii"):
        write(Path("in", name), ct())
    write(Path("masks/a.nii"), np.ones((14, 12, 3), np.uint8))
    run = {"translator": darker, "say": quiet}
    augment(Path("in"), Path("out"), labels=Path("masks"), **run)  # type: ignore[arg-type]  # options
    whole = tree(Path("out"))
    Path("masks/a.nii").unlink()
    augment(Path("in"), Path("out"), labels=Path("masks"), overwrite=overwrite, **run)  # type: ignore[arg-type]  # options
    assert whole.keys() - tree(Path("out")).keys() == {"labels/a_noncontrast.nii.gz"}
    augment(Path("in"), Path("never"), **run)  # type: ignore[arg-type]  # options
    assert tree(Path("out")) == tree(Path("never"))


def test_a_disk_that_takes_no_more_keeps_what_is_finished(
    here: Path, darker: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(Path(f"in/{name}.nii"), ct(ord(name)))
    replace, left = os.replace, [4]  # the empty manifest, a, the manifest, b

    def full(source: str, target: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MedCycleGANError, match="No space left") as caught:
        augment(Path("in"), Path("out"), translator=darker, say=quiet)
    assert caught.value.exit_code == 1
    assert sorted(tree(Path("out"))) == [
        "a_noncontrast.nii.gz",
        "b_noncontrast.nii.gz",
        "manifest.jsonl",
    ]
    monkeypatch.undo()
    monkeypatch.chdir(here)
    summary = augment(Path("in"), Path("out"), translator=darker, say=quiet)
    assert [path.name[0] for path in summary.skipped] == ["a"]


KILLS = """
import os, signal, sys, tempfile
from pathlib import Path
from medcyclegan.augment import augment

def make(out, **options):
    augment(
        Path("in"),
        out,
        checkpoint=Path("run"),
        labels=Path("masks"),
        file_format=sys.argv[1],
        say=lambda line: 0,
        show=lambda line: 0,
        **options,
    )

def run(out, moment):
    # In a process of its own; killed at the moment-th step that touches the disk.
    child = os.fork()
    if child == 0:
        steps = 0
        def counted(call):
            def step(*arguments, **options):
                nonlocal steps
                steps += 1
                if steps == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)
            return step
        tempfile.mkdtemp = counted(tempfile.mkdtemp)  # nothing is there yet
        os.fsync = counted(os.fsync)  # whole beside its place; then, for the folder, in its place
        make(out)
        os._exit(0)
    return os.waitpid(child, 0)[1]

make(Path("none"), dry_run=True)  # imports once what all of them need
assert run(Path("whole"), 0) == 0
moment = 1
while run(Path(f"killed{moment}"), moment) == signal.SIGKILL:
    half = [path for path in Path(f"killed{moment}").rglob("*") if path.is_file()]
    assert run(Path(f"killed{moment}"), 0) == 0, moment
    moment += int(sys.argv[2])
print(moment)
"""


@pytest.mark.parametrize(("file_format", "files", "step"), [("nifti", 4, 2), ("dicom", 8, 5)])
def test_killed_anywhere_and_run_again_it_leaves_the_same_tree(
    here: Path, file_format: str, files: int, step: int
) -> None:
    run_folder(Path("run"))
    write(Path("in/a.nii"), ct(1))
    write(Path("in/sub/b.nii"), ct(2))
    write(Path("masks/sub/b.nii"), np.ones((14, 12, 3), np.uint8))
    environment = os.environ | {"PYTHONPATH": str(Path(augment_module.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", KILLS, file_format, str(step)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    moments = int(done.stdout)
    assert moments > 18  # six files, each of three steps
    whole = tree(Path("whole"))
    assert len(whole) == files
    for moment in range(1, moments, step):
        assert tree(Path(f"killed{moment}")) == whole, moment
        assert not list(Path(f"killed{moment}").rglob(".medcyclegan-*"))


# -------------------------------------------------------------------------- which model is taken


def test_the_run_that_finished_last_is_taken_at_any_depth(here: Path) -> None:
    old, new = run_folder(Path("runs/old"), 1), run_folder(Path("runs/deep/er/new"), 2)
    unfinished = run_folder(Path("runs/unfinished"), 3)
    (unfinished / "finished.json").unlink()
    os.utime(old / "finished.json", (1, 1))
    assert newest_run(Path("runs")) == new
    write(Path("in/ct.nii"), ct())
    said: list[str] = []
    augment(Path("in"), Path("out"), say=said.append)
    assert said == ["using runs/deep/er/new, the run that finished last"]
    assert entries(Path("out"))[0]["model"] == Translator.load(new).identity
    os.utime(new / "finished.json", (0, 0))
    assert newest_run(Path("runs")) == old


def test_without_a_run_one_is_told_how_to_get_one(here: Path) -> None:
    write(Path("in/ct.nii"), ct())
    with pytest.raises(CheckpointError, match=r"medcyclegan train --config.*--checkpoint"):
        augment(Path("in"), Path("out"))
    assert not Path("out").exists()


def test_a_translator_and_a_checkpoint_are_one_too_many(here: Path, darker: Translator) -> None:
    write(Path("in/ct.nii"), ct())
    with pytest.raises(ValueError, match="not both"):
        augment(Path("in"), Path("out"), translator=darker, checkpoint=Path("run"))


# ------------------------------------------------------------------------------------- real CT


def test_real_ct_with_labels(here: Path, real_data: Path) -> None:
    data = real_data / "totalsegmentator"
    out = Path("out")
    checkpoint = run_folder(Path("run"))
    volume, label = data / "example_ct_sm.nii.gz", data / "example_seg.nii.gz"
    augment(volume, out, checkpoint=checkpoint, labels=label, say=quiet)
    before: Any = nib.load(volume)
    after: Any = nib.load(out / "example_ct_sm_noncontrast.nii.gz")
    assert after.shape == before.shape
    assert np.abs(after.affine - before.affine).max() < 1e-4
    hu, made = np.asarray(before.dataobj), np.asarray(after.dataobj)
    assert np.array_equal(made[hu <= -200], hu[hu <= -200])
    assert np.isfinite(made).all()
    copied = voxels(out / "labels" / "example_ct_sm_noncontrast.nii.gz")
    assert np.array_equal(copied, voxels(label))
    assert copied.dtype == voxels(label).dtype


def test_a_real_dicom_series_with_labels(here: Path, real_data: Path) -> None:
    data = real_data / "totalsegmentator"
    label = data / "example_seg_dicom.nii.gz"
    augment(
        data / "example_ct_dicom",
        Path("out"),
        checkpoint=run_folder(Path("run")),
        labels=label,
        say=quiet,
    )
    after: Any = nib.load("out/example_ct_dicom_noncontrast.nii.gz")
    copied: Any = nib.load("out/labels/example_ct_dicom_noncontrast.nii.gz")
    assert after.shape == copied.shape == (512, 512, 20)
    assert np.abs(after.affine - copied.affine).max() < 1e-3
    stored: Any = nib.as_closest_canonical(nib.load(label))
    copied = nib.as_closest_canonical(copied)
    assert np.abs(stored.affine - copied.affine).max() < 1e-2
    assert np.array_equal(np.asarray(copied.dataobj), np.asarray(stored.dataobj))
    assert [line["source"] for line in entries(Path("out"))] == ["example_ct_dicom"]


def test_real_mr_and_damaged_ct_are_refused(
    here: Path, real_data: Path, darker: Translator
) -> None:
    for name in (
        "totalsegmentator/example_mr_sm.nii.gz",
        "derived_bad/truncated.nii.gz",
        "derived_bad/truncated_plain.nii",
        "derived_bad/fourD_3phases.nii.gz",
        "derived_bad/no_qform_sform.nii.gz",
    ):
        path = real_data / name
        with pytest.raises(InputError) as caught:
            augment(path, Path("out"), translator=darker, say=quiet)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
        assert not Path("out").exists()
