"""Numbers about volumes: one implementation of each, for the demo, tables and training alike."""

from __future__ import annotations

from medcyclegan.metrics.best_curve import fit_best_curve
from medcyclegan.metrics.compare import METRICS, compare
from medcyclegan.metrics.curves import Curve, fit_histogram_matching, fit_least_squares_curve
from medcyclegan.metrics.organ_hu import gap_closed, null_change, null_shift, tissue_means
from medcyclegan.metrics.trial import Tissues, Trial, TwinnedCase, make_regions, make_trial

__all__ = [
    "METRICS",
    "Curve",
    "Tissues",
    "Trial",
    "TwinnedCase",
    "compare",
    "fit_best_curve",
    "fit_histogram_matching",
    "fit_least_squares_curve",
    "gap_closed",
    "make_regions",
    "make_trial",
    "null_change",
    "null_shift",
    "tissue_means",
]
