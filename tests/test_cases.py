"""Cases: which label map belongs to which volume."""

from __future__ import annotations

import itertools
import json
from pathlib import Path, PurePosixPath
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medcyclegan.cases import find_cases, hashes, read_case, read_labels_of
from medcyclegan.errors import GeometryError, InputError
from medcyclegan.volume import Volume


def touch(*paths: str) -> None:
    """Make files; by their suffix they claim to be volumes, and nobody reads them here."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pairs(volumes: str, labels: str | None) -> dict[str, str | None]:
    cases = find_cases(Path(volumes), None if labels is None else Path(labels)).cases
    return {str(case.name): str(case.label) if case.label else None for case in cases}


def test_labels_bear_the_name_of_their_volume_whatever_the_suffix() -> None:
    touch("in/a.nii.gz", "in/p/a.NRRD", "in/p/b.mha", "in/q/c.nii", "in/q/c.mha", "in/d_0000.nii")
    touch("seg/a.mha", "seg/p/a.nii", "seg/b.mha", "seg/q/c.nii.gz", "seg/d.nii", "seg/note.txt")
    assert pairs("in", "seg") == {
        "a.nii.gz": "seg/a.mha",
        "d_0000.nii": "seg/d.nii",
        "p/a.NRRD": "seg/p/a.nii",
        "p/b.mha": None,
        "q/c.mha": "seg/q/c.nii.gz",
        "q/c.nii": "seg/q/c.nii.gz",
    }
    assert find_cases(Path("in"), Path("seg")).warnings == [
        "in/p/b.mha: no label map in seg; the image goes alone"
    ]


def test_the_volumes_own_name_goes_before_that_of_the_nnunet_case() -> None:
    touch("in/scan_2019.nii", "seg/scan_2019.nii", "seg/scan.nii")
    assert pairs("in", "seg") == {"scan_2019.nii": "seg/scan_2019.nii"}


def test_labels_in_the_tree_of_volumes_are_no_volumes() -> None:
    touch("in/a.nii", "in/seg/a.nii")
    assert pairs("in", "in/seg") == {"a.nii": "in/seg/a.nii"}
    assert pairs("in", None) == {"a.nii": None, "seg/a.nii": None}
    touch("masks/only/a.nii")
    with pytest.raises(InputError, match="masks: holds no volume besides the labels"):
        find_cases(Path("masks"), Path("masks/only"))


def test_volumes_below_the_folder_of_labels_are_volumes() -> None:
    touch("data/a.nii", "data/in/a.nii")
    assert pairs("data/in", "data") == {"a.nii": "data/a.nii"}


def test_a_series_is_named_from_within(monkeypatch: pytest.MonkeyPatch, real_data: Path) -> None:
    series = real_data / "totalsegmentator" / "example_ct_dicom"
    monkeypatch.chdir(series)
    for typed in (".", "../example_ct_dicom"):
        (case,) = find_cases(Path(typed), None).cases
        assert (case.name, case.folder) == (PurePosixPath(series.name), PurePosixPath())


def test_several_label_maps_for_a_volume_are_refused() -> None:
    touch("in/a.nii", "in/b.nii", "seg/a.nii", "seg/a.nrrd", "seg/b.nii")
    found = find_cases(Path("in"), Path("seg"))
    assert [str(case.name) for case in found.cases] == ["b.nii"]
    ((path, reason),) = found.refused
    assert path == Path("in/a.nii")
    assert reason.startswith("in/a.nii: has several label maps, seg/a.nii and seg/a.nrrd")


def test_one_label_file_is_for_one_volume() -> None:
    touch("in/a.nii", "in/b.nii", "seg.nii")
    assert pairs("in/a.nii", "seg.nii") == {"a.nii": "seg.nii"}
    with pytest.raises(InputError, match=r"seg\.nii: one label file for 2 volumes"):
        find_cases(Path("in"), Path("seg.nii"))
    with pytest.raises(InputError, match="holds the volumes"):
        find_cases(Path("in/a.nii"), Path("in/a.nii"))


def test_a_data_set_is_its_training_images_with_their_labels() -> None:
    touch("set/imagesTr/a_0000.nii.gz", "set/imagesTs/t_0000.nii.gz", "set/labelsTr/a.nii.gz")
    assert pairs("set", None) == {"imagesTr/a_0000.nii.gz": "set/labelsTr/a.nii.gz"}
    touch("other/a.nii.gz")
    assert pairs("set", "other") == {"imagesTr/a_0000.nii.gz": "other/a.nii.gz"}
    (case,) = find_cases(Path("set"), None).cases
    assert case.folder == PurePosixPath("imagesTr")


TILT, SPACING = 0.05, [1.5, 1.4, 5.0]
TURN = [[-1, 0, 0], [0, -np.cos(TILT), np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]]
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = np.array(TURN) * SPACING, [90, 70, -40]


def write_labels(array: np.ndarray[Any, Any], affine: np.ndarray[Any, Any]) -> Path:
    image: Any = nib.Nifti1Image(array, affine)
    nib.save(image, "seg.nii")
    return Path("seg.nii")


def test_labels_with_axes_in_another_order_are_put_into_their_volumes() -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    volume = Volume(np.zeros((3, 4, 5), np.int16), AFFINE)
    for order in itertools.permutations(range(3)):
        for flips in itertools.product([1, -1], repeat=3):
            turned = array[:: flips[0], :: flips[1], :: flips[2]].transpose(order)
            corner = [0 if flip > 0 else n - 1 for flip, n in zip(flips, array.shape, strict=True)]
            affine = np.eye(4)
            affine[:3, :3] = (AFFINE[:3, :3] * flips)[:, order]
            affine[:, 3] = AFFINE @ [*corner, 1]
            labels = read_labels_of(volume, write_labels(turned, affine))
            assert labels.array.dtype == np.int16
            assert np.array_equal(labels.array, array)
            assert np.allclose(labels.affine, AFFINE, atol=1e-5)


def test_labels_on_another_grid_are_refused_with_the_numbers() -> None:
    volume = Volume(np.zeros((3, 4, 5), np.int16), AFFINE)
    near = AFFINE.copy()
    near[0, 3] += 0.005 * 1.5
    read_labels_of(volume, write_labels(np.ones((3, 4, 5), np.uint8), near))
    near[0, 3] += 0.01 * 1.5
    with pytest.raises(GeometryError, match=r"seg\.nii: lies 0\.015 voxels off"):
        read_labels_of(volume, write_labels(np.ones((3, 4, 5), np.uint8), near))
    with pytest.raises(GeometryError, match=r"seg\.nii: has \(3, 4, 6\) voxels.*\(3, 4, 5\)"):
        read_labels_of(volume, write_labels(np.ones((3, 4, 6), np.uint8), AFFINE))


def test_many_files_that_are_no_volumes_take_one_line() -> None:
    touch("in/a.nii", *(f"in/masks/{name}.txt" for name in "abcd"))
    assert find_cases(Path("in"), None).warnings == [
        "in/masks: 4 skipped, no volume by name or content"
    ]


def test_other_channels_of_a_data_set_are_skipped_and_its_names_are_kept() -> None:
    touch("set/imagesTr/a_0000.nii.gz", "set/imagesTr/a_0001.nii.gz", "set/labelsTr/a.nii.gz")
    description = {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"nothing": 0, "liver": 1}}
    Path("set/dataset.json").write_text(json.dumps(description))
    found = find_cases(Path("set"), None)
    (case,) = found.cases
    assert (str(case.name), str(case.label)) == ("imagesTr/a_0000.nii.gz", "set/labelsTr/a.nii.gz")
    assert case.label_names == {1: "liver"}
    assert found.warnings == [
        "set/imagesTr/a_0001.nii.gz: skipped, channel 1 of the data set is PET, not CT"
    ]
    touch("other/imagesTr/a_0000.nii.gz")
    assert find_cases(Path("set"), Path("other")).cases[0].label_names == {}
    case, *_ = find_cases(Path("set/imagesTr"), Path("set/labelsTr")).cases
    assert case.label_names == {1: "liver"}


def test_a_damaged_description_of_a_data_set_is_a_warning() -> None:
    touch("set/imagesTr/a_0000.nii.gz", "set/labelsTr/a.nii.gz", "set/dataset.json")
    found = find_cases(Path("set"), None)
    assert len(found.cases) == 1
    (warning,) = found.warnings
    assert warning.startswith("set/dataset.json: cannot be used")


def test_names_of_a_data_set_come_with_its_label_maps() -> None:
    Path("set/imagesTr").mkdir(parents=True)
    Path("set/labelsTr").mkdir()
    Path("set/dataset.json").write_text('{"labels": {"liver": 1}}')
    array = np.random.default_rng(0).normal(0, 300, (8, 8, 4)).clip(-1000, 1000).astype(np.int16)
    array[:2] = -1000
    image: Any = nib.Nifti1Image(array, AFFINE)
    nib.save(image, "set/imagesTr/a_0000.nii.gz")
    labels: Any = nib.Nifti1Image(np.ones((8, 8, 4), np.uint8), AFFINE)
    nib.save(labels, "set/labelsTr/a.nii.gz")
    (case,) = find_cases(Path("set"), None).cases
    _, read = read_case(case)
    assert read is not None
    assert read.names == {1: "liver"}
    before = hashes(case)
    labels = nib.Nifti1Image(np.zeros((8, 8, 4), np.uint8), AFFINE)
    nib.save(labels, "set/labelsTr/a.nii.gz")
    assert hashes(case)[0] == before[0]
    assert hashes(case)[1] != before[1]


@pytest.mark.parametrize("labels", ["", "CT/mask", "CT/mask/RS.dcm"])
def test_a_structure_set_belongs_to_the_series_it_refers_to(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, labels: str
) -> None:
    """The tree also holds MR and PET, with structure sets of their own."""
    monkeypatch.chdir(real_data / "ibsi_sts" / "dicom")
    found = find_cases(Path("STS_002"), Path("STS_002", labels))
    (case,) = found.cases
    assert case.label == Path("STS_002/CT/mask/RS.dcm")
    assert not any("CT/mask/RS.dcm" in line for line in found.warnings)
    assert any("PET/mask/RS.dcm: skipped, no CT (modality RTSTRUCT)" in w for w in found.warnings)
    volume, read = read_case(case)
    assert read is not None
    assert read.array.shape == volume.array.shape
    assert read.names == {1: "GTV_Mass_CT"}


def test_a_structure_set_among_the_volumes_is_no_label_map_unless_named(real_data: Path) -> None:
    (case,) = find_cases(real_data / "ibsi_sts" / "dicom" / "STS_002", None).cases
    assert case.label is None


def test_a_tree_without_dicom_labels_is_not_its_own_labels(real_data: Path) -> None:
    folder = real_data / "ibsi_sts" / "dicom" / "STS_002" / "CT" / "image"
    with pytest.raises(InputError, match="holds the volumes; give labels in a folder of their own"):
        find_cases(folder, folder)


def test_labels_of_another_series_are_refused(real_data: Path) -> None:
    folder = real_data / "ibsi_sts" / "dicom" / "STS_002"
    (case,) = find_cases(folder / "CT" / "image", folder / "PET" / "mask" / "RS.dcm").cases
    with pytest.raises(
        GeometryError, match=r"label map .*RS\.dcm: contour 1 .* 0\.0183 voxels off"
    ):
        read_case(case)
