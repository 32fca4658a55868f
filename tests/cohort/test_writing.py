from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.cases import find_cases, read_case, read_labels_of
from medcyclegan.cohort import read_cohort, writing
from medcyclegan.cohort.writing import write_cohort, write_semireal
from medcyclegan.config.tissues import TissuesConfig
from medcyclegan.errors import GeometryError, InputError, MedCycleGANError
from medcyclegan.files import sha256
from medcyclegan.io import read_volume
from medcyclegan.phantom import DIFFERING, PLAIN, PhantomCase, make_patients
from medcyclegan.volume import Labels, Provenance, Volume, grid_distance_voxels

SIZE, SLICES, SEED = 32, 4, 5
SMALL: dict[str, Any] = {"seed": SEED, "role": "test", "size": SIZE, "slices": SLICES}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in files}


def write(folder: Path, patients: int = 1, **options: Any) -> None:
    write_cohort(folder, patients, **{**SMALL, **options})


def test_what_is_written_is_what_was_made(
    cohort_folder: Path, patients: tuple[PhantomCase, ...]
) -> None:
    names = ["contrast-0000", "contrast-0001"]
    parts = ("images", "labels", "second", "target", "twins")
    wanted = ["cohort.json", *(f"{part}/{name}.nii.gz" for part in parts for name in names)]
    assert list(digests(cohort_folder)) == sorted(wanted)
    for name, case in zip(names, patients, strict=True):
        volumes = {
            "images": case.image,
            "twins": case.clean_twin,
            "second": case.second_twin,
            "target": case.target_twin,
        }
        for part, volume in volumes.items():
            back = read_volume(cohort_folder / part / f"{name}.nii.gz")
            assert back.array.dtype == volume.array.dtype
            assert np.array_equal(back.array, volume.array)
            assert grid_distance_voxels(back.affine, volume.affine, volume.array.shape) < 1e-3


def test_the_index_says_what_it_takes_to_make_and_to_measure_it(
    cohort_folder: Path, patients: tuple[PhantomCase, ...]
) -> None:
    index = json.loads((cohort_folder / "cohort.json").read_text())
    command = {"patients": 2, "seed": SEED, "role": "test", "plain": False}
    assert index["command"] == command | {"size": SIZE, "slices": SLICES}
    assert (index["domain"], index["setting"], index["format"]) == ("contrast", "abdomen", "nifti")
    assert index["tissues"]["organs"]["kidneys"] == [3, 4]
    assert any(case.findings for case in patients)
    for written, case in zip(index["cases"], patients, strict=True):
        assert written["patient"] == case.patient
        assert (written["phase"], written["twin_phase"]) == (case.phase, "noncontrast")
        assert (written["scanner"], written["target_scanner"]) == (
            case.scanner,
            case.target_scanner,
        )
        assert written["dose"] == case.dose
        assert len(written["findings"]) == len(case.findings)
        for finding, made in zip(written["findings"], case.findings, strict=True):
            assert finding == asdict(made) | {"centre_mm": list(made.centre_mm)}


@pytest.mark.parametrize("file_format", ["nifti", "dicom"])
def test_images_and_labels_go_together_as_a_data_set(file_format: str, tmp_path: Path) -> None:
    write(tmp_path / "out", file_format=file_format)
    found = find_cases(tmp_path / "out" / "images", tmp_path / "out" / "labels")
    assert not found.refused
    assert not found.warnings
    (case,) = found.cases
    assert case.source.stem == "contrast-0000"
    volume, labels = read_case(case)
    (made,) = make_patients("contrast", 1, **SMALL)
    assert np.array_equal(volume.array, made.image.array)
    assert labels is not None
    assert np.array_equal(labels.array, made.labels.array)


def test_options_reach_the_patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def spy(domain: str, count: int, **options: Any) -> tuple[PhantomCase, ...]:
        asked.append({"domain": domain, "count": count, **options})
        return make_patients(domain, count, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "make_patients", spy)
    write(tmp_path / "a", domain="noncontrast", plain=True)
    write(tmp_path / "b", role="train", seed=1)
    common = {"count": 1, "first": 0, "setting": "abdomen", "size": SIZE, "slices": SLICES}
    assert asked == [
        {"domain": "noncontrast", "populations": PLAIN, "seed": SEED, "role": "test", **common},
        {"domain": "contrast", "populations": DIFFERING, "seed": 1, "role": "train", **common},
    ]
    (name,) = [path.name for path in (tmp_path / "a" / "images").iterdir()]
    assert name == "noncontrast-0000.nii.gz"


def test_equal_arguments_give_equal_bytes_and_more_patients_begin_with_the_same(
    cohort_folder: Path, tmp_path: Path
) -> None:
    write(tmp_path / "one", patients=1)
    ours = digests(tmp_path / "one")
    theirs = digests(cohort_folder)
    ours.pop("cohort.json")
    assert len(ours) == 5
    assert ours.items() <= theirs.items()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="out: is not empty; give a new folder"):
        write(tmp_path / "out")
    assert digests(tmp_path / "out").keys() == {"mine.txt"}
    with pytest.raises(InputError, match=r"mine.txt: mine.txt is a file"):
        write(tmp_path / "out" / "mine.txt")


def test_an_interrupted_run_leaves_nothing_and_the_next_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patients: tuple[PhantomCase, ...]
) -> None:
    def stop(_: str, __: int, *, first: int, **___: Any) -> tuple[PhantomCase, ...]:
        if first == 1:
            raise KeyboardInterrupt
        return patients[:1]

    with monkeypatch.context() as patch:
        patch.setattr(writing, "make_patients", stop)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "new" / "out", patients=2)
        assert not list(tmp_path.iterdir()), "the folder was new, and so was the one above"
        (tmp_path / "out").mkdir()
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "out", patients=2)
        assert not list((tmp_path / "out").iterdir())
    killed = tmp_path / "out" / ".medcyclegan-abc" / "images"
    killed.mkdir(parents=True)
    (tmp_path / "out" / ".medcyclegan.lock").touch()
    write(tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))
    assert len(read_cohort(tmp_path / "out").cases) == 1


def test_a_run_stopped_while_parts_are_moved_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = os.replace

    def stop(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "out" / "labels":
            raise KeyboardInterrupt
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("medcyclegan.cohort.folder.os.replace", stop)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write(tmp_path / "out")
    assert (tmp_path / "out" / "cohort.json").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MedCycleGANError("cannot write")

    monkeypatch.setattr("medcyclegan.cohort.folder.write_json", full)
    with pytest.raises(MedCycleGANError, match="cannot write"):
        write(tmp_path / "out")
    assert not list(tmp_path.iterdir())


TISSUES = {"organs": {"liver": 5, "kidneys": [2, 3]}, "null_tissues": {"gallbladder": 4}}


def a_scan(shape: tuple[int, int, int] = (40, 36, 30)) -> tuple[Volume, Labels]:
    """A body of 40 HU with a liver of 60 HU, a kidney of 35 and a gallbladder of 10, RAS."""
    array: npt.NDArray[np.int16] = np.full(shape, -1000, np.int16)
    labels = np.zeros(shape, np.uint8)
    array[4:-4, 4:-4] = 40
    for value, hu, place in ((5, 60, 8), (2, 35, 18), (4, 10, 28)):
        box = (slice(place, place + 8), slice(10, 24), slice(6, 20))
        array[box], labels[box] = hu, value
    rng = np.random.default_rng(0)
    array += rng.normal(0, 8, shape).round().astype(np.int16)
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    provenance = Provenance(path=Path("scans/p1.nii.gz"), format="nifti", patient="abc")
    return Volume(array, affine, provenance), Labels(labels, affine)


@pytest.mark.parametrize("file_format", ["nifti", "dicom"])
def test_a_semi_real_scan_lies_beside_its_twin(file_format: str, tmp_path: Path) -> None:
    scan, labels = a_scan()
    tissues = TissuesConfig.model_validate(TISSUES)
    write_semireal(
        tmp_path / "out", scan, labels, name="p1", tissues=tissues, file_format=file_format
    )
    cohort = read_cohort(tmp_path / "out")
    (case,) = cohort.cases
    assert (cohort.domain, cohort.setting) == ("contrast", "semi-real")
    assert (case.name, case.patient, case.phase, case.scanner) == ("p1", "abc", "venous", None)
    assert cohort.tissues.organs == {"liver": (5,), "kidneys": (2, 3)}
    image, twin, where = case.read_image(), case.read_twin(), case.read_labels()
    assert image.orientation == ("LPS" if file_format == "dicom" else "RAS")
    assert grid_distance_voxels(image.affine, twin.affine, image.array.shape) < 1e-3
    change = image.array.astype(float) - twin.array
    assert change[where.array == 5].mean() > 20
    assert change[where.array == 2].mean() > 40
    assert abs(change[where.array == 4].mean()) < 3
    flips = (slice(None, None, -1), slice(None, None, -1)) if file_format == "dicom" else ()
    assert np.array_equal(twin.array[flips], scan.array)
    assert case.read_second() is None
    assert case.read_target() is None


def test_the_same_seed_and_dose_give_the_same_scan(tmp_path: Path) -> None:
    scan, labels = a_scan()
    tissues = TissuesConfig.model_validate(TISSUES)
    options: dict[str, dict[str, Any]] = {
        "a": {"seed": 1},
        "b": {"seed": 1},
        "c": {"seed": 2},
        "d": {"seed": 1, "dose": 1.3, "phase": "arterial"},
    }
    made = {}
    for name, option in options.items():
        write_semireal(tmp_path / name, scan, labels, name="p1", tissues=tissues, **option)
        made[name] = digests(tmp_path / name)["images/p1.nii.gz"]
    assert made["a"] == made["b"]
    assert len(set(made.values())) == 3
    (case,) = read_cohort(tmp_path / "d").cases
    assert (case.dose, case.phase) == (1.3, "arterial")


def test_a_scan_that_does_not_fit_its_labels_is_named(tmp_path: Path) -> None:
    scan, labels = a_scan()
    tissues = TissuesConfig.model_validate({"organs": {"heart": 5}})
    with pytest.raises(InputError, match=r"^scans/p1.nii.gz: unknown tissue 'heart'"):
        write_semireal(tmp_path / "out", scan, labels, name="p1", tissues=tissues)
    assert not list(tmp_path.iterdir())


def test_a_scan_that_dicom_cannot_say_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    scan, labels = a_scan()
    tissues = TissuesConfig.model_validate(TISSUES)
    coronal, sheared = np.diag([2.0, 9.0, 2.0, 1.0]), scan.affine.copy()
    sheared[0, 1] = 0.015
    for affine, expected in (
        (coronal, r"^scans/p1.nii.gz: is a stack of coronal slices"),
        (sheared, r"out/images/p1: not written: its rows and columns are not at right angles"),
    ):
        moved = Volume(scan.array, affine, scan.provenance), Labels(labels.array, affine)
        with pytest.raises(GeometryError, match=expected) as caught:
            write_semireal(
                tmp_path / "out", *moved, name="p1", tissues=tissues, file_format="dicom"
            )
        assert ".medcyclegan" not in str(caught.value)
        assert not list(tmp_path.iterdir())


def test_total_segmentators_numbers_are_the_default(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "totalsegmentator"
    scan = read_volume(folder / "example_ct_sm.nii.gz")
    labels = read_labels_of(scan, folder / "example_seg.nii.gz")
    write_semireal(tmp_path / "out", scan, labels, name="example")
    cohort = read_cohort(tmp_path / "out")
    assert {"liver", "spleen", "kidneys", "aorta"} <= cohort.tissues.organs.keys()
    (case,) = cohort.cases
    change = case.read_image().array.astype(float) - case.read_twin().array
    where = case.read_labels().array
    for name in ("liver", "spleen", "kidneys", "aorta"):
        assert 30 < change[np.isin(where, cohort.tissues.organs[name])].mean() < 250, name
