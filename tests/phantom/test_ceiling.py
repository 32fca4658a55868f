from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from medcyclegan.phantom.abdomen import ABDOMEN
from medcyclegan.phantom.case import SETTINGS, PhantomCase, make_case
from medcyclegan.phantom.ceiling import ceiling_output, posterior_change
from medcyclegan.phantom.parameters import LABELS, TISSUES, Phase, label_values
from medcyclegan.phantom.population import DIFFERING
from medcyclegan.volume import Labels, Volume


@pytest.fixture(scope="module")
def cases() -> list[PhantomCase]:
    phases: tuple[Phase, ...] = ("venous", "arterial", "venous", "delayed")
    return [
        make_case(seed, phase, populations=DIFFERING, size=96, slices=20)
        for seed, phase in enumerate(phases)
    ]


def errors(case: PhantomCase, output: npt.NDArray[np.floating]) -> dict[str, float]:
    """Return the mean error of each organ, the noise of the acquisition left out."""
    error = output - (case.image.array - case.clean.array) - case.clean_twin.array
    names = ("liver", "spleen", "kidneys", "aorta", "vena_cava", "portal_vein", "muscle")
    masks = {name: np.isin(case.labels.array, label_values(name)) for name in names}
    found = {name: abs(float(error[mask].mean())) for name, mask in masks.items() if mask.any()}
    return found | {"all": float(np.abs(error[case.labels.array > 0]).mean())}


def test_the_output_is_nearer_the_truth_than_a_shift_of_each_label(
    cases: list[PhantomCase],
) -> None:
    sums: dict[str, float] = dict.fromkeys(("identity", "usual shift", "to the table", "ours"), 0.0)
    everywhere = dict(sums)
    for case in cases:
        hu, labels = case.image.array.astype(np.float32), case.labels.array
        usual = np.array([getattr(row, case.phase) for row in TISSUES.values()], np.float32)
        table = np.array([row.base_hu for row in TISSUES.values()], np.float32)
        counts = np.bincount(labels.ravel(), minlength=len(LABELS))
        means = np.bincount(labels.ravel(), hu.ravel(), len(LABELS)) / np.maximum(counts, 1)
        known = np.where(usual > 0, means - table, 0.0).astype(np.float32)
        ours = ceiling_output(
            case.image, case.labels, case.phase, setting=ABDOMEN, labelled_fat=True
        )
        assert ours.array.dtype == np.float32
        assert ours.array.shape == hu.shape
        outputs = {
            "identity": hu, "usual shift": hu - usual[labels], "to the table": hu - known[labels],
            "ours": ours.array,
        }  # fmt: skip
        for name, output in outputs.items():
            of_organs = errors(case, output)
            everywhere[name] += of_organs.pop("all")
            sums[name] += float(np.mean(list(of_organs.values())))
    for rival in ("identity", "usual shift", "to the table"):
        assert sums["ours"] < 0.85 * sums[rival], sums
        assert everywhere["ours"] < 0.85 * everywhere[rival], everywhere


def test_what_does_not_enhance_stays_and_noise_with_it(cases: list[PhantomCase]) -> None:
    for case in cases:
        output = ceiling_output(
            case.image, case.labels, case.phase, setting=ABDOMEN, labelled_fat=True
        )
        change = output.array - case.image.array
        for name in ("background", "lung", "stomach_content"):
            mask = case.labels.array == LABELS[name]
            assert not mask.any() or np.abs(change[mask]).mean() < 1.0, name
        far = ndimage.binary_erosion(case.labels.array == 0, np.ones((5, 5, 1)), iterations=2)
        assert not change[far].any()
        liver = np.isin(case.labels.array, (LABELS["liver"], LABELS["fatty_liver"]))
        liver = ndimage.binary_erosion(liver, np.ones((3, 3, 1)), iterations=2)
        grain = (case.image.array - case.clean.array)[liver]
        left = (output.array - case.clean_twin.array)[liver]
        assert np.corrcoef(grain, left)[0, 1] > 0.9


def test_unevenness_that_is_enhancement_goes_with_it(cases: list[PhantomCase]) -> None:
    case = cases[1]
    spleen = ndimage.binary_erosion(case.labels.array == LABELS["spleen"], np.ones((3, 3, 1)))
    noise = case.image.array - case.clean.array
    output = ceiling_output(case.image, case.labels, "arterial", setting=ABDOMEN, labelled_fat=True)
    left = (output.array - noise)[spleen].std()
    assert left < 0.75 * case.clean.array[spleen].std()


def test_arterial_blood_from_the_legs_is_known_to_hold_little(cases: list[PhantomCase]) -> None:
    case = cases[1]
    output = ceiling_output(case.image, case.labels, "arterial", setting=ABDOMEN, labelled_fat=True)
    change = np.where(
        case.labels.array == LABELS["vena_cava"], output.array - case.image.array, np.nan
    )
    by_slice = np.nanmean(change, axis=(0, 1))
    assert np.abs(by_slice[:2]).max() < 0.5 * np.abs(by_slice[-4:]).min()


def test_toward_contrast_medium_only_the_usual_dose_is_known() -> None:
    case = make_case(4, "noncontrast", populations=DIFFERING, size=64, slices=12)
    change = posterior_change(
        case.image,
        case.labels,
        "noncontrast",
        twin_phase="venous",
        setting=ABDOMEN,
        labelled_fat=True,
    )
    for name in ("liver", "aorta", "spleen"):
        if LABELS[name] in change:
            assert change[LABELS[name]] == pytest.approx(TISSUES[name].venous, rel=0.03), name
    assert change[LABELS["fat"]] == 0
    assert max(change) <= max(LABELS.values())


def test_the_ceiling_knows_the_setting() -> None:
    case = make_case(1, "venous", setting="stars", size=64, slices=16)
    outputs = {
        name: ceiling_output(case.image, case.labels, "venous", setting=SETTINGS[name]).array
        for name in ("stars", "abdomen")
    }
    left = {name: errors(case, output)["liver"] for name, output in outputs.items()}
    assert left["stars"] < 8
    assert left["stars"] < left["abdomen"] - 3


def test_neither_the_order_of_the_axes_nor_the_type_of_the_labels_matters() -> None:
    case = make_case(2, "arterial", size=48, slices=12)
    want = ceiling_output(case.image, case.labels, "arterial", setting=ABDOMEN).array
    affine = case.image.affine[:, [2, 0, 1, 3]].copy()  # slices first, and from the head down
    affine[:3, 3] += affine[:3, 0] * (case.image.array.shape[2] - 1)
    affine[:3, 0] *= -1

    def turned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array.transpose(2, 0, 1)[::-1]

    labels = Labels(turned(case.labels.array).astype(np.float64), affine)
    got = ceiling_output(
        Volume(turned(case.image.array), affine), labels, "arterial", setting=ABDOMEN
    )
    np.testing.assert_allclose(got.array, turned(want), atol=1e-3)
