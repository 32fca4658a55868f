from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medcyclegan.io import read_labels, read_volume
from medcyclegan.proof import nnunet
from medcyclegan.proof.nnunet import splits
from medcyclegan.proof.protocol import run_protocol


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("protocol") / "out"
    lines: list[str] = []
    changes = [
        "data={kind: phantom, labelled: 3, unpaired: 1, validation: 1, test_in: 2, test_out: 2, "
        "size: 32, slices: 4}",
        "network={kind: nnunet, first_dataset: 42, folds: 2}",
        "arms=[nothing, standard, histogram_matching, oracle]",
        "workers=1",
        f"output={out}",
    ]
    run_protocol("phantom.yaml", changes, say=lines.append)
    (out / "said.txt").write_text("\n".join(lines))
    return out / "nnunet"


def test_each_arm_with_files_of_its_own_is_a_data_set(written: Path) -> None:
    names = sorted(path.name for path in written.iterdir())
    assert names == [
        "Dataset042_standard",
        "Dataset043_histogram_matching",
        "Dataset044_oracle",
        "test_in",
        "test_out",
    ]
    said = (written.parent / "said.txt").read_text()
    assert "nothing: the files of standard, with nnUNetTrainerNoDA" in said


def test_images_labels_and_dataset_json_belong_together(written: Path) -> None:
    folder = written / "Dataset044_oracle"
    facts = json.loads((folder / "dataset.json").read_bytes())
    assert facts["labels"]["background"] == 0
    assert facts["labels"]["liver"] == 1
    assert facts["numTraining"] == 6
    images = {path.name for path in (folder / "imagesTr").iterdir()}
    labels = {path.name.replace(".nii", "_0000.nii") for path in (folder / "labelsTr").iterdir()}
    assert images == labels
    assert len(images) == 6
    true, twin = (
        read_volume(folder / "imagesTr" / f"case_0000{suffix}_0000.nii.gz")
        for suffix in ("", "_oracle")
    )
    organs = read_labels(folder / "labelsTr" / "case_0000_oracle.nii.gz").array
    assert not np.array_equal(true.array, twin.array)
    assert set(np.unique(organs)) <= set(facts["labels"].values())
    assert len(np.unique(organs)) > 3
    assert len(list((written / "test_out" / "images").iterdir())) == 2
    assert len(list((written / "test_out" / "labels").iterdir())) == 2


def test_a_made_case_stays_in_its_patients_fold_and_never_validates(written: Path) -> None:
    folds = json.loads((written / "Dataset044_oracle" / "splits_final.json").read_bytes())
    assert len(folds) == 2
    for fold in folds:
        assert not [name for name in fold["val"] if name.endswith("_oracle")]
        assert not {f"{name}_oracle" for name in fold["val"]} & set(fold["train"])
        assert len(fold["train"]) == 2 * (3 - len(fold["val"]))
    assert sorted(name for fold in folds for name in fold["val"]) == [
        f"case_{n:04d}" for n in range(3)
    ]


def test_more_folds_than_patients_are_not_made() -> None:
    assert len(splits([["a"], ["b"]], 5)) == 2


def test_finished_data_sets_are_kept(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nnunet, "read_labelled", None)
    monkeypatch.setattr(nnunet, "write_test_patients", lambda work, check: None)
    config = str(written.parent / "config.yaml")
    run_protocol(config, resume=True, say=lambda line: None)
