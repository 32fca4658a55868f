from __future__ import annotations

import re
from pathlib import Path

from medcyclegan.io import read_volume
from medcyclegan.phase import judge_phase

NAMED = {"1": "contrast", "0": "noncontrast"}


def test_most_chest_ct_are_judged_as_they_are_named(real_data: Path) -> None:
    right = 0
    paths = sorted((real_data / "tcga_luad_contrast").rglob("*.dcm"))
    for path in paths:
        match = re.search(r"CONTRAST_([01])", path.name)
        assert match is not None
        verdict = judge_phase(read_volume(path)).verdict
        assert verdict in {NAMED[match[1]], "unknown"}
        right += verdict == NAMED[match[1]]
    assert (len(paths), right) == (43, 43)


def test_studies_say_what_covid_slices_show(real_data: Path) -> None:
    for path in sorted((real_data / "covid_ny_sbu").rglob("*.dcm")):
        volume = read_volume(path)
        study = volume.provenance.tags["StudyDescription"]
        expected = "noncontrast" if " WO " in study else "contrast"
        assert judge_phase(volume).verdict == expected, path


def test_an_abdomen_with_calcified_cartilage_is_not_taken_for_contrast(real_data: Path) -> None:
    folder = real_data / "totalsegmentator"
    assert judge_phase(read_volume(folder / "example_ct_sm.nii.gz")).verdict == "noncontrast"
    assert judge_phase(read_volume(folder / "example_ct.nii.gz")).verdict == "noncontrast"
    assert judge_phase(read_volume(folder / "example_ct_dicom")).verdict == "contrast"
