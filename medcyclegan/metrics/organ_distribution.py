"""Distributions of organs' HU: outputs held against labelled patients of the other domain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medcyclegan.metrics.metric import Metric, Parts, Values
from medcyclegan.metrics.reference import Hu, Reference, Scan, make_region
from medcyclegan.metrics.remembered import Remembered

QUANTILES = 50

Quantiles = npt.NDArray[np.float64]


def _quantiles(hu: Hu) -> Quantiles:
    """Return 50 HU that stand for equal shares of the voxels: the middle of each share."""
    return np.quantile(hu, (np.arange(QUANTILES) + 0.5) / QUANTILES)


@Remembered
def _of_target(scan: Scan, values: tuple[int, ...]) -> Quantiles | None:
    if scan.labels is None:
        return None
    mask = np.isin(scan.labels, values)
    return _quantiles(scan.hu.ravel()[make_region(mask).core]) if mask.any() else None


def _measure(reference: Reference, output: Hu) -> Parts:
    flat = output.ravel()
    parts: Parts = {}
    for name, region in reference.organs.items():
        values = reference.tissues.organs[name]
        known = [
            quantiles
            for target in reference.targets
            if (quantiles := _of_target(target, values)) is not None
        ]
        if known:
            pooled = _quantiles(np.concatenate(known).astype(np.float32))
            parts[name] = (*_quantiles(flat[region.core]), *pooled)
    return parts


def _combine(values: Values) -> float:
    """Return the 1-Wasserstein distance of the patients' pooled voxels and the targets'."""
    ours = np.sort(values[:, :QUANTILES], axis=None)
    theirs = values[:, QUANTILES:].mean(axis=0)
    return float(np.abs(ours - np.repeat(theirs, len(values))).mean())


ORGAN_DISTRIBUTION = Metric(
    title="distance of HU distributions to target patients', HU",
    rows="organs",
    ideal=0.0,
    needs=frozenset({"labels", "targets"}),
    measure=_measure,
    combine=_combine,
)
"""1-Wasserstein distance between an organ's HU in all outputs and in all labelled targets.

HU of cores, 50 quantiles for each patient, patients counting evenly, pooled on either side. It
sees the level, its spread between patients, noise and texture at once, and it is of populations:
errors of single patients that leave these alone do not show. Few patients never reach 0.
"""
