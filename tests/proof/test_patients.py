from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medcyclegan.config.segmentation import FilesData, LabelledFolder, PhantomData, UnpairedFolder
from medcyclegan.errors import InputError, VolumeError
from medcyclegan.io import read_volume, write_volume
from medcyclegan.phantom import DIFFERING, LABELS, make_patients
from medcyclegan.proof.patients import SETS, Patients, Role, open_patients, read_labelled
from medcyclegan.volume import Labels, Volume

Write = Callable[[str, str, int], LabelledFolder]
SMALL = PhantomData(labelled=2, unpaired=2, validation=1, test_in=2, test_out=2, size=32, slices=4)


@pytest.fixture
def data(write_scans: Write) -> FilesData:
    labelled = write_scans("labelled", "contrast", 2)
    return FilesData(
        kind="files",
        labelled=labelled,
        unpaired=UnpairedFolder(images=write_scans("unpaired", "noncontrast", 2).images),
        validation=write_scans("validation", "contrast", 1),
        test_in=write_scans("in", "contrast", 2),
        test_out=write_scans("out", "noncontrast", 2),
        twins=str(Path(labelled.images).parent / "twins"),
        organs={"liver": [LABELS["liver"]], "spleen": [LABELS["spleen"]]},
    )


def test_phantoms_are_written_once_and_are_all_other_people(tmp_path: Path) -> None:
    patients = open_patients(SMALL, tmp_path / "cohort", workers=1)
    assert {name: len(patients.sets[name]) for name in SETS} == {
        "labelled": 2,
        "unpaired": 2,
        "validation": 1,
        "validation_out": 1,
        "test_in": 2,
        "test_out": 2,
    }
    bodies = [
        read_labelled(case)[1].array.tobytes() for name in SETS for case in patients.sets[name]
    ]
    assert len(set(bodies)) == len(bodies) == 10
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cohort").rglob("*")}
    open_patients(SMALL, tmp_path / "cohort", workers=1)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cohort").rglob("*")} == before


def test_validation_follows_training_so_that_more_of_it_changes_no_other(tmp_path: Path) -> None:
    patients = open_patients(SMALL, tmp_path, workers=1)
    third = make_patients("contrast", 1, first=2, size=32, slices=4)[0]
    held = read_labelled(patients.sets["validation"][0])[0]
    np.testing.assert_array_equal(held.array, third.image.array)


def test_scans_with_contrast_medium_may_all_be_of_one_phase(tmp_path: Path) -> None:
    data = SMALL.model_copy(update={"phases": ("arterial",)})
    patients = open_patients(data, tmp_path, workers=1)
    arterial = replace(DIFFERING["contrast"], phases=("arterial",))
    populations = {**DIFFERING, "contrast": arterial}
    wanted_sets: list[tuple[str, Role, int]] = [("labelled", "train", 0), ("test_in", "test", 1)]
    for name, role, first in wanted_sets:
        (wanted,) = make_patients(
            "contrast", 1, first=first, role=role, populations=populations, size=32, slices=4
        )
        assert wanted.phase == "arterial"
        image = read_labelled(patients.sets[name][first])[0]
        np.testing.assert_array_equal(image.array, wanted.image.array)


def test_a_half_written_cohort_is_made_anew(tmp_path: Path) -> None:
    open_patients(SMALL, tmp_path / "cohort", workers=1)
    (tmp_path / "cohort" / "cohort.json").unlink()
    (tmp_path / "cohort" / "labelled" / "odd.nii.gz").write_bytes(b"half")
    assert len(open_patients(SMALL, tmp_path / "cohort", workers=1).sets["labelled"]) == 2


def test_organs_hold_what_a_radiologist_outlines(tmp_path: Path) -> None:
    patients = open_patients(SMALL, tmp_path, workers=1)
    assert next(iter(patients.organs)) == "liver"
    drawn = np.array([[[LABELS["liver"], LABELS["hypo_lesion"], LABELS["fat"], LABELS["aorta"]]]])
    organs = patients.organ_map(Labels(drawn, np.eye(4)))
    assert organs.dtype == np.uint8
    assert organs.tolist() == [[[1, 1, 0, list(patients.organs).index("aorta") + 1]]]


def test_twins_are_found_by_name_and_are_of_the_same_body(data: FilesData, tmp_path: Path) -> None:
    patients = open_patients(data, tmp_path, workers=1)
    for case in patients.sets["labelled"]:
        volume, labels = read_labelled(case)
        twin = patients.twin_of(case)
        liver = np.isin(labels.array, [LABELS["liver"], LABELS["fatty_liver"]])
        if liver.any():
            assert twin.array[liver].mean() < volume.array[liver].mean() - 5
        assert np.corrcoef(twin.array.ravel(), volume.array.ravel())[0, 1] > 0.95


def test_a_twin_that_is_missing_or_of_another_grid_is_refused(
    data: FilesData, tmp_path: Path
) -> None:
    patients = open_patients(data, tmp_path, workers=1)
    assert data.twins is not None
    case = patients.sets["labelled"][0]
    twin = Path(data.twins) / case.source.path.name
    volume = read_volume(twin)
    write_volume(Volume(volume.array[:, :, :4], volume.affine), twin)
    with pytest.raises(VolumeError, match=r"has \(32, 32, 4\) voxels, its patient \(32, 32, 8\)"):
        patients.twin_of(case)
    twin.unlink()
    with pytest.raises(InputError, match="0 twins of that name"):
        patients.twin_of(case)


def test_a_patient_in_two_sets_is_refused(data: FilesData, tmp_path: Path) -> None:
    both = data.model_copy(update={"test_in": data.labelled})
    with pytest.raises(InputError, match=r"is in data\.labelled and in data\.test_in"):
        open_patients(both, tmp_path, workers=1)


def test_a_scan_without_labels_is_refused(data: FilesData, tmp_path: Path) -> None:
    next(Path(data.test_out.labels).glob("*")).unlink()
    with pytest.raises(InputError, match="has no label map in"):
        open_patients(data, tmp_path, workers=1)


def test_unpaired_scans_need_no_labels(data: FilesData, tmp_path: Path) -> None:
    shutil.rmtree(Path(data.unpaired.images).parent / "labels")
    patients: Patients = open_patients(data, tmp_path, workers=1)
    assert len(patients.sets["unpaired"]) == 2
    assert not patients.sets["validation_out"]
