"""Structure: whether the source's edges are still there, and whether there are new ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.intensity import Window
from medcyclegan.metrics.metric import WHOLE, Metric, Parts, share_of
from medcyclegan.metrics.reference import Hu, Reference
from medcyclegan.metrics.texture import spread

SMOOTH_MM = 2.0  # Gaussian sigma in the slice
SOFT_STEP = 5.0  # HU per mm: fainter steps count by degrees less, as they may be noise
STRONG = 8.0  # HU per mm: an edge
FAINT = 0.5  # of an edge: less of it than that in the source, and it is new
NEAR_MM = 3.0
MOST_SLICES = 48

Gradient = npt.NDArray[np.float32]  # (2, S, H, W), HU per mm


def gradient(hu: Hu, spacing_mm: tuple[float, float, float], window: Window) -> Gradient:
    """Return the slope along rows and columns of slices clipped to the window, HU per mm.

    Derivatives of a Gaussian of sigma 2 mm in the slice.
    """
    seen = hu.clip(window.low_hu, window.high_hu)
    sigma = [0.0, *(SMOOTH_MM / spacing for spacing in spacing_mm[1:])]
    orders = ((0, 1, 0), (0, 0, 1))
    return np.stack(
        [
            ndimage.gaussian_filter(seen, sigma, order=order, mode="nearest", truncate=3.0) / step
            for order, step in zip(orders, spacing_mm[1:], strict=True)
        ]
    )


def _gradients(reference: Reference, output: Hu) -> tuple[Gradient, Gradient]:
    """Return those of source and output in the body of some slices, 0 elsewhere."""
    scan = reference.source
    chosen = spread(len(scan.hu), MOST_SLICES)
    body = scan.body[chosen]
    before, after = (
        gradient(hu[chosen], scan.spacing_mm, reference.window) * body for hu in (scan.hu, output)
    )
    return before, after


def _kept(reference: Reference, output: Hu) -> Parts:
    before, after = (
        field / np.sqrt(np.square(field).sum(axis=0) + SOFT_STEP**2)
        for field in _gradients(reference, output)
    )
    ours, theirs = (float(np.square(field).sum(dtype=np.float64)) for field in (before, after))
    shared = float((before * after).sum(dtype=np.float64))
    return {WHOLE: (shared / np.sqrt(ours * theirs) if ours * theirs > 0 else 0.0,)}


def _invented(reference: Reference, output: Hu) -> Parts:
    before, after = (np.hypot(*field) for field in _gradients(reference, output))
    reach = [1, *(1 + 2 * round(NEAR_MM / step) for step in reference.source.spacing_mm[1:])]
    near = ndimage.maximum_filter(before, reach, mode="nearest")
    edges = after > STRONG
    new = edges & (near < FAINT * after)
    return {WHOLE: (float(np.count_nonzero(new)), float(np.count_nonzero(edges)))}


STRUCTURE_KEPT = Metric(
    title="structure kept, agreement of edges",
    rows="whole",
    ideal=1.0,
    needs=frozenset(),
    measure=_kept,
)
"""How well the directions and places of edges in source and output agree, from -1 to 1.

With g the `gradient` of source and output in the source's body and n = g / sqrt(|g|^2 + 5^2), the
normalised gradient fields of Haber and Modersitzki 2006, here with their sign::

    sum(n_source . n_output) / sqrt(sum |n_source|^2 sum |n_output|^2)

1 for the source itself, below 0 for an inverted image. The truth lies somewhat below 1, as vessels
lose or gain their edges with the contrast medium: no method needs to score more than it.
"""

EDGES_INVENTED = Metric(
    title="edges invented, share",
    rows="whole",
    ideal=0.0,
    needs=frozenset(),
    measure=_invented,
    combine=share_of,
)
"""The share of the output's edges of which the source has no trace.

Edges are voxels with a slope over 8 HU per mm (see `gradient`) in the source's body; of a new one
the source has no slope half as steep within 3 mm in the slice. Contrast medium makes some.
"""
