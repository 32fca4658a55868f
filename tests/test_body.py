"""Where the patient is."""

from __future__ import annotations

import numpy as np

from medcyclegan.body import Box, body_box, body_mask


def test_the_table_is_not_the_patient_and_lungs_are() -> None:
    slices = np.full((2, 60, 80), -1000.0)
    rows, columns = np.ogrid[:60, :80]
    patient = ((rows - 28) / 18) ** 2 + ((columns - 40) / 30) ** 2 < 1
    slices[0][patient] = 40
    slices[0][((rows - 28) / 8) ** 2 + ((columns - 30) / 8) ** 2 < 1] = -850  # lung
    slices[0, 52:54, 5:75] = 100  # table
    mask = body_mask(slices)
    assert mask[0, 28, 30]
    assert not mask[0, 52:].any()
    assert abs(int(mask[0].sum()) - int(patient.sum())) < 0.05 * patient.sum()
    assert not mask[1].any()
    assert body_box(mask[0]) == Box(11, 46, 11, 70)
    assert body_box(mask[1]) == Box(0, 60, 0, 80)
