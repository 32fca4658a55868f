from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medcyclegan.config.segmentation import PhantomData
from medcyclegan.config.segmentation_networks import Unet2dConfig, Unet3dConfig
from medcyclegan.io import read_volume
from medcyclegan.proof.patients import Patients, open_patients, read_labelled
from medcyclegan.proof.training_sets import make_change, open_set, prepare

NETWORK = Unet2dConfig(size=32, spacing_mm=12.0)
COUNT = 3


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    data = PhantomData(
        labelled=COUNT, unpaired=2, validation=1, test_in=2, test_out=2, size=48, slices=12
    )
    return open_patients(data, tmp_path_factory.mktemp("cohort"), workers=1)


def means(patients: Patients, volumes: list[np.ndarray], name: str) -> float:
    number = list(patients.organs).index(name) + 1
    masks = [
        patients.organ_map(read_labelled(case)[1]) == number for case in patients.sets["labelled"]
    ]
    voxels = [volume[mask] for volume, mask in zip(volumes, masks, strict=True)]
    return float(np.concatenate(voxels).mean())


def made(patients: Patients, variant: str) -> list[np.ndarray]:
    change = make_change(variant, patients)  # type: ignore[arg-type]
    return [change(case, *read_labelled(case)).array for case in patients.sets["labelled"]]


def test_the_label_shift_moves_organs_to_the_other_domains_mean(patients: Patients) -> None:
    shifted = made(patients, "label_shift")
    target_sum, target_count = 0.0, 0
    for case in patients.sets["unpaired"]:
        volume, labels = read_labelled(case)
        mask = patients.organ_map(labels) == 1
        target_sum, target_count = target_sum + volume.array[mask].sum(), target_count + mask.sum()
    assert means(patients, shifted, "liver") == pytest.approx(target_sum / target_count, abs=0.1)
    for case, moved in zip(patients.sets["labelled"], shifted, strict=True):
        source, labels = read_labelled(case)
        outside = patients.organ_map(labels) == 0
        np.testing.assert_array_equal(moved[outside], source.array[outside])


def test_histogram_matching_darkens_organs_and_the_twin_is_the_file(patients: Patients) -> None:
    sources = [read_labelled(case)[0].array for case in patients.sets["labelled"]]
    matched = made(patients, "histogram_matching")
    assert means(patients, matched, "kidneys") < means(patients, sources, "kidneys") - 20
    twins = made(patients, "twin")
    assert patients.twins is not None
    name = patients.sets["labelled"][0].source.path.name
    np.testing.assert_array_equal(twins[0], read_volume(patients.twins / name).array)


def test_a_set_and_its_variant_share_grid_and_labels(patients: Patients, tmp_path: Path) -> None:
    cases = patients.sets["labelled"]
    prepare(tmp_path / "labelled", patients, cases, NETWORK)
    prepare(tmp_path / "twin", patients, cases, NETWORK, change=make_change("twin", patients))
    data = open_set(tmp_path, "labelled", "twin", COUNT)
    assert [a.dtype for a in (data.images[0], data.labels[0], data.second[0])] == [
        np.int16,
        np.uint8,
        np.int16,
    ]
    for image, labels, second in zip(data.images, data.labels, data.second, strict=True):
        assert image.shape == labels.shape == second.shape
        assert len(image) == 12
        kidneys = labels == 3
        assert image[kidneys].mean() > second[kidneys].mean() + 30
    assert data.spacing_mm[0] == (5.0, 12.0, 12.0)
    assert not (tmp_path / "twin" / "0000_labels.npy").exists()
    assert not open_set(tmp_path, "labelled", None, COUNT).second


def test_what_is_prepared_is_kept_and_3d_is_resampled_across(
    patients: Patients, tmp_path: Path
) -> None:
    cases = patients.sets["labelled"][:1]
    network = Unet3dConfig(kind="unet_3d", spacing_mm=8.0, slice_mm=8.0)
    prepare(tmp_path / "labelled", patients, cases, network)
    data = open_set(tmp_path, "labelled", None, 1)
    assert data.images[0].shape[0] == 8  # 12 slices of 5 mm at 8 mm
    before = (tmp_path / "labelled" / "0000.npy").stat().st_mtime_ns
    prepare(tmp_path / "labelled", patients, cases, network)
    assert (tmp_path / "labelled" / "0000.npy").stat().st_mtime_ns == before
