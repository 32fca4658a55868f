"""How near the voxels of an output come to those of the truth, inside the body.

Such scores are easily misread: most voxels hardly change between the domains, and noise that the
noiseless truth has not, and should not, counts as error. Read them beside identity's, and
`NOISE_CORRECTED_ERROR` before the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.body import Box, body_box
from medcyclegan.metrics.metric import WHOLE, Metric, Parts, Values
from medcyclegan.metrics.reference import Hu, Reference

GAUSSIAN_SD = 1.5  # pixels; this, the radius and both constants as Wang et al. have them
GAUSSIAN_RADIUS = 5
K1, K2 = 0.01, 0.03


def similarity_map(output: Hu, truth: Hu, range_hu: float) -> npt.NDArray[np.float64]:
    """Return the structural similarity of each pixel's surroundings in one slice, (H, W).

    With means, variances and covariance of x and y under a Gaussian of SD 1.5 pixels, 11 wide,
    C1 = (0.01 L)^2, C2 = (0.03 L)^2 and L the range (Wang et al. 2004, IEEE Trans Image Process
    13:600-612)::

        ((2 mean_x mean_y + C1) (2 cov_xy + C2))
        / ((mean_x^2 + mean_y^2 + C1) (var_x + var_y + C2))

    Args:
        output: (H, W), its zero where the range begins.
        truth: (H, W), likewise.
        range_hu: L, the width of the range, HU.
    """
    smooth = partial(ndimage.gaussian_filter, sigma=GAUSSIAN_SD, radius=GAUSSIAN_RADIUS)
    x, y = output.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = smooth(x), smooth(y)
    variances = smooth(x * x) - mean_x**2 + smooth(y * y) - mean_y**2
    covariance = smooth(x * y) - mean_x * mean_y
    c1, c2 = (K1 * range_hu) ** 2, (K2 * range_hu) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _windowed(reference: Reference, hu: Hu) -> Hu:
    """Return voxels clipped to the window, counted from its lower end, HU."""
    window = reference.window
    return hu.clip(window.low_hu, window.high_hu) - np.float32(window.low_hu)


def _error(reference: Reference, output: Hu) -> Values:
    """Return the windowed output less the windowed truth in the body's voxels, HU, (N,)."""
    assert reference.truth is not None
    body = reference.source.body
    out, truth = (_windowed(reference, hu)[body] for hu in (output, reference.truth))
    return out.astype(np.float64) - truth


def _absolute_error(reference: Reference, output: Hu) -> float:
    return float(np.abs(_error(reference, output)).mean())


def _peak_signal_to_noise(reference: Reference, output: Hu) -> float:
    mean_square = float(np.square(_error(reference, output)).mean())
    with np.errstate(divide="ignore"):
        return float(10.0 * np.log10(reference.window.width_hu**2 / np.float64(mean_square)))


def _similarity(reference: Reference, output: Hu) -> float:
    assert reference.truth is not None
    total, count = 0.0, 0
    for body, out, truth in zip(reference.source.body, output, reference.truth, strict=True):
        if body.any():
            near = _around(body_box(body))
            found = similarity_map(
                _windowed(reference, out[near]),
                _windowed(reference, truth[near]),
                reference.window.width_hu,
            )[body[near]]
            total += float(found.sum())
            count += len(found)
    return total / count


def _around(box: Box) -> tuple[slice, slice]:
    """Return a box with all that the surroundings of its pixels reach."""
    rows = slice(max(0, box.top - GAUSSIAN_RADIUS), box.bottom + GAUSSIAN_RADIUS)
    return rows, slice(max(0, box.left - GAUSSIAN_RADIUS), box.right + GAUSSIAN_RADIUS)


def _mean_squares(reference: Reference, output: Hu) -> Parts:
    """Return the mean squared error of the output, and of the other acquisition, HU^2."""
    assert reference.truth is not None
    assert reference.second is not None
    body = reference.source.body
    if not body.any():
        return {}
    truth = reference.truth[body].astype(np.float64)
    ours, theirs = (float(np.square(hu[body] - truth).mean()) for hu in (output, reference.second))
    return {WHOLE: (ours, theirs)}


def _root_of_excess(mean_squares: Values) -> float:
    ours, theirs = mean_squares.mean(axis=0)
    return float(np.sqrt(max(0.0, ours - theirs)))


def _inside_body(figure: Callable[[Reference, Hu], float]) -> Callable[[Reference, Hu], Parts]:
    """Return the figure as the one row of a metric, none of a volume that shows no body."""

    def measure(reference: Reference, output: Hu) -> Parts:
        return {WHOLE: (figure(reference, output),)} if reference.source.body.any() else {}

    return measure


NOISE_CORRECTED_ERROR = Metric(
    title="error beyond noise, HU",
    rows="whole",
    ideal=0.0,
    needs=frozenset({"truth", "second"}),
    measure=_mean_squares,
    combine=_root_of_excess,
)
"""The root mean squared error inside the body that noise does not account for, HU.

With o the output, t the noiseless truth and u another acquisition of it, as noisy as the source
was, and means taken over voxels and then over patients::

    error = sqrt(max(0, MSE(o, t) - MSE(u, t)))

A blurred output may come out at 0, as its noise is gone: read it beside the texture.
"""

MAE = Metric(
    title="mean absolute error, HU",
    rows="whole",
    ideal=0.0,
    needs=frozenset({"truth"}),
    measure=_inside_body(_absolute_error),
)
"""The mean over voxels inside the body of |o - t|, both clipped to the window, HU."""

PSNR = Metric(
    title="peak signal-to-noise ratio, dB",
    rows="whole",
    ideal=float("inf"),
    needs=frozenset({"truth"}),
    measure=_inside_body(_peak_signal_to_noise),
)
"""Peak signal-to-noise ratio inside the body, both clipped to the window, L wide::

    10 log10(L^2 / mean over voxels (o - t)^2)

of each patient, then the mean over patients, dB.
"""

SSIM = Metric(
    title="structural similarity",
    rows="whole",
    ideal=1.0,
    needs=frozenset({"truth"}),
    measure=_inside_body(_similarity),
)
"""The mean of `similarity_map` over voxels inside the body, both clipped to the window."""
