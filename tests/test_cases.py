"""Cases: which label map belongs to which volume."""

from __future__ import annotations

import itertools
from pathlib import Path, PurePosixPath
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medcyclegan.cases import find_cases, read_labels_of
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
