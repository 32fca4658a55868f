"""nnU-Net and Medical Segmentation Decathlon folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medcyclegan.io.data_set import MOST_BYTES, DataSet, open_data_set

NNUNET = {
    "channel_names": {"0": "CT", "1": "PET"},
    "labels": {"background": 0, "liver": 1, "whole": [1, 2], "tumour": 2, "ignore": 3},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}
DECATHLON = {
    "name": "Liver",
    "modality": {"0": "CT"},
    "labels": {"0": "background", "1": "liver", "2": "cancer"},
    "training": [{"image": "./imagesTr/liver_0.nii.gz", "label": "./labelsTr/liver_0.nii.gz"}],
}


def make(root: Path, content: Any = None, *, labels: bool = True) -> DataSet:
    (root / "imagesTr").mkdir(exist_ok=True)
    if labels:
        (root / "labelsTr").mkdir(exist_ok=True)
    if content is not None:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (root / "dataset.json").write_bytes(text)
    data_set = open_data_set(root)
    assert data_set is not None
    return data_set


def test_a_folder_without_training_images_is_no_data_set(tmp_path: Path) -> None:
    assert open_data_set(tmp_path) is None
    (tmp_path / "imagesTr").write_text("no folder")
    assert open_data_set(tmp_path) is None
    assert open_data_set(tmp_path / "none") is None


def test_names_and_channels_of_nnunet(tmp_path: Path) -> None:
    data_set = make(tmp_path, NNUNET)
    assert (data_set.images, data_set.labels) == (tmp_path / "imagesTr", tmp_path / "labelsTr")
    assert data_set.names == {1: "liver", 2: "tumour", 3: "ignore"}
    assert data_set.warnings == ()
    assert data_set.skips("case_0000.nii.gz") == ""
    assert data_set.skips("case_0001.nii.gz") == "channel 1 of the data set is PET, not CT"
    assert data_set.skips("case_0001.NRRD") == "channel 1 of the data set is PET, not CT"
    assert data_set.skips("IM_0001") == data_set.skips("IM_0001.dcm") == ""  # slices of a series


def test_names_of_the_decathlon_and_of_nnunets_first_version(tmp_path: Path) -> None:
    data_set = make(tmp_path, DECATHLON, labels=False)
    assert data_set.labels is None
    assert data_set.names == {1: "liver", 2: "cancer"}
    assert data_set.skips("liver_0.nii.gz") == data_set.skips("case_2019.nii.gz") == ""


@pytest.mark.parametrize(
    ("channels", "reason"),
    [
        ({"0": "MRI"}, "channel 0 of the data set is MRI, not CT"),
        ({"0": "T1", "1": "T2"}, "channel 0 of the data set is T1, not CT"),
        ({"0": "ct"}, ""),
        ({"0": "CT_venous"}, ""),
        ({"0": "CTA"}, ""),
        ({"0": "noNorm"}, ""),
        ({"0": "FLAIR"}, "channel 0 of the data set is FLAIR, not CT"),
        ({"0": "Ctrl"}, "channel 0 of the data set is Ctrl, not CT"),
    ],
)
def test_which_channels_are_ct(tmp_path: Path, channels: dict[str, str], reason: str) -> None:
    data_set = make(tmp_path, {"channel_names": channels})
    assert data_set.skips("case_0000.nii.gz") == reason
    alone = data_set.skips("case.nii.gz")  # the Decathlon's: all channels in one file
    assert bool(alone) == bool(reason)


def test_without_a_description_only_first_channels_are_ct(tmp_path: Path) -> None:
    data_set = make(tmp_path)
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0007.nii.gz"):
        (tmp_path / "imagesTr" / name).touch()
    assert data_set.skips("a_0000.nii.gz") == data_set.skips("b_0007.nii.gz") == ""
    assert data_set.skips("a_0001.nii.gz") == (
        "channel 1 of a_0000.nii.gz, and no dataset.json says that it is CT"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"[1]", "no JSON object"),
        (b'{"labels": {"a": 1, "a": 2}}', "key 'a' twice"),
        (b'{"labels": {"a": NaN}}', "NaN is no number"),
        (b'{"labels": {"a": true}}', "no whole number"),
        (b'{"labels": {"a": 1.5}}', "no whole number"),
        (b'{"labels": {"a": 1, "b": 1}}', "value 1 has two names"),
        (b'{"labels": {"a": 1e999}}', ""),
        (b'{"labels": [1]}', ""),
        (b'{"channel_names": {"0": 5}}', "name is no text"),
        (b'{"channel_names": {"first": "CT"}}', ""),
        (b"\xff\xfe", "codec"),
        (b"[" * 100_000, ""),
        (b'{"name": "' + b"x" * MOST_BYTES + b'"}', "more than 16 MB"),
    ],
)
def test_a_damaged_description_is_a_warning(tmp_path: Path, content: bytes, reason: str) -> None:
    data_set = make(tmp_path, content)
    (warning,) = data_set.warnings
    assert warning.startswith(f"{tmp_path / 'dataset.json'}: cannot be used (")
    assert warning.endswith("); channels and label names stay unknown")
    assert reason in warning
    assert "\n" not in warning
    assert (data_set.names, data_set.channels) == ({}, {})
    assert data_set.skips("case_0000.nii.gz") == ""


def test_names_are_short_printable_lines(tmp_path: Path) -> None:
    content = {"labels": {" a\n\x1b[31mb ": 1, "x" * 500: 2, "\ud800": 3}, "modality": {}}
    data_set = make(tmp_path, content)
    assert data_set.names == {1: "a [31mb", 2: "x" * 64}
