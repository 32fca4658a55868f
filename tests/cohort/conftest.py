"""A small cohort on disk, and the very patients it was written from."""

from __future__ import annotations

from pathlib import Path

import pytest

from medcyclegan.cohort import write_cohort
from medcyclegan.phantom import PhantomCase, make_patients

SIZE, SLICES, SEED = 32, 4, 5


@pytest.fixture(scope="session")
def patients() -> tuple[PhantomCase, ...]:
    return make_patients("contrast", 2, seed=SEED, role="test", size=SIZE, slices=SLICES)


@pytest.fixture(scope="session")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients as NIfTI; never written to."""
    folder = tmp_path_factory.mktemp("cohort") / "new" / "cohort"
    write_cohort(folder, 2, seed=SEED, role="test", size=SIZE, slices=SLICES)
    return folder
