"""Taken over: what of the target patients, beyond contrast, a method puts into its outputs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medcyclegan.body import body_mask
from medcyclegan.metrics.by_hu import tissues_by_hu
from medcyclegan.metrics.metric import Metric, Parts, Values
from medcyclegan.metrics.reference import CROSS, Hu, Mask, Places, Reference, Scan
from medcyclegan.metrics.remembered import Remembered
from medcyclegan.metrics.texture import grain

LEAST_ERRORS = 2.0  # standard errors by which the populations must differ, to speak of it

Traits = dict[str, float]


def traits(hu: Hu, body: Mask, fat: Places, spacing_mm: tuple[float, float, float]) -> Traits:
    """Return what tells patients and scanners apart and contrast medium leaves alone.

    Returns:
        mean HU of fat; SD of its fine texture, which is mostly noise, HU; the mean slope at the
        skin, which the kernel and the voxels' size set, HU per mm; and the mean area of the body
        in a slice, cm2.
    """
    _, rows, columns = spacing_mm
    skin = body & ~ndimage.binary_erosion(body, CROSS, border_value=1)
    slope = np.hypot(np.gradient(hu, rows, axis=1), np.gradient(hu, columns, axis=2))
    return {
        "fat HU": float(hu.ravel()[fat].mean(dtype=np.float64)),
        "noise in fat": float(grain(hu, fat, spacing_mm).std(dtype=np.float64)),
        "slope at the skin": float(slope[skin].mean(dtype=np.float64)) if skin.any() else 0.0,
        "body area": int(np.count_nonzero(body)) * rows * columns / 100.0 / len(hu),
    }


@Remembered
def _of_scan(scan: Scan) -> Traits:
    fat = tissues_by_hu(scan).get("fat")
    if fat is None:
        return {}
    return traits(scan.hu, scan.body, fat, scan.spacing_mm)


def _measure(reference: Reference, output: Hu) -> Parts:
    source = _of_scan(reference.source)
    targets = [known for target in reference.targets if (known := _of_scan(target))]
    if not source or len(targets) < 2:
        return {}
    fat = tissues_by_hu(reference.source)["fat"]
    after = traits(output, body_mask(output), fat, reference.source.spacing_mm)
    parts: Parts = {}
    for name, before in source.items():
        theirs = np.array([known[name] for known in targets])
        squared_error = float(theirs.var(ddof=1)) / len(theirs)
        parts[name] = (before, after[name], float(theirs.mean()), squared_error)
    return parts


def _combine(values: Values) -> float:
    if len(values) < 2:
        return float("nan")
    before, after, theirs, squared_error = values.mean(axis=0)
    difference = theirs - before
    error = np.sqrt(values[:, 0].var(ddof=1) / len(values) + squared_error)
    if abs(difference) <= LEAST_ERRORS * error:
        return float("nan")
    return float((after - before) / difference)


TAKEN_OVER = Metric(
    title="share taken over of what sets target patients apart beyond contrast",
    rows="whole",
    ideal=0.0,
    needs=frozenset({"targets"}),
    measure=_measure,
    combine=_combine,
)
"""How much of the difference between the two populations, beyond contrast, outputs take over.

With s, o and t one of the `traits` of source, output and targets, means over patients::

    (o - s) / (t - s)

0 where the patient stays himself on his own scanner, 1 where he becomes one of the others. Fat is
what the source's HU tell as fat, in source and output alike, and the targets' own. Nothing is said
where the populations differ by less than two standard errors. Lesions that were put in are
counted by `LESIONS_INVENTED`.
"""
