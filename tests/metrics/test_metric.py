from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from medcyclegan.metrics import METRICS
from medcyclegan.metrics.metric import mean_of
from medcyclegan.metrics.reference import Hu, Reference, Scan
from medcyclegan.metrics.table import measure, tabulate

NEEDS = {"labels", "truth", "second", "dose", "targets"}


@pytest.fixture
def patients(
    reference: Callable[..., Reference],
    clean: Hu,
    truth: Hu,
    noise: Callable[[int], Hu],
    scan: Callable[[Hu], Scan],
) -> list[Reference]:
    """Three patients of whom everything is known; what the dose adds differs."""
    targets = tuple(scan(truth + noise(seed)) for seed in (20, 21, 22))
    return [
        replace(
            reference(truth + np.float32(dose) * (clean - truth) + noise(seed), targets),
            patient=str(seed),
            dose=dose,
        )
        for seed, dose in ((10, 0.8), (11, 1.0), (12, 1.2))
    ]


def test_the_mean_is_of_the_first_part() -> None:
    assert mean_of(np.array([[1.0, 50.0], [4.0, 70.0]])) == 2.5


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_gives_rows_of_parts_and_combines_them(
    name: str, patients: list[Reference]
) -> None:
    metric = METRICS[name]
    assert metric.needs <= NEEDS
    output = patients[0].source.hu - 20
    parts = [metric.measure(patient, output) for patient in patients]
    assert parts[0], "nothing is measured of a patient of whom everything is known"
    lengths = {len(value) for rows in parts for value in rows.values()}
    assert len(lengths) == 1
    numbers = [part for rows in parts for value in rows.values() for part in value]
    assert all(isinstance(part, float | int) for part in numbers)
    assert not np.isnan(numbers).any()
    for row in parts[0]:
        figure = metric.combine(np.array([rows[row] for rows in parts], dtype=np.float64))
        assert isinstance(figure, float)
    if metric.rows in {"organs", "lesions"} and "labels" in metric.needs:
        assert set(parts[0]) <= set(getattr(patients[0].tissues, metric.rows))
    again = [metric.measure(patient, output) for patient in patients]
    assert again == parts, "measured again, it comes out otherwise"


def test_no_metric_changes_what_it_is_given(patients: list[Reference]) -> None:
    patient = patients[0]
    output = patient.source.hu - 20
    for array in (output, patient.source.hu, patient.truth, patient.second, patient.source.labels):
        assert array is not None
        array.flags.writeable = False
    measure(patient, output)


def test_the_truth_itself_comes_nearest_to_what_each_metric_calls_ideal(
    patients: list[Reference],
) -> None:
    def second(patient: Reference) -> Hu:
        assert patient.second is not None
        return patient.second

    methods = {
        "truth": [measure(patient, second(patient)) for patient in patients],
        "identity": [measure(patient, patient.source.hu) for patient in patients],
    }
    table = tabulate(methods, resamples=20)
    assert table["not_measured"] == {}
    assert list(table["metrics"]) == list(METRICS)
    json.dumps(table, allow_nan=False)
    changing = {
        "gap_closed", "organ_error", "dose_slope", "noise_corrected_error", "mae", "psnr", "ssim",
        "patch_distance", "organ_distribution", "frechet_distance",
    }  # fmt: skip
    for name in changing:
        for row, found in table["metrics"][name]["rows"].items():
            values = [found["methods"][method]["value"] for method in ("truth", "identity")]
            ideal = METRICS[name].ideal
            if np.isinf(ideal):
                assert values[0] > values[1], (name, row)
            else:
                assert abs(values[0] - ideal) < abs(values[1] - ideal), (name, row)


def test_metrics_are_measured_without_torch() -> None:
    code = (
        "import sys, medcyclegan.metrics, medcyclegan.metrics.table, medcyclegan.metrics.compare;"
        "sys.exit(str(sorted({'torch', 'monai', 'skimage', 'matplotlib'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"
