"""Mean HU of tissues: how much of the way to the truth they went, and what moved that must not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from medcyclegan.metrics.trial import Trial

Kind = Literal["organs", "null_tissues"]
Which = Literal["source", "output", "truth"]


def tissue_means(trials: Sequence[Trial], kind: Kind, which: Which) -> dict[str, list[float]]:
    """Return each tissue's mean HU in each patient that has it, patients in order."""
    means: dict[str, list[float]] = {}
    for trial in trials:
        hu = getattr(trial, which)
        for name, mask in getattr(trial, kind).items():
            means.setdefault(name, []).append(float(hu[mask].mean(dtype=np.float64)))
    return means


def gap_closed(trials: Sequence[Trial]) -> dict[str, float]:
    """Return for each organ the share of the way from source to truth that outputs went.

    With s, o, t the organ's mean HU in a patient's source, output and noiseless twin, in the organ
    less a rim of one voxel where it is thick enough for that (see `make_regions`)::

        gap closed = 1 - mean over patients |o - t| / mean over patients |s - t|

    1 is the truth, 0 no better than the source, below 0 worse. NaN where source and truth agree.
    """
    source, output, truth = (
        tissue_means(trials, "organs", which) for which in ("source", "output", "truth")
    )
    closed = {}
    for name in truth:
        gap = np.abs(np.subtract(source[name], truth[name])).mean()
        left = np.abs(np.subtract(output[name], truth[name])).mean()
        closed[name] = float(1.0 - left / gap) if gap > 0 else float("nan")
    return closed


def null_shift(trials: Sequence[Trial]) -> dict[str, float]:
    """Return how far the mean of each tissue that must not move has moved, HU.

    With s, o the tissue's mean HU in a patient's source and output::

        null shift = mean over patients |o - s|
    """
    source, output = (tissue_means(trials, "null_tissues", which) for which in ("source", "output"))
    return {name: float(np.abs(np.subtract(output[name], source[name])).mean()) for name in source}


def null_change(trials: Sequence[Trial]) -> dict[str, float]:
    """Return how far the voxels of each tissue that must not move have moved, HU.

    With x, y a voxel of source and output::

        null change = mean over patients, mean over voxels |y - x|

    Never below `null_shift`, which changes up and down in one tissue can cancel out of.
    """
    changes: dict[str, list[float]] = {}
    for trial in trials:
        change = np.abs(trial.output - trial.source)
        for name, mask in trial.null_tissues.items():
            changes.setdefault(name, []).append(float(change[mask].mean(dtype=np.float64)))
    return {name: float(np.mean(values)) for name, values in changes.items()}
