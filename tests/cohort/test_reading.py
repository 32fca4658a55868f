from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medcyclegan.cohort import phantom_reference, phantom_tissues, read_cohort
from medcyclegan.errors import GeometryError, InputError, VolumeError
from medcyclegan.intensity import Window
from medcyclegan.io import write_labels, write_volume
from medcyclegan.phantom import LABELS, PhantomCase
from medcyclegan.volume import Labels, Volume

WINDOW = Window(-200.0, 600.0)


def test_a_cohort_is_read_as_it_was_written(
    cohort_folder: Path, patients: tuple[PhantomCase, ...]
) -> None:
    cohort = read_cohort(cohort_folder)
    assert (cohort.folder, cohort.domain, cohort.setting) == (cohort_folder, "contrast", "abdomen")
    assert cohort.tissues == phantom_tissues()
    assert cohort.labels == LABELS
    assert [case.patient for case in cohort.cases] == [case.patient for case in patients]
    for case, made in zip(cohort.cases, patients, strict=True):
        target = case.read_target()
        assert target is not None
        assert np.array_equal(target.array, made.target_twin.array)
        assert (case.dose, case.phase, case.scanner) == (made.dose, made.phase, made.scanner)


def test_a_case_read_is_the_same_reference_as_the_patient_made(
    cohort_folder: Path, patients: tuple[PhantomCase, ...]
) -> None:
    cohort = read_cohort(cohort_folder)
    read = cohort.reference(cohort.cases[1], WINDOW)
    made = phantom_reference(patients[1], WINDOW)
    assert np.array_equal(read.source.hu, made.source.hu)
    assert read.source.labels is not None
    assert made.source.labels is not None
    assert np.array_equal(read.source.labels, made.source.labels)
    assert np.allclose(read.source.spacing_mm, made.source.spacing_mm)
    for one, other in ((read.truth, made.truth), (read.second, made.second)):
        assert one is not None
        assert other is not None
        assert np.array_equal(one, other)
    assert (read.dose, read.tissues) == (made.dose, made.tissues)


@pytest.fixture
def copy(cohort_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(cohort_folder, tmp_path / "copy")


def change_index(folder: Path, change: Callable[[Any], object]) -> None:
    path = folder / "cohort.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.pop("tissues"), "cannot be read as ours"),
        (lambda data: data["cases"].append(3), "cannot be read as ours"),
        (lambda data: data.update(format="tiff"), "cannot be read as ours"),
        (lambda data: data["cases"][0].update(name="../../secret"), "cannot be read as ours"),
        (lambda data: data["cases"][0].update(name=".."), "cannot be read as ours"),
        (lambda data: data["cases"][0].update(name=""), "cannot be read as ours"),
        (lambda data: data["cases"][0].update(name="a\x1b[2J"), "cannot be read as ours"),
        (lambda data: data["cases"][0].update(phase="base_hu"), "cannot be read as ours"),
        (lambda data: data["cases"][0].update(dose=float("nan")), "cannot be read as ours"),
        (lambda data: data["tissues"]["organs"].update({"[/]": [1]}), "cannot be read as ours"),
        (lambda data: data["tissues"]["organs"].update(liver="12"), "cannot be read as ours"),
        (lambda data: data["tissues"]["organs"].update(liver=[1e400]), "cannot be read as ours"),
        (lambda data: data["labels"].update(liver=2), "cannot be read as ours"),
        (lambda data: data.update(version=9), "is of version 9, not 1"),
    ],
)
def test_an_index_that_is_none_of_ours_is_refused(
    change: Callable[[Any], object], expected: str, copy: Path
) -> None:
    change_index(copy, change)
    with pytest.raises(InputError, match=expected) as caught:
        read_cohort(copy)
    assert str(caught.value).startswith(f"{copy / 'cohort.json'}: ")


def test_a_folder_without_an_index_is_no_cohort(copy: Path) -> None:
    for text in ("{", "[" * 100_000, "[]"):
        (copy / "cohort.json").write_text(text)
        with pytest.raises(InputError, match="cannot be read as ours"):
            read_cohort(copy)
    (copy / "cohort.json").unlink()
    with pytest.raises(InputError, match=r"copy: holds no cohort\.json"):
        read_cohort(copy)


def test_a_label_that_is_no_tissues_is_named(copy: Path) -> None:
    cohort = read_cohort(copy)
    case = cohort.cases[0]
    labels = case.read_labels()
    array = labels.array.copy()
    array[0, 0, 0] = 99
    write_labels(Labels(array, labels.affine), case.labels_path, like=case.read_image())
    with pytest.raises(VolumeError, match=r"labels/contrast-0000\.nii\.gz: holds the value 99"):
        cohort.reference(case, WINDOW)


def test_a_missing_or_exchanged_volume_is_named(copy: Path) -> None:
    cohort = read_cohort(copy)
    case = cohort.cases[0]
    twin = case.read_twin()
    path = copy / "twins" / "contrast-0000.nii.gz"
    path.unlink()
    with pytest.raises(InputError, match=r"twins/contrast-0000\.nii\.gz: no such file"):
        cohort.reference(case, WINDOW)
    shifted = twin.affine.copy()
    shifted[0, 3] += twin.spacing_mm[0] / 10
    for array, affine in ((twin.array[:, :, 1:], twin.affine), (twin.array, shifted)):
        write_volume(Volume(array, affine), path)
        with pytest.raises(GeometryError, match=r"images/contrast-0000\.nii\.gz: its labels or"):
            cohort.reference(case, WINDOW)
    (copy / "second" / "contrast-0000.nii.gz").write_bytes(b"no volume")
    write_volume(twin, path)
    with pytest.raises(VolumeError, match=r"second/contrast-0000\.nii\.gz: "):
        cohort.reference(case, WINDOW)


def test_a_phantoms_second_acquisition_and_target_must_be_there(copy: Path) -> None:
    case = read_cohort(copy).cases[0]
    for part, read in (("second", case.read_second), ("target", case.read_target)):
        (copy / part / f"{case.name}.nii.gz").unlink()
        with pytest.raises(InputError, match=f"copy/{part}/{case.name}.nii.gz: no such file"):
            read()
