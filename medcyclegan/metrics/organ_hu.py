"""Mean HU of tissues: how much of the way to the truth they went, and what moved that must not."""

from __future__ import annotations

import numpy as np

from medcyclegan.metrics.metric import Metric, Parts, Values
from medcyclegan.metrics.reference import Hu, Places, Reference


def mean_hu(hu: Hu, places: Places) -> float:
    """Return the mean of slices (S, H, W) at indices into them flattened, HU."""
    return float(hu.reshape(-1)[places].mean(dtype=np.float64))


def _gaps(reference: Reference, output: Hu) -> Parts:
    """Return each organ's |s - t| and |o - t|."""
    assert reference.truth is not None
    parts: Parts = {}
    for name, (core, _) in reference.organs.items():
        source, out, truth = (
            mean_hu(hu, core) for hu in (reference.source.hu, output, reference.truth)
        )
        parts[name] = (abs(source - truth), abs(out - truth))
    return parts


def _share_closed(gaps: Values) -> float:
    before, after = (float(part) for part in gaps.mean(axis=0))
    return 1.0 - after / before if before > 0 else float("nan")


def _core_errors(reference: Reference, output: Hu) -> Parts:
    return {name: (after,) for name, (_, after) in _gaps(reference, output).items()}


def _rim_errors(reference: Reference, output: Hu) -> Parts:
    assert reference.truth is not None
    return {
        name: (abs(mean_hu(output, rim) - mean_hu(reference.truth, rim)),)
        for name, (_, rim) in reference.organs.items()
        if len(rim)
    }


def _shifts(reference: Reference, output: Hu) -> Parts:
    return {
        name: (abs(mean_hu(output, core) - mean_hu(reference.source.hu, core)),)
        for name, (core, _) in reference.null_tissues.items()
    }


def _changes(reference: Reference, output: Hu) -> Parts:
    change = np.abs(output - reference.source.hu)
    return {name: (mean_hu(change, core),) for name, (core, _) in reference.null_tissues.items()}


GAP_CLOSED = Metric(
    title="gap closed",
    rows="organs",
    ideal=1.0,
    needs=frozenset({"labels", "truth"}),
    measure=_gaps,
    combine=_share_closed,
)
"""The share of the way from source to truth that outputs went.

With s, o, t the organ's mean HU in a patient's source, output and noiseless twin, in the organ's
core (see `Region`)::

    gap closed = 1 - mean over patients |o - t| / mean over patients |s - t|

1 is the truth, 0 no better than the source, below 0 worse. NaN where source and truth agree.
"""

ORGAN_ERROR = Metric(
    title="error of the organ's mean, HU",
    rows="organs",
    ideal=0.0,
    needs=frozenset({"labels", "truth"}),
    measure=_core_errors,
)
"""The mean over patients of |o - t|, as `GAP_CLOSED` has them: errors of two do not cancel."""

RIM_ERROR = Metric(
    title="error of the rim's mean, HU",
    rows="organs",
    ideal=0.0,
    needs=frozenset({"labels", "truth"}),
    measure=_rim_errors,
)
"""The same in the organ's rim, where its voxels are partly another tissue's.

Organs too thin for a rim have none.
"""

NULL_SHIFT = Metric(
    title="shift of tissue that must not move, HU",
    rows="null_tissues",
    ideal=0.0,
    needs=frozenset({"labels"}),
    measure=_shifts,
)
"""How far the tissue's mean has moved: with s, o its mean HU in source and output::

    null shift = mean over patients |o - s|
"""

NULL_CHANGE = Metric(
    title="change of voxels that must not move, HU",
    rows="null_tissues",
    ideal=0.0,
    needs=frozenset({"labels"}),
    measure=_changes,
)
"""How far the tissue's voxels have moved: with x, y a voxel of source and output::

    null change = mean over patients, mean over voxels |y - x|

Never below `NULL_SHIFT`, which changes up and down in one tissue can cancel out of. The truth as
another acquisition scores its noise here, not 0.
"""
