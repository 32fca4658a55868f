"""A phantom of abdominal CT: patients made by code, each with his exact twin in another phase."""

from medcyclegan.phantom.acquisition import SCANNERS, Scanner
from medcyclegan.phantom.cohort import Cohort, PhantomCase, make_case, make_cohort
from medcyclegan.phantom.parameters import (
    LABELS,
    NULL_TISSUES,
    ORGANS,
    TISSUES,
    Phase,
    label_values,
)

__all__ = [
    "LABELS",
    "NULL_TISSUES",
    "ORGANS",
    "SCANNERS",
    "TISSUES",
    "Cohort",
    "PhantomCase",
    "Phase",
    "Scanner",
    "label_values",
    "make_case",
    "make_cohort",
]
