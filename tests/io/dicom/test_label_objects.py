from __future__ import annotations

import numpy as np
from pydicom import Dataset

from medcyclegan.io.dicom.label_objects import slice_shifts
from medcyclegan.volume import Provenance, Volume


def at(places: list[tuple[float, float, float]]) -> Volume:
    """A stack of slices 2 mm apart whose headers put them at these places, LPS in mm."""
    headers = []
    for place in places:
        header = Dataset()
        header.ImagePositionPatient = list(place)
        headers.append(header)
    array = np.zeros((4, 4, len(places)), np.int16)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    return Volume(array, affine, Provenance(headers=tuple(headers)))


def test_slices_that_were_rounded_lie_off_their_grid() -> None:
    shifts = slice_shifts(at([(0, 0, 0), (0, 0.1, 2.1), (0, 0, 4)]))
    np.testing.assert_allclose(shifts, [(0, 0, 0), (0, 0.1, 0.05), (0, 0, 0)], atol=1e-9)


def test_a_lean_that_was_resampled_is_no_shift() -> None:
    leaning = [(0.0, 0.07 * k, 2.0 * k) for k in range(6)]
    np.testing.assert_allclose(slice_shifts(at(leaning)), 0, atol=1e-9)


def test_without_headers_nothing_is_off() -> None:
    plain = Volume(np.zeros((4, 4, 3), np.int16), np.eye(4))
    assert not slice_shifts(plain).any()
