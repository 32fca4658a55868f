from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom.parameters import FATTY_RANGE_HU, LABELS, TISSUES
from medcyclegan.phantom.physiology import TissueMap, make_physiology
from medcyclegan.phantom.shapes import Grid

PATIENTS = [make_physiology(np.random.default_rng(seed)) for seed in range(400)]


def test_patients_spread_as_the_table_says() -> None:
    base = np.array([patient.base_hu for patient in PATIENTS])
    for name in ("spleen", "pancreas", "spongy_bone"):
        row, drawn = TISSUES[name], base[:, LABELS[name]]
        assert drawn.mean() == pytest.approx(row.base_hu, abs=0.2 * row.base_sd)
        assert drawn.std() == pytest.approx(row.base_sd, rel=0.2)
    doses = np.array([patient.dose for patient in PATIENTS])
    assert np.median(doses) == pytest.approx(1.0, abs=0.05)
    assert np.log(doses).std() == pytest.approx(0.18, abs=0.03)


def test_every_fifth_liver_is_fatty() -> None:
    liver = np.array([patient.base_hu[LABELS["liver"]] for patient in PATIENTS])
    fatty = liver[liver < FATTY_RANGE_HU[1]]
    assert len(fatty) / len(liver) == pytest.approx(0.2, abs=0.06)
    assert fatty.min() < 10


def test_one_patients_blood_is_the_same_in_all_vessels_before_contrast_medium() -> None:
    for patient in PATIENTS[:20]:
        blood = {float(patient.base_hu[LABELS[n]]) for n in ("aorta", "vena_cava", "portal_vein")}
        assert len(blood) == 1


def test_arterial_blood_from_the_legs_holds_little_contrast_medium() -> None:
    line = np.arange(-20.0, 20.0, 4.0).astype(np.float32)
    stack = Grid(np.array([-50.0, 40.0], np.float32), line, line)
    labels = np.full(stack.shape, LABELS["vena_cava"], np.uint8)
    body = TissueMap(stack, labels, PATIENTS[0], np.random.default_rng(0))
    change = (body.hu("arterial") - body.hu("noncontrast")).mean(axis=(1, 2))
    assert 0 < change[0] < 0.4 * change[1]
    venous = (body.hu("venous") - body.hu("noncontrast")).mean(axis=(1, 2))
    assert venous[0] == pytest.approx(venous[1], rel=0.15)


def test_enhancement_grows_with_the_dose() -> None:
    line = np.arange(-20.0, 20.0, 4.0).astype(np.float32)
    stack = Grid(line, line, line)
    labels = np.full(stack.shape, LABELS["kidney_cortex"], np.uint8)
    for patient in PATIENTS[:5]:
        body = TissueMap(stack, labels, patient, np.random.default_rng(0))
        change = (body.hu("venous") - body.hu("noncontrast")).mean()
        response = float(patient.response[LABELS["kidney_cortex"]])
        assert change / (patient.dose * response) == pytest.approx(150.0, rel=0.1)
