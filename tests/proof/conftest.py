from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medcyclegan.config.segmentation import LabelledFolder
from medcyclegan.io import write_labels, write_volume
from medcyclegan.phantom import make_patients

Write = Callable[[str, str, int], LabelledFolder]


@pytest.fixture
def write_scans(tmp_path: Path) -> Write:
    """Writes small phantoms of one domain to a folder of that name, with labels, and twins."""

    def write(name: str, domain: str, count: int) -> LabelledFolder:
        folder = tmp_path / name
        first = sum(map(ord, name))  # other patients in every folder
        assert domain in {"contrast", "noncontrast"}
        made = make_patients(domain, count, first=first, size=32, slices=8)  # type: ignore[arg-type]
        for number, case in enumerate(made):
            file = f"{name}-{number}.nii.gz"
            write_volume(case.image, folder / "images" / file)
            write_volume(case.second_twin, folder / "twins" / file)
            write_labels(case.labels, folder / "labels" / file, like=case.image)
        return LabelledFolder(images=str(folder / "images"), labels=str(folder / "labels"))

    return write
