"""Baselines that see nothing but a voxel's own HU: one curve for every voxel of every patient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medcyclegan.metrics.reference import Hu, Reference, Scan
from medcyclegan.volume import Volume

LOWEST_HU, HIGHEST_HU = -1024, 3071
BIN_HU = 2
LEAST_VOXELS = 20  # fewer than that in a bin tell nothing about its mean

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A map from HU to HU.

    Args:
        hu: where it is given, growing, (N,).
        values: what it gives there, (N,); linear between, beyond both ends shifted like the end.
    """

    hu: Values
    values: Values

    def __call__(self, volume: Volume) -> Volume:
        """Return `volume` with every voxel sent through the curve, float32 HU."""
        return Volume(self.at(volume.array), volume.affine, volume.provenance)

    def at(self, hu: npt.NDArray[np.floating | np.integer]) -> Hu:
        """Return what the curve gives for HU of any shape."""
        array = hu.astype(np.float64)
        change = np.interp(array, self.hu, self.values - self.hu)
        return (array + change).astype(np.float32)


def fit_histogram_matching(sources: Iterable[Scan], targets: Iterable[Scan]) -> Curve:
    """Return the growing curve that gives the sources' pooled voxels the targets' distribution.

    With F the distribution function of HU inside the body, over all scans of a domain::

        curve(h) = F_target^-1(F_source(h))

    Args:
        sources: scans of the domain to leave.
        targets: scans of the domain to enter; other patients.
    """
    source, target = _distribution(sources), _distribution(targets)
    hu = np.arange(LOWEST_HU, HIGHEST_HU + 1, dtype=np.float64)
    seen = np.flatnonzero(np.diff(source, prepend=0.0))
    rising = np.flatnonzero(np.diff(target, prepend=0.0))
    middle = source[seen] - 0.5 * np.diff(source[seen], prepend=0.0)
    target_middle = target[rising] - 0.5 * np.diff(target[rising], prepend=0.0)
    return Curve(hu[seen], np.interp(middle, target_middle, hu[rising]))


def _distribution(scans: Iterable[Scan]) -> Values:
    """Return the share of body voxels at or below each whole HU."""
    counts = np.zeros(HIGHEST_HU - LOWEST_HU + 1)
    for scan in scans:
        inside = np.rint(scan.hu[scan.body]).astype(np.int64).clip(LOWEST_HU, HIGHEST_HU)
        counts += np.bincount(inside - LOWEST_HU, minlength=len(counts))
    return np.cumsum(counts) / counts.sum()


def fit_least_squares_curve(references: Iterable[Reference]) -> Curve:
    """Return the curve nearest to the truth in the least-squares sense, fitted on the truth.

    With x a voxel of a source and t the same voxel of its noiseless twin, over all patients::

        curve(h) = E[t | x = h]

    in bins of 2 HU, those with fewer than 20 voxels filled in from their neighbours. No curve has
    a smaller squared error over all voxels. That is no ceiling of other figures, which count an
    organ for itself however few its voxels: see `fit_best_curve`.

    Args:
        references: patients whose truth is known, walked through once.
    """
    bins = (HIGHEST_HU - LOWEST_HU) // BIN_HU + 1
    counts, sums, places = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    for reference in references:
        assert reference.truth is not None
        source = reference.source.hu.ravel().astype(np.float64).clip(LOWEST_HU, HIGHEST_HU)
        number = ((source - LOWEST_HU) // BIN_HU).astype(np.int64)
        counts += np.bincount(number, minlength=bins)
        places += np.bincount(number, weights=source, minlength=bins)
        truth = reference.truth.ravel().astype(np.float64)
        sums += np.bincount(number, weights=truth, minlength=bins)
    full = counts >= min(LEAST_VOXELS, counts.max())
    return Curve(places[full] / counts[full], sums[full] / counts[full])
