from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.baselines import BASELINES, fit_baselines
from medcyclegan.metrics.reference import Reference, Scan, TissueTable

LIVER, LESION, BONE = 1, 2, 3
TISSUES = TissueTable(
    organs={"liver": (LIVER,)}, null_tissues={"bone": (BONE,)}, lesions={"lesion": (LESION,)}
)
SPACING = (5.0, 3.0, 3.0)


def scan(hu: dict[int, float]) -> Scan:
    """Return tissues of one HU each in a body of fat with air around it."""
    labels = np.zeros((2, 40, 40), np.uint8)
    for value in hu:
        labels[:, 6 + 8 * value : 12 + 8 * value, 10:30] = value
    array = np.full(labels.shape, -1000.0, np.float32)
    array[:, 4:38, 4:36] = -100.0
    for value, level in hu.items():
        array[labels == value] = level
    return Scan(array, SPACING, labels)


def patient(source: dict[int, float], truth: dict[int, float], *targets: Scan) -> Reference:
    return Reference(
        "one",
        scan(source),
        Window(-200, 600),
        TISSUES,
        truth=scan(source | truth).hu,
        targets=targets,
    )


def hu_of(output: np.ndarray, reference: Reference, value: int) -> float:
    assert reference.source.labels is not None
    return float(output[reference.source.labels == value].mean())


ONE = patient({LIVER: 120, BONE: 300}, {LIVER: 60})
TWO = patient({LIVER: 100, LESION: 80, BONE: 320}, {LIVER: 50, LESION: 40})


def test_with_twins_and_labels_every_baseline_is_fitted() -> None:
    fitted = fit_baselines([ONE, TWO])
    assert list(fitted.transforms) == list(BASELINES)
    assert fitted.left_out == {}
    assert fitted.fitted_on["label_shift"] == "the truth itself"
    for transform in fitted.transforms.values():
        assert transform(ONE).shape == ONE.source.hu.shape
        assert transform(ONE).dtype == np.float32


def test_what_cannot_be_fitted_is_left_out_and_named() -> None:
    bare = replace(ONE, truth=None, source=replace(ONE.source, labels=None))
    fitted = fit_baselines([bare])
    assert list(fitted.transforms) == ["identity"]
    assert fitted.left_out["histogram_matching"] == "target patients, or twins"
    assert set(fitted.left_out) == set(BASELINES) - {"identity"}
    with_targets = fit_baselines([replace(bare, targets=[scan({LIVER: 50})])])
    assert list(with_targets.transforms) == ["identity", "histogram_matching"]


def test_labels_of_nothing_that_is_measured_fit_no_curve() -> None:
    fitted = fit_baselines([replace(ONE, tissues=TissueTable())])
    assert set(fitted.left_out) == {"best_curve", "label_shift"}


def test_identity_changes_nothing() -> None:
    np.testing.assert_array_equal(
        fit_baselines([ONE]).transforms["identity"](ONE), ONE.source.hu, strict=True
    )


def test_a_label_is_shifted_by_what_its_mean_differs_between_labelled_patients() -> None:
    targets = (scan({LIVER: 58, BONE: 200}), scan({LIVER: 62, BONE: 210}))
    known = [replace(each, targets=targets) for each in (ONE, TWO)]
    fitted = fit_baselines(known)
    assert "other patients" in fitted.fitted_on["label_shift"]
    shift = fitted.transforms["label_shift"]
    assert hu_of(shift(ONE), ONE, LIVER) == pytest.approx(120 - 110 + 60)
    assert hu_of(shift(TWO), TWO, LIVER) == pytest.approx(100 - 110 + 60)
    assert hu_of(shift(TWO), TWO, LESION) == pytest.approx(80)  # no target has one
    assert hu_of(shift(ONE), ONE, BONE) == pytest.approx(300)  # must not move


def test_where_targets_have_no_labels_the_shift_is_fitted_on_the_truth() -> None:
    target = replace(scan({LIVER: 10}), labels=None)
    fitted = fit_baselines([replace(each, targets=[target]) for each in (ONE, TWO)])
    assert fitted.fitted_on["label_shift"] == "the truth itself"
    shift = fitted.transforms["label_shift"]
    assert hu_of(shift(ONE), ONE, LIVER) == pytest.approx(120 - (60 + 50) / 2)
    assert hu_of(shift(TWO), TWO, LESION) == pytest.approx(40)
    np.testing.assert_array_equal(ONE.source.hu, scan({LIVER: 120, BONE: 300}).hu)


def test_matching_takes_the_targets_before_the_twins() -> None:
    target = scan({LIVER: 20, BONE: 300})
    to_target = fit_baselines([replace(ONE, targets=[target])]).transforms["histogram_matching"]
    assert hu_of(to_target(ONE), ONE, LIVER) == pytest.approx(20)
    fitted = fit_baselines([ONE])
    assert fitted.fitted_on["histogram_matching"] == "all sources and their own twins"
    assert hu_of(fitted.transforms["histogram_matching"](ONE), ONE, LIVER) == pytest.approx(60)
    second = fit_baselines([replace(ONE, second=target.hu)]).transforms["histogram_matching"]
    assert hu_of(second(ONE), ONE, LIVER) == pytest.approx(20)


def test_patients_may_be_read_anew_for_each_baseline() -> None:
    @dataclass
    class Read:
        times: int = 0

        def __iter__(self) -> Iterator[Reference]:
            self.times += 1
            yield ONE
            yield TWO

    read = Read()
    streamed, held = fit_baselines(read), fit_baselines([ONE, TWO])
    for name, transform in streamed.transforms.items():
        np.testing.assert_array_equal(transform(TWO), held.transforms[name](TWO))
    assert read.times > 1
