from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan import files
from medcyclegan.errors import VolumeError
from medcyclegan.io import ReadOptions, find_volumes, source_sha256, write_volume
from medcyclegan.volume import Volume

MakeCT = Callable[..., npt.NDArray[Any]]


def test_a_hash_tells_volumes_of_one_file_apart(tmp_path: Path, make_ct: MakeCT) -> None:
    plain = tmp_path / "a.nii.gz"
    write_volume(Volume(make_ct(), np.diag([-0.8, -0.8, 2.5, 1.0])), plain)
    (source,) = find_volumes(plain).sources
    assert source_sha256(source) == files.sha256(plain)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(plain, "one.nii.gz")
        archive.write(plain, "two.nii.gz")
    one, two = find_volumes(tmp_path / "b.zip").sources
    variants = [
        source,
        one,
        two,
        replace(source, part=0),
        replace(source, part=1),
        replace(source, options=ReadOptions(resample_tilt=True)),
        replace(source, options=ReadOptions(split_4d=True)),
    ]
    assert len({source_sha256(variant) for variant in variants}) == len(variants)
    assert source_sha256(replace(one, path=tmp_path, stem="x")) == source_sha256(one)
    plain.unlink()
    with pytest.raises(VolumeError, match=r"a\.nii\.gz: cannot be read"):
        source_sha256(source)
