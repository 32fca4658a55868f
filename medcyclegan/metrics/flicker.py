"""Flicker: slices that change unlike their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.metrics.coarse import SOFT_HU
from medcyclegan.metrics.metric import WHOLE, Metric, Parts, Values
from medcyclegan.metrics.reference import Hu, Mask, Places, Reference, Scan
from medcyclegan.metrics.remembered import Remembered

LEAST_IN_SLICE = 12  # voxels of an organ, for its mean to count
LEAST_SLICES = 3
SMOOTH_MM = 3.0  # Gaussian sigma in the slice
ALIKE_HU = 30.0


def _against_truth(reference: Reference, output: Hu) -> Parts:
    assert reference.truth is not None
    source, truth = reference.source.hu, reference.truth
    plane = source.shape[1] * source.shape[2]
    parts: Parts = {}
    for name, region in reference.organs.items():
        counts = np.bincount(region.core // plane, minlength=len(source))
        slices = np.flatnonzero(counts >= LEAST_IN_SLICE)
        if len(slices) >= LEAST_SLICES:
            before, after, wanted = (
                _slice_means(hu, region.core, counts)[slices] for hu in (source, output, truth)
            )
            parts[name] = (float((after - before).var()), float((wanted - before).var()))
    return parts


def _slice_means(hu: Hu, places: Places, counts: npt.NDArray[np.int64]) -> Values:
    numbers = places // (hu.shape[1] * hu.shape[2])
    sums = np.bincount(numbers, weights=hu.ravel()[places], minlength=len(hu))
    return sums / np.maximum(counts, 1)


def _ratio(values: Values) -> float:
    ours, true = values.mean(axis=0)
    return float(np.sqrt(ours / true)) if true > 0 else float("nan")


@Remembered
def _alike(scan: Scan) -> Mask:
    """Return soft tissue whose HU go on in the slice above, (S - 1, H, W)."""
    sigma = [0.0, *(SMOOTH_MM / spacing for spacing in scan.spacing_mm[1:])]
    smooth = ndimage.gaussian_filter(scan.hu, sigma, mode="nearest", truncate=3.0)
    soft = scan.body & (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])
    return soft[1:] & soft[:-1] & (np.abs(np.diff(smooth, axis=0)) < ALIKE_HU)


def _without_truth(reference: Reference, output: Hu) -> Parts:
    change = output - reference.source.hu
    steps = [
        float((above - below)[alike].mean(dtype=np.float64))
        for below, above, alike in zip(
            change[:-1], change[1:], _alike(reference.source), strict=True
        )
        if np.count_nonzero(alike) >= LEAST_IN_SLICE
    ]
    return {WHOLE: (float(np.sqrt(np.mean(np.square(steps)))),)} if steps else {}


FLICKER = Metric(
    title="flicker, ratio to the true change's",
    rows="organs",
    ideal=1.0,
    needs=frozenset({"labels", "truth"}),
    measure=_against_truth,
    combine=_ratio,
)
"""How much an organ's change varies from slice to slice, held against the true change's.

With s, o, t the mean HU of the organ's core in one slice of source, output and truth, over slices
that hold at least 12 of its voxels::

    sqrt(mean over patients var(o - s) / mean over patients var(t - s))

The true change carries the source's noise, which matters in small organs, and which a method that
adds its change to the source does not have: it may lie below 1. Over 1 slices flicker.
"""

FLICKER_SOURCE = Metric(
    title="step of the change between slices, HU",
    rows="whole",
    ideal=0.0,
    needs=frozenset(),
    measure=_without_truth,
)
"""How far the change of soft tissue steps from slice to slice, with no truth known, HU.

With c the output less the source, over soft tissue (-30 to 450 HU, smoothed in the slice by 3 mm)
whose source goes on in the slice above within 30 HU::

    root mean square over slices k of (mean over voxels c[k + 1] - c[k])

Anatomy that changes between slices lets even the truth step by a little.
"""
