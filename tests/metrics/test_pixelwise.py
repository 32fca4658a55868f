from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics.regression import SSIMMetric
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)

from medcyclegan.intensity import Window
from medcyclegan.metrics.metric import WHOLE, Metric
from medcyclegan.metrics.pixelwise import (
    MAE,
    NOISE_CORRECTED_ERROR,
    PSNR,
    SSIM,
    similarity_map,
)
from medcyclegan.metrics.reference import Hu, Reference, Scan

WINDOW = Window(-200, 600)
INSIDE = (slice(None), slice(6, -6), slice(6, -6))


def patient(seed: int = 0, *, second: Hu | None = None) -> tuple[Reference, Hu]:
    """Return a square patient in air with a noiseless truth, and an output beside it."""
    rng = np.random.default_rng(seed)
    truth = np.full((3, 48, 40), -1000, np.float32)
    truth[INSIDE] = rng.normal(40, 60, truth[INSIDE].shape)
    truth[:, 20:24, 20:24] = 900  # bone, beyond the window
    output = truth + rng.normal(0, 15, truth.shape).astype(np.float32)
    source = Scan(truth + 80, (5.0, 1.0, 1.0))
    body = np.zeros(truth.shape, bool)
    body[INSIDE] = True
    source.__dict__["body"] = body
    return Reference("p", source, WINDOW, truth=truth, second=second), output


def figure(metric: Metric, reference: Reference, output: Hu) -> float:
    parts = metric.measure(reference, output)
    assert list(parts) == [WHOLE]
    return metric.combine(np.array([parts[WHOLE]]))


def windowed(hu: Hu) -> np.ndarray:
    """Return HU clipped to the window, from 0 at its lower end."""
    return hu.clip(-200, 600).astype(np.float64) + 200


def truth_of(reference: Reference) -> Hu:
    assert reference.truth is not None
    return reference.truth


def scikit_map(output: np.ndarray, truth: np.ndarray) -> np.ndarray:
    _, found = structural_similarity(  # type: ignore[no-untyped-call]  # it has no annotations
        truth,
        output,
        data_range=800,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return np.asarray(found)


def test_mean_absolute_error_by_hand() -> None:
    reference, _ = patient()
    output = truth_of(reference).copy()
    output[0, 10, 10] += 28 * 36 * 3  # one voxel of the body, to the window's end and not beyond
    wanted = 600 - truth_of(reference)[0, 10, 10]
    found = figure(MAE, reference, output)
    assert found == pytest.approx(float(wanted) / (3 * 36 * 28), rel=1e-5)


def test_what_lies_outside_the_body_or_the_window_does_not_count() -> None:
    reference, output = patient()
    other = output.copy()
    other[:, :6] = 300
    other[:, 20:24, 20:24] = 700
    output[:, 20:24, 20:24] = 800
    for metric in (MAE, PSNR):
        assert figure(metric, reference, other) == figure(metric, reference, output)


def test_error_and_psnr_agree_with_scikit_image() -> None:
    reference, output = patient()
    out, truth = (windowed(hu)[INSIDE] for hu in (output, truth_of(reference)))
    assert figure(MAE, reference, output) == pytest.approx(np.abs(out - truth).mean(), rel=1e-5)
    wanted = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]  # it has no annotations
        truth, out, data_range=800
    )
    assert figure(PSNR, reference, output) == pytest.approx(wanted, abs=1e-4)


def test_psnr_of_the_truth_itself_is_infinite() -> None:
    reference, _ = patient()
    assert figure(PSNR, reference, truth_of(reference)) == float("inf")


def test_similarity_agrees_with_scikit_image_and_monai() -> None:
    reference, output = patient()
    out, truth = windowed(output)[1], windowed(truth_of(reference))[1]
    ours = similarity_map(out.astype(np.float32), truth.astype(np.float32), 800.0)
    np.testing.assert_allclose(ours, scikit_map(out, truth), atol=1e-6)
    judge = SSIMMetric(spatial_dims=2, data_range=800.0)
    theirs = judge(*(torch.from_numpy(array[None, None]).float() for array in (out, truth)))
    assert isinstance(theirs, torch.Tensor)
    inside = ours[5:-5, 5:-5].mean()  # MONAI looks at whole surroundings alone
    assert theirs.item() == pytest.approx(float(inside), abs=1e-4)


def test_similarity_is_the_mean_over_the_body() -> None:
    reference, output = patient()
    maps = [
        scikit_map(out, truth)
        for out, truth in zip(windowed(output), windowed(truth_of(reference)), strict=True)
    ]
    wanted = float(np.stack(maps)[INSIDE].mean())
    assert figure(SSIM, reference, output) == pytest.approx(wanted, abs=1e-4)
    assert figure(SSIM, reference, truth_of(reference)) == pytest.approx(1.0)
    assert figure(SSIM, reference, 400 - truth_of(reference)) < 0.2


def test_noise_is_no_error_and_what_comes_on_top_is() -> None:
    rng = np.random.default_rng(3)
    reference, _ = patient()
    truth = truth_of(reference)
    noise, more = (rng.normal(0, 12, truth.shape).astype(np.float32) for _ in range(2))
    reference, _ = patient(second=truth + more)
    assert figure(NOISE_CORRECTED_ERROR, reference, truth + noise) < 3
    shifted = figure(NOISE_CORRECTED_ERROR, reference, truth + noise + 9)
    assert shifted == pytest.approx(9, abs=1)
    assert figure(NOISE_CORRECTED_ERROR, reference, truth) == 0.0  # less noise than there is


def test_noise_corrected_error_by_hand() -> None:
    reference, _ = patient()
    truth = truth_of(reference)
    known, _ = patient(second=truth - 3)
    assert figure(NOISE_CORRECTED_ERROR, known, truth + 5) == pytest.approx(4.0, rel=1e-5)
    ours = mean_squared_error(truth[INSIDE], (truth + 5)[INSIDE])
    parts = NOISE_CORRECTED_ERROR.measure(known, truth + 5)[WHOLE]
    assert list(parts) == pytest.approx([float(ours), 9.0], rel=1e-5)
    two = np.array([parts, (9.0, 9.0)])  # a patient whose output is as near as noise lets it be
    assert NOISE_CORRECTED_ERROR.combine(two) == pytest.approx(np.sqrt(8.0), rel=1e-5)


@pytest.mark.parametrize("metric", [MAE, PSNR, SSIM, NOISE_CORRECTED_ERROR])
def test_a_volume_of_air_has_no_row(metric: Metric) -> None:
    air = np.full((2, 16, 16), -1000, np.float32)
    reference = Reference("p", Scan(air, (1, 1, 1)), WINDOW, truth=air, second=air)
    assert metric.measure(reference, air) == {}
