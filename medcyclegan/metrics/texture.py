"""Texture: whether fine grain is left in the tissues, or was smoothed away or put in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.metrics.by_hu import tissues_by_hu
from medcyclegan.metrics.metric import Metric, Parts
from medcyclegan.metrics.reference import LEAST_VOXELS, Hu, Mask, Places, Reference

TEXTURED = ("fat", "muscle", "liver")
COARSE_MM = 3.0  # Gaussian sigma in the slice: what is coarser is no texture
DEPTHS_MM = (6.0, 4.0, 2.0)  # from the tissue's edge, the first that leaves voxels enough
LEAST_DEEP = 200  # voxels
MOST_SLICES = 48


def spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the numbers below `count`, evenly spread, ends included.

    >>> spread(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def grain(hu: Hu, places: Places, spacing_mm: tuple[float, float, float]) -> Hu:
    """Return what a tissue's inner voxels have beyond their surroundings in it, HU, (N,).

    With G a Gaussian of sigma 3 mm in the slice and m the mask of the tissue's inside::

        x - G(m x) / G(m)

    The inside keeps 6 mm from the edges in the slice, less where under 200 voxels would be left:
    what is blurred in from another tissue is no texture. Of many slices 48 are looked at, evenly
    spread.

    Args:
        hu: (S, H, W).
        places: the tissue, indices into the flattened slices.
        spacing_mm: of slices, rows and columns, mm.
    """
    tissue = np.zeros(hu.shape, bool)
    tissue.ravel()[places] = True
    slices = np.flatnonzero(tissue.any(axis=(1, 2)))
    chosen = slices[spread(len(slices), MOST_SLICES)]
    inside = _inside(tissue[chosen], spacing_mm)
    mask, seen = inside.astype(np.float32), hu[chosen]
    sigma = [0.0, *(COARSE_MM / spacing for spacing in spacing_mm[1:])]
    weight, sums = (
        ndimage.gaussian_filter(each, sigma, mode="constant", truncate=3.0)
        for each in (mask, mask * seen)
    )
    return seen[inside] - sums[inside] / weight[inside]


def _inside(tissue: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    for depth_mm in DEPTHS_MM:
        sides = [1, *(1 + 2 * round(depth_mm / spacing) for spacing in spacing_mm[1:])]
        inside = ndimage.minimum_filter(tissue, sides, mode="constant", cval=False)
        if np.count_nonzero(inside) >= LEAST_DEEP:
            return inside
    return tissue


def _measure(reference: Reference, output: Hu) -> Parts:
    source, spacing = reference.source.hu, reference.source.spacing_mm
    parts: Parts = {}
    for name, places in _tissues(reference).items():
        before = float(grain(source, places, spacing).std(dtype=np.float64))
        after = float(grain(output, places, spacing).std(dtype=np.float64))
        if before > 0:
            parts[name] = (after / before,)
    return parts


def _tissues(reference: Reference) -> dict[str, Places]:
    labelled = {**reference.null_tissues, **reference.organs}
    found = {name: labelled[name].core for name in TEXTURED if name in labelled}
    by_hu = tissues_by_hu(reference.source)
    if "fat" not in found and "fat" in by_hu:
        found["fat"] = by_hu["fat"]
    return {name: places for name, places in found.items() if len(places) >= LEAST_VOXELS}


TEXTURE = Metric(
    title="fine texture, ratio to the source's",
    rows="organs",
    ideal=1.0,
    needs=frozenset(),
    measure=_measure,
)
"""How much fine texture fat, muscle and liver have left, held against the source's.

With g the `grain` of the tissue's core in one patient's source s and output o::

    mean over patients SD(g(o)) / SD(g(s))

1 for another acquisition by the same scanner; below it a method smooths, above it adds noise. The
tissues are organs or null tissues of these names in the tissue table; without labels fat alone is
looked at, as its HU tell it.
"""
