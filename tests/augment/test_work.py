"""What augment writes in each format, and what it tells nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK
import torch
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medcyclegan import cli
from medcyclegan.augment import augment
from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.errors import InputError, MedCycleGANError
from medcyclegan.files import locked
from medcyclegan.intensity import Window
from medcyclegan.io import find_volumes, read_source, read_volume
from medcyclegan.io.formats import WRITERS
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.translator import Translator

Array = npt.NDArray[Any]
AFFINE = np.array([[-1.5, 0, 0, 90], [0, -1.5, 0, 70], [0, 0, 5, -40], [0, 0, 0, 1.0]])
WHO: dict[str, Any] = {
    "PatientName": "Plantedname^Jane",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19510203",
    "InstitutionName": "Plantedclinic",
    "StudyDescription": "Planted study",
    "SeriesDescription": "Planted series",
    "ReferringPhysicianName": "Planteddoctor",
}


def ct(seed: int = 0, shape: tuple[int, int, int] = (16, 12, 3)) -> npt.NDArray[np.int16]:
    """A slice through fat and soft tissue in air."""
    generator = np.random.default_rng(seed)
    hu = generator.normal(-1000, 10, shape)
    hu[2:-2, 2:-2] = generator.normal(-100, 15, hu[2:-2, 2:-2].shape)
    hu[4:-4, 4:-4] = generator.normal(60, 20, hu[4:-4, 4:-4].shape)
    return hu.astype(np.int16)


def nifti(path: Path, array: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = nib.Nifti1Image(array, AFFINE)
    image.header["descrip"] = b"Plantedname Jane"
    image.header["aux_file"] = b"planted aux"
    image.header["db_name"] = b"planted db"
    image.header["intent_name"] = b"planted intent"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"planted comment"))
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    nib.save(image, path)


def dicom(folder: Path, array: Array, leaning_mm: float = 0, **fields: Any) -> None:
    """Write a series of axial slices with header fields, each shifted to the back by so much."""
    folder.mkdir(parents=True)
    study, series = generate_uid(), generate_uid()
    for k in range(array.shape[2]):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.Modality, dataset.KVP = "CT", "120"
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-90, -70 + leaning_mm * k, -40 + 5 * k]
        dataset.PixelSpacing, dataset.SliceThickness = [1.5, 1.5], 5
        dataset.Rows, dataset.Columns = array.shape[1], array.shape[0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = np.ascontiguousarray(array[:, :, k].T).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.add_new(0x00091010, "LO", "Planted private")
        for keyword, value in fields.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{k}", enforce_file_format=True)


def tree(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def entries(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds `run`, a small model, and `in`, a NIfTI and a DICOM volume."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    method = parse_model(
        {
            "kind": "cyclegan",
            "generator": {"kind": "unet", "filters": 2, "depth": 1},
            "discriminator": {"kind": "patchgan", "filters": 2},
        }
    )
    domains = Pair("contrast", "noncontrast")
    card = ModelCard(method.model_dump(), Window(-200, 600), 1.5, 16, 1, domains, {})
    save_model(Path("run/model"), make_model(method), card)
    nifti(Path("in/a/plain.nii.gz"), ct(1))
    dicom(Path("in/p1/ct"), ct(2), **WHO)
    return tmp_path


@pytest.fixture
def small(here: Path) -> Translator:
    return Translator.load(Path("run"), "cpu")


class Done(NamedTuple):
    """What a command gave back."""

    exit_code: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `augment` on `in` as typed on the command line."""

    def run(*arguments: str) -> Done:
        code = cli.main(["augment", "in", "out", "--checkpoint", "run", *arguments])
        return Done(code, *capsys.readouterr())

    return run


def quiet(line: str) -> None:
    """Say nothing."""


SUFFIXES = {"nifti": ".nii.gz", "mha": ".mha", "nrrd": ".nrrd"}


@pytest.mark.parametrize("file_format", [*WRITERS])
def test_every_format_holds_the_same_volumes_at_the_same_places(
    here: Path, command: Command, file_format: str
) -> None:
    nifti(Path("masks/a/plain.nii.gz"), (ct(1) > 0).astype(np.uint8))
    done = command("--labels", "masks", "--format", file_format)
    assert done.exit_code == 0, done.stderr
    ending = SUFFIXES.get(file_format, "")
    lines = entries(Path("out"))
    assert [line["output"] for line in lines] == [
        f"a/plain_noncontrast{ending}",
        f"p1/ct_noncontrast{ending}",
    ]
    assert [line["format"] for line in lines] == [file_format] * 2
    assert [line["labels"] for line in lines] == ["labels/a/plain_noncontrast.nii.gz", None]
    expected = [read_source(source) for source in find_volumes(Path("in")).sources]
    for line, source in zip(lines, expected, strict=True):
        made = read_volume(Path("out") / line["output"])
        assert made.array.shape == source.array.shape
        assert np.allclose(made.affine, source.affine, atol=1e-6)
        below = source.array <= -200
        assert np.array_equal(made.array[below], source.array[below])
        assert not np.array_equal(made.array, source.array)


@pytest.mark.parametrize("file_format", [*WRITERS])
def test_a_second_run_finds_it_done_and_mends_what_is_damaged(
    here: Path, file_format: str, small: Translator
) -> None:
    def run() -> tuple[int, int]:
        summary = augment(
            Path("in"), Path("out"), translator=small, file_format=file_format, say=quiet
        )
        return len(summary.written), len(summary.skipped)

    assert run() == (2, 0)
    whole = tree(Path("out"))
    assert run() == (0, 2)
    victim = next(path for path in sorted(Path("out/p1").rglob("*")) if path.is_file())
    victim.write_bytes(b"damaged")
    assert run() == (1, 1)
    if file_format == "dicom":
        victim.unlink()
        assert run() == (1, 1)
    assert tree(Path("out")) == whole


def test_formats_do_not_mix_in_one_folder(here: Path, command: Command) -> None:
    assert command().exit_code == 0
    before = tree(Path("out"))
    done = command("--format", "dicom")
    assert done.exit_code == 2
    assert "as nifti, not by model" in done.stderr
    assert "choose another folder, or --overwrite" in done.stderr
    assert tree(Path("out")) == before
    assert command("--format", "dicom", "--overwrite").exit_code == 0
    assert command("--format", "dicom", "--keep-identifiers").exit_code == 2


def test_a_series_killed_before_it_was_noted_is_made_anew(here: Path, small: Translator) -> None:
    def run() -> None:
        augment(Path("in"), Path("out"), translator=small, file_format="dicom", say=quiet)

    run()
    whole = tree(Path("out"))
    Path("out/manifest.jsonl").write_text("")
    Path("out/p1/ct_noncontrast/IM0002.dcm").unlink()
    run()
    assert tree(Path("out")) == whole


def test_a_folder_in_the_way_costs_its_volume_alone(here: Path, command: Command) -> None:
    assert command("--format", "dicom").exit_code == 0
    Path("out/p1/ct_noncontrast/thesis.txt").write_text("dear")
    done = command("--format", "dicom")
    assert done.exit_code == 1
    assert "out/p1/ct_noncontrast: is in the way and no series of ours; remove it" in done.stderr
    assert Path("out/p1/ct_noncontrast/thesis.txt").exists()


def test_a_name_that_gets_too_long_costs_its_volume_alone(here: Path, small: Translator) -> None:
    nifti(Path("names") / f"{'n' * 240}.nii.gz", ct(3))
    nifti(Path("names/short.nii.gz"), ct(3))
    summary = augment(Path("names"), Path("out"), translator=small, say=quiet)
    assert [path.name for path in summary.written] == ["short_noncontrast.nii.gz"]
    ((path, reason),) = summary.failed
    assert path.name.startswith("nnn")
    assert "name would be too long" in reason


def test_a_series_is_not_written_into_another(here: Path, small: Translator) -> None:
    dicom(Path("in/p1/ct_noncontrast/ct"), ct(3))
    summary = augment(
        Path("in"), Path("out"), translator=small, file_format="dicom", say=quiet, dry_run=True
    )
    (failed,) = summary.failed
    assert failed[0] == Path("in/p1/ct_noncontrast/ct")
    assert "would be another volume's, too" in failed[1]


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_the_format_cannot_say_is_refused_by_name(
    here: Path, small: Translator, dry_run: bool
) -> None:
    affine = np.array([[-1.5, 0, 0, 9], [0, 0, -5, 8], [0, -1.5, 0, 7], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(ct(4), affine), "in/a/coronal.nii.gz")
    summary = augment(
        Path("in"),
        Path("out"),
        translator=small,
        file_format="dicom",
        say=quiet,
        show=quiet,
        dry_run=dry_run,
    )
    ((path, reason),) = summary.failed
    assert path == Path("in/a/coronal.nii.gz")
    assert reason.startswith("in/a/coronal.nii.gz: is a stack of coronal slices")
    assert len(summary.written) == 2


def test_the_manifest_says_what_labels_are_called_but_for_names_of_people(
    here: Path, small: Translator
) -> None:
    dicom(Path("set/imagesTr/case_0000"), ct(2), **WHO)
    nifti(Path("set/imagesTr/other_0000.nii.gz"), ct(1))
    for name in ("case", "other"):
        nifti(Path(f"set/labelsTr/{name}.nii.gz"), (ct(2) > 0).astype(np.uint8))
    names = {"background": 0, "liver": 1, "lesion of Jane": 2}
    text = json.dumps({"channel_names": {"0": "CT"}, "labels": names})
    Path("set/dataset.json").write_text(text)
    augment(Path("set"), Path("made"), translator=small, say=quiet)
    of_series, of_file = entries(Path("made"))
    assert of_series["labels"] == "labels/imagesTr/case_0000_noncontrast.nii.gz"
    assert of_series["label_names"] == {"1": "liver", "2": "label_2"}
    assert of_file["label_names"]["1"] == "liver"


def test_tilt_is_straightened_and_4d_split_only_if_asked(here: Path, command: Command) -> None:
    four = np.stack([ct(5), ct(6)], axis=3)
    nib.save(nib.Nifti1Image(four, AFFINE), "in/a/four.nii.gz")
    dicom(Path("in/tilted"), ct(7), leaning_mm=2.0)
    done = command("--format", "dicom")
    assert done.exit_code == 1
    assert {line["source"] for line in entries(Path("out"))} == {"a/plain.nii.gz", "p1/ct"}
    done = command("--format", "dicom", "--resample-tilt", "--split-4d", "--overwrite")
    assert done.exit_code == 0, done.stderr
    lines = {line["output"]: line for line in entries(Path("out"))}
    assert [*lines] == [
        "a/four_v1_noncontrast",
        "a/four_v2_noncontrast",
        "a/plain_noncontrast",
        "p1/ct_noncontrast",
        "tilted_noncontrast",
    ]
    (note,) = lines["tilted_noncontrast"]["notes"]
    assert "gantry tilt of 21.8 degrees" in note
    assert f"in/tilted: {note}" in done.stderr
    made = read_volume(Path("out/a/four_v2_noncontrast"))
    assert np.array_equal(made.array[made.array < -200], ct(6)[made.array < -200])


# ---------------------------------------------------------------------------------- privacy


@pytest.mark.parametrize("file_format", [*WRITERS])
def test_no_artefact_and_no_message_holds_what_was_planted(
    here: Path, command: Command, file_format: str
) -> None:
    for suffix in (".mha", ".nrrd"):
        image = SimpleITK.GetImageFromArray(ct(3).transpose(2, 1, 0))
        image.SetMetaData("Comment", "Plantedname Jane")
        SimpleITK.WriteImage(image, f"in/a/other{suffix}")
        assert b"Plantedname Jane" in Path(f"in/a/other{suffix}").read_bytes()
    done = command("--format", file_format)
    assert done.exit_code == 0, done.stderr
    written = [read_volume(Path("out") / line["output"]) for line in entries(Path("out"))]
    assert len(written) == 4
    texts = [
        (done.stdout + done.stderr).encode(),
        *(unpacked(data) for data in tree(Path("out")).values()),
    ]
    for text in texts:
        for word in (b"planted", b"jane", b"19510203", os.fsencode(here).lower()):
            assert word not in text.lower()


def unpacked(data: bytes) -> bytes:
    import gzip

    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@pytest.mark.parametrize("dry_run", [False, True])
def test_one_warning_names_the_fields_that_identify(
    here: Path, command: Command, dry_run: bool
) -> None:
    dicom(Path("in/p2/ct"), ct(3), PatientName="Other^Person")
    done = command("--format", "dicom", *["--dry-run"] * dry_run)
    lines = [line for line in done.stderr.splitlines() if "PatientName" in line]
    assert lines == [
        "in: headers of 2 volumes name the patient or a physician (PatientName, "
        "ReferringPhysicianName, PatientID, PatientBirthDate); none of it is written"
    ]


def test_identifiers_are_kept_where_that_is_asked(here: Path, command: Command) -> None:
    done = command("--format", "dicom", "--keep-identifiers")
    assert done.exit_code == 0
    assert "kept, as asked" in done.stderr
    dataset = pydicom.dcmread("out/p1/ct_noncontrast/IM0001.dcm")
    for keyword in WHO.keys() - {"SeriesDescription"}:
        assert str(dataset[keyword].value) == WHO[keyword]
    assert [line["keep_identifiers"] for line in entries(Path("out"))] == [True, True]


def test_identifiers_cannot_be_kept_where_there_is_no_place_for_them(
    here: Path, command: Command
) -> None:
    done = command("--keep-identifiers")
    assert done.exit_code == 2
    assert "nifti output holds no identifiers" in done.stderr
    assert not Path("out").exists()


def test_it_says_of_what_and_by_which_model_it_was_made(
    here: Path, command: Command, small: Translator
) -> None:
    assert command("--format", "dicom", "--strength", "0.5").exit_code == 0
    dataset = pydicom.dcmread("out/p1/ct_noncontrast/IM0001.dcm")
    assert dataset.SeriesDescription == "Synthetic noncontrast (medcyclegan)"
    for word in ("contrast translated into noncontrast", small.identity[:16], "strength 0.5"):
        assert word in dataset.DerivationDescription


def test_series_are_the_same_bytes_wherever_the_source_lies(here: Path, small: Translator) -> None:
    for volumes, out in ((Path("in"), Path("out")), (here / "in", here / "again")):
        augment(volumes, out, translator=small, file_format="dicom", say=quiet)
    assert tree(Path("out")) == tree(Path("again"))
    names = {
        pydicom.dcmread(path).PatientID: path.parent.name for path in Path("out").rglob("IM*.dcm")
    }
    assert sorted(names.values()) == ["ct_noncontrast", "plain_noncontrast"]


# ------------------------------------------------------------------------------------ the lock


def test_a_second_run_at_the_same_time_is_turned_away(here: Path, small: Translator) -> None:
    with (
        locked(Path("out")),
        pytest.raises(InputError, match=r"^out: another run is at work there"),
    ):
        augment(Path("in"), Path("out"), translator=small, say=quiet)
    assert tree(Path("out")) == {}
    augment(Path("in"), Path("out"), translator=small, say=quiet)
    assert not [name for name in tree(Path("out")) if "lock" in name]


def test_a_lock_left_by_a_killed_run_is_taken_over(here: Path, small: Translator) -> None:
    Path("out").mkdir()
    Path("out/.medcyclegan.lock").touch()
    assert len(augment(Path("in"), Path("out"), translator=small, say=quiet).written) == 2


@pytest.mark.parametrize("file_format", [*WRITERS])
def test_a_disk_that_takes_no_more_leaves_no_half_output(
    here: Path,
    small: Translator,
    file_format: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsync: Callable[[int], None] = os.fsync
    left = [4 if file_format == "dicom" else 2]  # the manifest takes two

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MedCycleGANError, match="No space left"):
        augment(Path("in"), Path("out"), translator=small, file_format=file_format, say=quiet)
    assert set(tree(Path("out"))) <= {"manifest.jsonl"}
