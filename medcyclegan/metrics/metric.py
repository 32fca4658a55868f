"""Metric: one number about outputs, measured patient by patient and combined over patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from medcyclegan.metrics.reference import Hu, Need, Reference

Values = npt.NDArray[np.float64]
Rows = Literal["organs", "null_tissues", "lesions", "whole"]
Parts = dict[str, tuple[float, ...]]  # row -> what one patient adds to its figure
WHOLE = "volume"  # the one row of a metric of whole volumes


def mean_of(values: Values) -> float:
    """Return the mean over patients of their first part: how most metrics are combined."""
    return float(values[:, 0].mean())


def share_of(values: Values) -> float:
    """Return the sum over patients of their first part as a share of that of their second."""
    count, total = values.sum(axis=0)
    return float(count / total) if total else float("nan")


@dataclass(frozen=True)
class Metric:
    """One figure of merit.

    Patients are the unit of chance: `measure` sees one patient, `combine` any number of them, so
    that intervals come from drawing patients anew.

    Args:
        title: what tables call it, with its unit.
        rows: what it is measured in: each organ, each null tissue, each kind of lesion, or whole
            volumes.
        ideal: what the truth itself scores; `inf` where more is always better.
        needs: what has to be known of a patient.
        measure: (reference, output in HU, (S, H, W)) -> row -> the patient's parts of the figure;
            rows that this patient has not are left out.
        combine: parts of P patients, (P, parts) -> the figure, NaN where it cannot be said.
    """

    title: str
    rows: Rows
    ideal: float
    needs: frozenset[Need]
    measure: Callable[[Reference, Hu], Parts]
    combine: Callable[[Values], float] = mean_of
