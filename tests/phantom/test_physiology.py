from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.phantom.abdomen import ABDOMEN
from medcyclegan.phantom.parameters import FATTY_RANGE_HU, LABELS, ORDINARY, TISSUES, Tissue
from medcyclegan.phantom.physiology import Physiology, TissueMap, make_physiology
from medcyclegan.phantom.setting import Setting
from medcyclegan.phantom.shapes import Grid


def physiology(seed: int, *, labelled_fat: bool = False, setting: Setting = ABDOMEN) -> Physiology:
    sources = (np.random.default_rng((seed, number)) for number in range(2))
    return make_physiology(setting, *sources, labelled_fat=labelled_fat)


PATIENTS = [physiology(seed) for seed in range(400)]


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
    body = TissueMap(stack, labels, PATIENTS[0], np.random.default_rng(0), TISSUES)
    change = (body.hu("arterial") - body.hu("noncontrast")).mean(axis=(1, 2))
    assert 0 < change[0] < 0.4 * change[1]
    venous = (body.hu("venous") - body.hu("noncontrast")).mean(axis=(1, 2))
    assert venous[0] == pytest.approx(venous[1], rel=0.15)


def test_enhancement_grows_with_the_dose() -> None:
    line = np.arange(-20.0, 20.0, 4.0).astype(np.float32)
    stack = Grid(line, line, line)
    labels = np.full(stack.shape, LABELS["kidney_cortex"], np.uint8)
    for patient in PATIENTS[:5]:
        body = TissueMap(stack, labels, patient, np.random.default_rng(0), TISSUES)
        change = (body.hu("venous") - body.hu("noncontrast")).mean()
        response = float(patient.response[LABELS["kidney_cortex"]])
        assert change / (patient.dose * response) == pytest.approx(150.0, rel=0.1)


def test_where_fatty_livers_have_a_label_the_others_are_lean_and_all_else_is_the_same() -> None:
    fatty = [seed for seed in range(40) if PATIENTS[seed].base_hu[LABELS["liver"]] < 40]
    assert fatty
    for seed in fatty:
        labelled, plain = physiology(seed, labelled_fat=True), PATIENTS[seed]
        assert labelled.base_hu[LABELS["liver"]] > 45
        assert labelled.base_hu[LABELS["fatty_liver"]] < 40
        others = [value for value in range(ORDINARY) if value != LABELS["liver"]]
        np.testing.assert_array_equal(labelled.base_hu[others], plain.base_hu[others])
        np.testing.assert_array_equal(labelled.response, plain.response)


def test_tissues_of_one_kind_go_together() -> None:
    for patient in PATIENTS[:10]:
        base, response = patient.base_hu, patient.response
        assert base[LABELS["unopacified_cava"]] == base[LABELS["aorta"]]
        assert base[LABELS["kidney_bed"]] == base[LABELS["fat"]]
        assert base[LABELS["opacified_pelvis"]] == base[LABELS["renal_pelvis"]]
        assert response[LABELS["fatty_liver"]] == response[LABELS["liver"]]
        assert response[LABELS["hypo_lesion"]] != response[LABELS["liver"]]


def test_a_setting_has_its_own_table_and_spread_of_dose() -> None:
    table = {**TISSUES, "spleen": Tissue(70.0, 1.0)}
    other = Setting("other", table, ABDOMEN.paint, dose_sd=0.5, dose_range=(0.2, 3.0))
    doses = [physiology(seed, setting=other).dose for seed in range(200)]
    assert np.log(doses).std() > 0.4
    assert physiology(0, setting=other).base_hu[LABELS["spleen"]] == pytest.approx(70, abs=2.1)


def test_a_setting_names_its_tissues_as_the_labels_do() -> None:
    table = {name: row for name, row in TISSUES.items() if name != "clip"}
    with pytest.raises(ValueError, match="setting short"):
        Setting("short", table, ABDOMEN.paint)
