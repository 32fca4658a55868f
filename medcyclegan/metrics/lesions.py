"""Lesions: those that stay, those that are lost, and those that nobody has."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.metrics.metric import WHOLE, Metric, Parts, share_of
from medcyclegan.metrics.reference import Hu, LabelMap, Mask, Need, Places, Reference, Scan
from medcyclegan.metrics.remembered import Remembered
from medcyclegan.metrics.structure import STRONG, gradient

RING_MM = 5.0
LEAST_CONTRAST_HU = 8.0  # of the truth, for a lesion to count
KEPT = (0.5, 1.5)  # of the truth's contrast
SMOOTH_MM = 4.0  # Gaussian sigma
LEAST_ACROSS_MM = 10.0
LEAST_OFF_HU = 12.0
EDGE_MM = 3.0  # kernels and blur make errors so near to edges, which are no lesions
NEEDS: frozenset[Need] = frozenset({"labels", "truth"})

Kinds = tuple[tuple[str, tuple[int, ...]], ...]


class Lesion(NamedTuple):
    """One lesion, as indices into flattened slices.

    Args:
        kind: its name in the tissue table.
        inside: its voxels.
        ring: voxels of its host within 5 mm of it.
    """

    kind: str
    inside: Places
    ring: Places


@Remembered
def find_lesions(scan: Scan, kinds: Kinds) -> tuple[Lesion, ...]:
    """Return every connected lesion of the labels with the ring it is seen against.

    The ring are the voxels within 5 mm of it, other slices included, that bear the label most
    frequent there, lesions' labels apart: of a lesion at the liver's edge it is liver, not fat.
    Lesions touch where they share a voxel's face. One without any ring is left out.

    Args:
        scan: with labels.
        kinds: name and label values of each kind of lesion.
    """
    labels = scan.labels
    assert labels is not None
    lesions = np.isin(labels, [value for _, values in kinds for value in values])
    found = []
    for kind, values in kinds:
        numbered, _ = ndimage.label(np.isin(labels, values))
        for number, box in enumerate(ndimage.find_objects(numbered), start=1):
            around = _widen(box, labels.shape, scan.spacing_mm)
            inside = numbered[around] == number
            ring = _ring(inside, labels[around], lesions[around], scan.spacing_mm)
            if ring.any():
                found.append(
                    Lesion(kind, *(_places(mask, around, labels.shape) for mask in (inside, ring)))
                )
    return tuple(found)


def _widen(
    box: tuple[slice, ...], shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> tuple[slice, ...]:
    margins = (int(np.ceil(RING_MM / spacing)) for spacing in spacing_mm)
    return tuple(
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size, margin in zip(box, shape, margins, strict=True)
    )


def _ring(
    inside: Mask, labels: LabelMap, lesions: Mask, spacing_mm: tuple[float, float, float]
) -> Mask:
    away_mm = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    near = (away_mm <= max(RING_MM, min(spacing_mm)) + 1e-6) & ~lesions
    if not near.any():
        return near
    values, counts = np.unique(labels[near], return_counts=True)
    return near & (labels == values[np.argmax(counts)])


def _places(mask: Mask, box: tuple[slice, ...], shape: tuple[int, ...]) -> Places:
    offsets = [side.start for side in box]
    indices = [where + offset for where, offset in zip(np.nonzero(mask), offsets, strict=True)]
    return np.ravel_multi_index(indices, shape)


def _contrast(hu: Hu, lesion: Lesion) -> float:
    flat = hu.ravel()
    return float(
        flat[lesion.inside].mean(dtype=np.float64) - flat[lesion.ring].mean(dtype=np.float64)
    )


def _shares(reference: Reference, output: Hu) -> list[tuple[str, float]]:
    """Return each lesion's kind and its contrast in the output as a share of the truth's."""
    assert reference.truth is not None
    kinds = tuple(reference.tissues.lesions.items())
    shares = []
    for lesion in find_lesions(reference.source, kinds):
        wanted = _contrast(reference.truth, lesion)
        if abs(wanted) >= LEAST_CONTRAST_HU:
            shares.append((lesion.kind, _contrast(output, lesion) / wanted))
    return shares


def _kept(reference: Reference, output: Hu) -> Parts:
    shares = _shares(reference, output)
    kept = Counter(kind for kind, share in shares if KEPT[0] <= share <= KEPT[1])
    return _of_all(kept, Counter(kind for kind, _ in shares))


def _lost(reference: Reference, output: Hu) -> Parts:
    shares = _shares(reference, output)
    lost = Counter(kind for kind, share in shares if share < KEPT[0])
    return _of_all(lost, Counter(kind for kind, _ in shares))


def _of_all(some: Counter[str], every: Counter[str]) -> Parts:
    return {kind: (float(some[kind]), float(count)) for kind, count in every.items()}


def _invented(reference: Reference, output: Hu) -> Parts:
    smooth, known = _smooth_error(reference, output)
    voxel_mm3 = float(np.prod(reference.source.spacing_mm))
    least = np.pi / 6 * LEAST_ACROSS_MM**3 / voxel_mm3
    count = 0
    for off in (known & (smooth > LEAST_OFF_HU), known & (smooth < -LEAST_OFF_HU)):
        blobs, _ = ndimage.label(off)
        count += int(np.count_nonzero(np.bincount(blobs.ravel())[1:] > least))
    return {WHOLE: (float(count),)}


def _smooth_error(reference: Reference, output: Hu) -> tuple[npt.NDArray[np.float32], Mask]:
    """Return how far voxels are off beyond their tissue's own offset, smoothed, and where known."""
    assert reference.truth is not None
    places = _judged(reference.source, reference)
    error = np.zeros(output.shape, np.float32)
    known = np.zeros(output.shape, np.float32)
    if len(places):
        assert reference.source.labels is not None
        off = output.ravel()[places] - reference.truth.ravel()[places]
        values, tissue = np.unique(reference.source.labels.ravel()[places], return_inverse=True)
        offsets = np.array(ndimage.median(off, tissue, np.arange(len(values))), np.float32)
        error.ravel()[places] = off - offsets[tissue]
        known.ravel()[places] = 1.0
    sigma = [SMOOTH_MM / spacing for spacing in reference.source.spacing_mm]
    weight = ndimage.gaussian_filter(known, sigma, mode="constant", truncate=3.0)
    smooth = ndimage.gaussian_filter(error, sigma, mode="constant", truncate=3.0)
    judged = known > 0
    np.divide(smooth, weight, out=smooth, where=judged)
    return smooth, judged


def _judged(scan: Scan, reference: Reference) -> Places:
    """Return voxels of tissues thick enough to lose their rim, away from the truth's edges.

    Rims, lesions and air are left out.
    """
    labels = scan.labels
    assert labels is not None
    inside = np.zeros(labels.size, bool)
    for region in (*reference.organs.values(), *reference.null_tissues.values()):
        if len(region.rim):
            inside[region.core] = True
    lesions = [value for values in reference.tissues.lesions.values() for value in values]
    free = scan.body & ~np.isin(labels, lesions) & ~_near_edges(reference)
    return np.flatnonzero(inside & free.ravel())


def _near_edges(reference: Reference) -> Mask:
    """Return the voxels within 3 mm, in the slice, of an edge of the truth; see `gradient`."""
    assert reference.truth is not None
    spacing_mm = reference.source.spacing_mm
    slope = np.hypot(*gradient(reference.truth, spacing_mm, reference.window))
    reach = [1, *(1 + 2 * round(EDGE_MM / step) for step in spacing_mm[1:])]
    near: Mask = ndimage.maximum_filter(slope, reach, mode="nearest") > STRONG
    return near


LESIONS_KEPT = Metric(
    title="lesions kept, share",
    rows="lesions",
    ideal=1.0,
    needs=NEEDS,
    measure=_kept,
    combine=share_of,
)
"""The share of lesions whose contrast has the truth's sign and 50 to 150 % of its size.

The contrast is the mean HU of the lesion less that of its ring (see `find_lesions`). Every
connected lesion counts for itself; one whose contrast in the truth is below 8 HU does not count.
Small lesions stand in the source's noise: another acquisition of the truth can score below 1.
"""

LESIONS_LOST = Metric(
    title="lesions lost, share",
    rows="lesions",
    ideal=0.0,
    needs=NEEDS,
    measure=_lost,
    combine=share_of,
)
"""The share of the same lesions with under 50 % of the truth's contrast, or the opposite sign.

What is neither kept nor lost is overdone, beyond 150 %.
"""

LESIONS_INVENTED = Metric(
    title="lesions invented, per patient",
    rows="whole",
    ideal=0.0,
    needs=NEEDS,
    measure=_invented,
)
"""How many lesions a patient's output shows that the truth has not.

The error, output less truth, is taken in the cores of organs and null tissues inside the body, as
far as these are thick enough to have a core, outside lesion labels and over 3 mm away from edges
of the truth over 8 HU per mm, where any other kernel makes errors. Less the median error of its
label, so that an organ that is too bright as a whole is no lesion, and smoothed by a Gaussian
of sigma 4 mm among these voxels alone, it makes connected blobs above 12 HU and below -12 HU.
Those of more volume than a ball 10 mm across count.
"""
