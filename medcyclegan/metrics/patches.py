"""Patches: how far an output's soft tissue is from that of real patients of the other domain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import spatial

from medcyclegan.intensity import Window
from medcyclegan.metrics.coarse import LEVELS, bands, coarse_hu, soft_tissue
from medcyclegan.metrics.metric import WHOLE, Metric, Parts
from medcyclegan.metrics.reference import Hu, Places, Reference, Scan
from medcyclegan.metrics.remembered import Remembered
from medcyclegan.metrics.texture import spread

SIDE = 7  # voxels of a patch, 1, 2 and 4 coarse voxels apart by scale
PATCHES = 1024
OF_TARGET = 2048
MOST_TARGETS = 16
DIRECTIONS = 64

Patches = npt.NDArray[np.float32]  # (scales, N, SIDE * SIDE)


class _Pool(NamedTuple):
    positions: npt.NDArray[np.float32]
    patches: Patches


def _cut(hu: Hu, places: Places) -> Patches:
    """Return the patches around places of coarse slices, at every scale, its own band alone."""
    numbers, rows, columns = np.unravel_index(places, hu.shape)
    reach = np.arange(SIDE) - SIDE // 2
    cut = []
    for level, band in enumerate(bands(hu)):
        beside = (reach * 2**level)[None]
        row = (rows[:, None] + beside).clip(0, hu.shape[1] - 1)[:, :, None]
        column = (columns[:, None] + beside).clip(0, hu.shape[2] - 1)[:, None, :]
        cut.append(band[numbers[:, None, None], row, column].reshape(len(places), SIDE**2))
    return np.stack(cut)


def _drawn(scan: Scan, count: int) -> npt.NDArray[np.int64]:
    """Return which soft-tissue voxels of a scan are looked at: equal scans, equal draws."""
    found = len(soft_tissue(scan).places)
    return np.sort(np.random.default_rng(0).permutation(found)[:count])


@Remembered
def _pool(scan: Scan, window: Window) -> _Pool:
    soft = soft_tissue(scan)
    chosen = _drawn(scan, OF_TARGET)
    hu = coarse_hu(scan.hu, scan.spacing_mm, window)
    return _Pool(soft.positions[chosen], _cut(hu, soft.places[chosen]))


def _directions() -> Patches:
    drawn = np.random.default_rng(1).standard_normal((LEVELS, SIDE * SIDE, DIRECTIONS))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def sliced_wasserstein(ours: Patches, theirs: Patches) -> float:
    """Return the mean distance of two sets of equally many patches, over scales and directions.

    Rabin et al. 2011: the 1-Wasserstein distance of their projections, which is the mean distance
    of the sorted ones, over 64 fixed directions drawn once on the unit sphere.
    """
    directions = _directions()
    one, other = (np.sort(patches @ directions, axis=1) for patches in (ours, theirs))
    return float(np.abs(one - other).mean(dtype=np.float64))


def _measure(reference: Reference, output: Hu) -> Parts:
    scan, window = reference.source, reference.window
    soft = soft_tissue(scan)
    chosen = _drawn(scan, PATCHES)
    targets = [reference.targets[number] for number in spread(len(reference.targets), MOST_TARGETS)]
    pools = [_pool(target, window) for target in targets]
    positions = np.concatenate([pool.positions for pool in pools])
    if not len(chosen) or not len(positions):
        return {}
    _, nearest = spatial.cKDTree(positions).query(soft.positions[chosen])
    theirs = np.concatenate([pool.patches for pool in pools], axis=1)[:, nearest]
    ours = _cut(coarse_hu(output, scan.spacing_mm, window), soft.places[chosen])
    return {WHOLE: (sliced_wasserstein(ours, theirs),)}


PATCH_DISTANCE = Metric(
    title="distance of patches to target patients', HU",
    rows="whole",
    ideal=0.0,
    needs=frozenset({"targets"}),
    measure=_measure,
)
"""Sliced Wasserstein distance between patches of the output and of real target patients.

After Karras et al. 2018, who take it on a Laplacian pyramid: 1024 patches of 7 x 7 voxels around
soft tissue of the source, at three scales (fields of about 20, 40 and 80 mm, see `coarse.bands`),
each beside the target patch that lies nearest to the same place: relative height in the scan, and
place in the box around the slice's body. The mean over scales, directions and patients, HU. Random
numbers are fixed. It is held against at most 16 target patients and never reaches 0: what a real
patient left out of the targets scores is as near as one can come. Heights agree only as far as
scans show the same part of the body.
"""
