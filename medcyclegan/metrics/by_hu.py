"""Tissue that the source's own HU tell without any label: whether it stays where it is."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medcyclegan.metrics.metric import Metric, Parts
from medcyclegan.metrics.reference import CROSS, LEAST_VOXELS, Hu, Places, Reference, Scan
from medcyclegan.metrics.remembered import Remembered

SMOOTH_MM = 2.0  # Gaussian sigma in the slice, before HU are looked at
RANGES_HU = {
    "air": (-np.inf, -900.0),
    "lung": (-900.0, -600.0),
    "fat": (-150.0, -50.0),
    "bone": (500.0, 2000.0),  # above opacified vessels, below metal
}
WITHOUT_RIM = ("air", "lung", "fat")  # cortical bone is too thin to lose one


@Remembered
def tissues_by_hu(scan: Scan) -> dict[str, Places]:
    """Return where air, lung, fat and bone lie inside the body, as far as HU alone tell.

    HU smoothed in the slice, so that noise does not choose the voxels, lie in the tissue's range;
    of all but bone a rim of one voxel in the slice is left out, where soft tissue beside air
    shares the HU of fat.

    Returns:
        tissue -> indices into the flattened slices; those with under 30 voxels are left out.
    """
    sigma = [0.0, *(SMOOTH_MM / spacing for spacing in scan.spacing_mm[1:])]
    smooth = ndimage.gaussian_filter(scan.hu, sigma, mode="nearest", truncate=3.0)
    found = {}
    for name, (low, high) in RANGES_HU.items():
        mask = (smooth >= low) & (smooth < high) & scan.body
        if name in WITHOUT_RIM:
            mask = ndimage.binary_erosion(mask, CROSS, border_value=1)
        places = np.flatnonzero(mask)
        if len(places) >= LEAST_VOXELS:
            found[name] = places
    return found


def _measure(reference: Reference, output: Hu) -> Parts:
    before, after = reference.source.hu.ravel(), output.ravel()
    return {
        name: (abs(float((after[places] - before[places]).mean(dtype=np.float64))),)
        for name, places in tissues_by_hu(reference.source).items()
    }


NULL_BY_SOURCE_HU = Metric(
    title="shift of what the source's HU call air, lung, fat and bone, HU",
    rows="null_tissues",
    ideal=0.0,
    needs=frozenset(),
    measure=_measure,
)
"""How far tissue without contrast medium has moved, told by the source's HU and no label.

With s, o voxels of source and output in the places of `tissues_by_hu`::

    mean over patients |mean over voxels (o - s)|
"""
