"""Figures of a translation that need neither a pair nor a label, patient after patient."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from medcyclegan.metrics import METRICS
from medcyclegan.metrics.coarse import SOFT_HU
from medcyclegan.metrics.reference import Hu, Reference
from medcyclegan.metrics.table import measure

MEASURED = ("patch_distance", "edges_invented", "null_by_source_hu", "structure_kept")
SHIFT = "null_by_source_hu_"  # before the tissue
CHANGED_HU = 10.0  # more than that is no drift of the whole, which early checkpoints show

Figures = dict[str, float]


class Tally:
    """Adds up what is measured in one patient after the other, so that one output is held."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        self._changed = np.zeros(2)
        self._moments = np.zeros(6)

    def add(self, reference: Reference, output: Hu) -> None:
        """Measure what became of a patient.

        Args:
            reference: the patient, with targets.
            output: HU, (S, H, W).
        """
        measured = measure(reference, output, {name: METRICS[name] for name in MEASURED})
        for name, rows in measured.parts.items():
            for row, parts in rows.items():
                several = METRICS[name].rows != "whole"
                self._parts[f"{name}_{row}" if several else name].append(parts)
        source, window = reference.source, reference.window
        soft = source.body & (source.hu > SOFT_HU[0]) & (source.hu < SOFT_HU[1])
        changed = np.abs(output - source.hu)[soft] > CHANGED_HU
        self._changed += np.array([np.count_nonzero(changed), len(changed)])
        seen = source.body & (source.hu > window.low_hu) & (source.hu < window.high_hu)
        x, y = source.hu[seen].astype(np.float64), output[seen].astype(np.float64)
        sums = (x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())
        self._moments += np.array([len(x), *sums])

    def figures(self) -> Figures:
        """Return all figures by name; what cannot be said is left out.

        Those of `METRICS` have their names, null tissue one for each tissue:
        `null_by_source_hu_fat`. `soft_tissue_changed` is the share of the sources' soft tissue
        that changed by more than 10 HU; `correlation` says how far HU of source and output rise
        together in the body, -1 to 1, where the source is inside the window.
        """
        found: Figures = {}
        for name, parts in self._parts.items():
            metric = METRICS[next(measured for measured in MEASURED if name.startswith(measured))]
            found[name] = metric.combine(np.array(parts, dtype=np.float64))
        changed, soft = self._changed
        count, x, y, xx, yy, xy = self._moments
        with np.errstate(invalid="ignore", divide="ignore"):
            found["soft_tissue_changed"] = float(changed / soft)
            spread = np.sqrt(np.maximum(xx - x * x / count, 0) * np.maximum(yy - y * y / count, 0))
            found["correlation"] = float((xy - x * y / count) / spread)
        return {name: float(value) for name, value in found.items() if np.isfinite(value)}
