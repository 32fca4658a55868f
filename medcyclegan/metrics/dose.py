"""Whether what is wrong with an output follows the patient's own iodine dose."""

from __future__ import annotations

from medcyclegan.metrics.metric import Metric, Parts, Values
from medcyclegan.metrics.organ_hu import mean_hu
from medcyclegan.metrics.reference import Hu, Reference

LEAST_PATIENTS = 3


def _errors_at_dose(reference: Reference, output: Hu) -> Parts:
    """Return the patient's dose and each organ's signed error o - t, HU."""
    assert reference.truth is not None
    assert reference.dose is not None
    return {
        name: (reference.dose, mean_hu(output, core) - mean_hu(reference.truth, core))
        for name, (core, _) in reference.organs.items()
    }


def _slope(doses_and_errors: Values) -> float:
    if len(doses_and_errors) < LEAST_PATIENTS:
        return float("nan")
    dose, error = (doses_and_errors - doses_and_errors.mean(axis=0)).T
    spread = float(dose @ dose)
    return float(dose @ error) / spread if spread > 0 else float("nan")


DOSE_SLOPE = Metric(
    title="slope of the remaining error on dose, HU per usual dose",
    rows="organs",
    ideal=0.0,
    needs=frozenset({"labels", "truth", "dose"}),
    measure=_errors_at_dose,
    combine=_slope,
)
"""The slope of the least-squares line through (dose, o - t), one point for each patient.

With d the patient's dose, 1 the usual, and o, t the organ's mean HU in output and noiseless
twin::

    slope = covariance(d, o - t) / variance(d)

0 is an output that takes each patient's own enhancement away (or adds it), whatever error all
patients share; a method that changes everyone alike keeps the source's slope. NaN under three
patients, or where all have the same dose.
"""
