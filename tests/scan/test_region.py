from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medcyclegan.io import read_volume
from medcyclegan.scan.region import region_of
from medcyclegan.volume import Volume


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("covid_ny_sbu/A048383/axial/19001231-30.dcm", "chest"),
        ("covid_ny_sbu/A048383/coronal/19001231-057.dcm", ""),
        ("cornerstone/CT2_J2KR", "head"),
        ("totalsegmentator/example_ct_dicom", "abdomen"),
        ("totalsegmentator/example_ct.nii.gz", "abdomen, pelvis"),
        ("open_kbp/pt_106_ct.nii.gz", ""),
        ("ibsi_sts/nifti/STS_019/CT_image.nii.gz", "legs"),
    ],
)
def test_regions_of_real_ct(real_data: Path, place: str, expected: str) -> None:
    assert region_of(read_volume(real_data / place)) == expected


def test_air_is_nowhere() -> None:
    air = Volume(np.full((40, 40, 3), -1000, np.int16), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert region_of(air) == ""
