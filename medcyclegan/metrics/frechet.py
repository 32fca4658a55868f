"""A Fréchet distance of plain features: whether outputs look like target patients as a whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.intensity import Window
from medcyclegan.metrics.coarse import bands, coarse_hu, soft_tissue
from medcyclegan.metrics.metric import WHOLE, Metric, Parts, Values
from medcyclegan.metrics.reference import Hu, Reference, Scan
from medcyclegan.metrics.remembered import Remembered

PERCENTILES = (5, 25, 50, 75, 95)
FEATURES = len(PERCENTILES) + 6
LEAST_VOXELS = 200  # of soft tissue, for a slice to count
SHRINKAGE = 0.1  # of covariances toward their diagonal
LEAST_SD = 1e-3

Features = npt.NDArray[np.float64]  # (slices, FEATURES)


@Remembered
def slice_features(scan: Scan, window: Window) -> Features:
    """Return features of the soft tissue of each slice that holds enough, (N, 11).

    First order: the 5th, 25th, 50th, 75th and 95th percentile, SD and skewness of HU. Texture:
    the median size of details of about 3 and 6 mm, and of how the finest ones differ from those
    one voxel beside, HU, and the mean steepness, HU per mm.
    """
    hu = coarse_hu(scan.hu, scan.spacing_mm, window)
    mask = soft_tissue(scan).mask
    fine, middle, _ = bands(hu)
    steep = np.hypot(*(ndimage.sobel(hu, axis) / 24.0 for axis in (1, 2)))  # voxels of 3 mm
    beside = np.roll(fine, 1, axis=2)
    found = [
        (
            *_first_order(hu[number][soft]),
            _typical(fine[number][soft]),
            _typical(middle[number][soft]),
            _typical((fine[number] - beside[number])[soft]),
            float(steep[number][soft].mean()),
        )
        for number, soft in enumerate(mask)
        if np.count_nonzero(soft) >= LEAST_VOXELS
    ]
    return np.array(found, dtype=np.float64).reshape(-1, FEATURES)


def _first_order(hu: Hu) -> list[float]:
    spread_hu = max(float(hu.std(dtype=np.float64)), LEAST_SD)
    skewness = float((((hu - hu.mean(dtype=np.float64)) / spread_hu) ** 3).mean())
    return [*map(float, np.percentile(hu, PERCENTILES)), spread_hu, skewness]


def _typical(values: Hu) -> float:
    """Return the median size: edges between organs, which are few, have no say in it."""
    return float(np.median(np.abs(values)))


def _measure(reference: Reference, output: Hu) -> Parts:
    window = reference.window
    theirs = np.concatenate([slice_features(target, window) for target in reference.targets])
    if len(theirs) < 2:
        return {}
    scale = theirs.std(axis=0).clip(min=LEAST_SD)
    ours = slice_features(Scan(output, reference.source.spacing_mm), window)
    ours = (ours - theirs.mean(axis=0)) / scale
    covariance = np.cov(theirs / scale, rowvar=False, bias=True)
    return {WHOLE: (len(ours), *ours.sum(axis=0), *(ours.T @ ours).ravel(), *covariance.ravel())}


def _combine(values: Values) -> float:
    """Return the distance of all outputs' slices to the targets', whose mean is the origin."""
    count, *sums = values.sum(axis=0)[: 1 + FEATURES + FEATURES**2]
    if count < 2:
        return float("nan")
    mean = np.array(sums[:FEATURES]) / count
    second = np.array(sums[FEATURES:]).reshape(FEATURES, FEATURES) / count
    theirs = values[:, -(FEATURES**2) :].mean(axis=0).reshape(FEATURES, FEATURES)
    return frechet_distance(
        mean, _shrunk(second - np.outer(mean, mean)), np.zeros(FEATURES), _shrunk(theirs)
    )


def _shrunk(covariance: Values) -> Values:
    return (1.0 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))


def frechet_distance(mean: Values, covariance: Values, other: Values, other_cov: Values) -> float:
    """Return the squared Fréchet distance of two normal distributions.

    Dowson and Landau 1982, as in Heusel et al. 2017::

        |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))

    Args:
        mean: m1, (D,).
        covariance: C1, (D, D), symmetric, no eigenvalue below 0.
        other: m2.
        other_cov: C2.
    """
    values, vectors = np.linalg.eigh(other_cov)
    root = (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariance @ root).clip(min=0.0)).sum()
    apart = float(((mean - other) ** 2).sum())
    return max(0.0, apart + float(np.trace(covariance) + np.trace(other_cov) - 2.0 * shared))


FRECHET_DISTANCE = Metric(
    title="Fréchet distance of slices' features to target patients'",
    rows="whole",
    ideal=0.0,
    needs=frozenset({"targets"}),
    measure=_measure,
    combine=_combine,
)
"""Fréchet distance between plain features of the outputs' slices and of the target patients'.

As Heusel et al. 2017 do with features of a network trained on photographs, with `slice_features`
instead, in units of their SD over target slices, and covariances drawn a tenth of the way to their
diagonal. Nothing is downloaded. Slices of all outputs make one population; few patients never
reach 0.
"""
