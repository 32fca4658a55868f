"""The plain cohort stays what it is: published figures rest on it."""

from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom import PhantomCase, make_case, make_cohort

# patient: scanner, then ten voxels each of labels, image and clean twin
PUBLISHED: dict[str, tuple[str, list[int], list[int], list[float]]] = {
    "phantom-3-0-1": (
        "sharp",
        [0, 0, 18, 18, 15, 16, 0, 0, 0, 0],
        [-979, -1004, 63, 35, 86, 20, -1022, -1024, -997, -994],
        [-1000.0, -1000.0, 62.0, 18.9, 41.8, 23.2, -1000.0, -1000.0, -1000.0, -1000.0],
    ),
    "phantom-3-0-3": (
        "sharp",
        [0, 0, 18, 19, 19, 16, 20, 0, 0, 0],
        [-1000, -1014, 7, 368, -57, 8, -321, -1009, -994, -1006],
        [-1000.0, -1000.0, 19.1, 366.2, -65.2, 13.2, -296.3, -1000.0, -1000.0, -1000.0],
    ),
    "phantom-3-1-0": (
        "sharp",
        [0, 0, 18, 18, 15, 16, 0, 0, 0, 0],
        [-1006, -1007, 37, 73, -6, 38, -484, -993, -989, -992],
        [-1000.0, -1000.0, 68.1, 75.2, 10.8, 19.5, -519.7, -1000.0, -1000.0, -1000.0],
    ),
    "phantom-3-2-0": (
        "sharp",
        [0, 0, 18, 19, 19, 15, 0, 0, 0, 0],
        [-989, -1024, 98, -42, -86, -44, -995, -999, -1004, -983],
        [-1000.0, -1000.0, 60.4, -52.2, -94.8, -30.7, -1000.0, -1000.0, -1000.0, -1000.0],
    ),
    "phantom-5": (
        "smooth",
        [0, 0, 18, 18, 19, 17, 0, 0, 0, 0],
        [-1002, -1004, -11, -3, -122, -957, -984, -983, -988, -989],
        [-1000.0, -1000.0, -27.9, -1.8, -110.9, -950.0, -1000.0, -1000.0, -1000.0, -1000.0],
    ),
}


def voxels(array: np.ndarray) -> list[float]:
    return array.reshape(-1)[array.size // 2 + 7 :: array.size // 37][:10].tolist()


@pytest.fixture(scope="module")
def cases() -> dict[str, PhantomCase]:
    cohort = make_cohort(3, train_contrast=4, train_noncontrast=1, test=1, size=32, slices=10)
    single = make_case(5, "venous", size=32, slices=10)
    everyone = (*cohort.contrast, *cohort.noncontrast, *cohort.test, single)
    return {case.patient: case for case in everyone}


@pytest.mark.parametrize("patient", PUBLISHED)
def test_a_plain_patient_is_the_same_as_ever(cases: dict[str, PhantomCase], patient: str) -> None:
    case = cases[patient]
    scanner, labels, image, clean_twin = PUBLISHED[patient]
    assert case.scanner == scanner
    assert voxels(case.labels.array) == labels
    np.testing.assert_allclose(voxels(case.image.array), image, atol=1)  # sums may round otherwise
    np.testing.assert_allclose(voxels(case.clean_twin.array), clean_twin, atol=0.1)
