"""Numbers about volumes: one implementation of each, for the demo, tables and training alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from medcyclegan.metrics.compare import compare
from medcyclegan.metrics.curves import Curve, fit_best_curve, fit_histogram_matching
from medcyclegan.metrics.organ_hu import gap_closed, null_change, null_shift, tissue_means
from medcyclegan.metrics.trial import Tissues, Trial, TwinnedCase, make_regions, make_trial

METRICS: dict[str, Callable[[Sequence[Trial]], dict[str, float]]] = {
    "gap_closed": gap_closed,
    "null_shift": null_shift,
    "null_change": null_change,
}

__all__ = [
    "METRICS",
    "Curve",
    "Tissues",
    "Trial",
    "TwinnedCase",
    "compare",
    "fit_best_curve",
    "fit_histogram_matching",
    "gap_closed",
    "make_regions",
    "make_trial",
    "null_change",
    "null_shift",
    "tissue_means",
]
