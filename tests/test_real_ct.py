"""The whole way on real CT: train on single DICOM slices, augment a series and a volume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK

from medcyclegan.io import read_volume

SETTINGS = (
    "model.output=residual",  # a dozen steps may want no change that contrast medium can make
    "training.ema=0",
    "slices.size=64",
    "slices.spacing_mm=6.0",
    "model.generator={kind: resnet, filters: 4, blocks: 1, norm: batch}",
    "model.discriminator={kind: patchgan, filters: 4, layers: 2}",
    "training.steps=12",
    "training.batch_size=2",
    "training.learning_rate=1e-2",
    "training.checkpoint_minutes=5",
)


def medcyclegan(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from medcyclegan.cli import main; raise SystemExit(main())"]
    return subprocess.run(
        [*command, *words],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def run(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run trained on the two globs."""
    folder = tmp_path_factory.mktemp("real")
    slices = real_data / "tcga_luad_contrast" / "dicom_dir"
    settings = [
        f"domains.a.volumes={slices}/*CONTRAST_1*.dcm",
        f"domains.b.volumes={slices}/*CONTRAST_0*.dcm",
        *SETTINGS,
        "output=runs/tcga",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    done = medcyclegan("train", "--config", "ct_contrast_small.yaml", *words, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "14 and 14 patients" in done.stdout
    lines = (folder / "runs/tcga/metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 12
    return folder


def test_a_compressed_series_keeps_grid_and_hu(run: Path, real_data: Path) -> None:
    series = real_data / "totalsegmentator" / "example_ct_dicom"
    done = medcyclegan("augment", str(series), "out_dicom", folder=run)
    assert done.returncode == 0, done.stderr
    path = run / "out_dicom" / "example_ct_dicom_noncontrast.nii.gz"
    check_translated(path, read_volume(series).array, read_volume(series).affine)


def test_a_labelled_volume_keeps_grid_hu_and_labels(run: Path, real_data: Path) -> None:
    image = real_data / "totalsegmentator" / "example_ct_sm.nii.gz"
    labels = real_data / "totalsegmentator" / "example_seg.nii.gz"
    words = ("augment", str(image), "out", "--labels", str(labels))
    done = medcyclegan(*words, folder=run)
    assert done.returncode == 0, done.stderr
    source = load(image)
    check_translated(
        run / "out" / "example_ct_sm_noncontrast.nii.gz", np.asarray(source.dataobj), source.affine
    )
    copied = load(run / "out" / "labels" / "example_ct_sm_noncontrast.nii.gz")
    original = load(labels)
    assert np.array_equal(np.asarray(copied.dataobj), np.asarray(original.dataobj))
    assert copied.get_data_dtype() == original.get_data_dtype()
    before = {p: p.read_bytes() for p in sorted((run / "out").rglob("*")) if p.is_file()}
    again = medcyclegan(*words, folder=run)
    assert again.returncode == 0
    after = {p: p.read_bytes() for p in sorted((run / "out").rglob("*")) if p.is_file()}
    assert before == after


def load(path: Path) -> nibabel.nifti1.Nifti1Image:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.nifti1.Nifti1Image)
    return image


def check_translated(path: Path, hu: npt.NDArray[Any], affine: npt.NDArray[Any]) -> None:
    """Check that nibabel and SimpleITK read the input's grid, and what had to stay stayed."""
    image = load(path)
    translated = np.asarray(image.dataobj)
    assert translated.dtype == np.int16
    assert translated.shape == hu.shape
    assert np.abs(image.affine - affine).max() < 1e-4
    itk = SimpleITK.ReadImage(str(path))
    assert itk.GetSize() == hu.shape
    first = np.array(itk.TransformIndexToPhysicalPoint((0, 0, 0))) * (-1, -1, 1)
    assert np.abs(first - affine[:3, 3]).max() < 1e-4
    assert np.array_equal(SimpleITK.GetArrayFromImage(itk).T, translated)
    below = hu < -200
    assert np.array_equal(translated[below], hu[below])
    changed = translated != hu
    assert changed.any()
    assert not changed[below].any()
