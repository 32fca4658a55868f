"""A phantom of abdominal CT: patients made by code, each with his exact twins in another phase."""

from medcyclegan.phantom.acquisition import SCANNERS, Scanner
from medcyclegan.phantom.case import SETTINGS, PhantomCase, make_case
from medcyclegan.phantom.cohort import Cohort, make_cohort, make_patients
from medcyclegan.phantom.parameters import (
    FINDINGS,
    LABELS,
    LESIONS,
    LOOKALIKES,
    NULL_TISSUES,
    ORGANS,
    RULE_BREAKERS,
    SEGMENTED,
    TISSUES,
    Phase,
    label_values,
)
from medcyclegan.phantom.population import DIFFERING, PLAIN, Domain, Population, Populations
from medcyclegan.phantom.setting import Finding, Setting

__all__ = [
    "DIFFERING",
    "FINDINGS",
    "LABELS",
    "LESIONS",
    "LOOKALIKES",
    "NULL_TISSUES",
    "ORGANS",
    "PLAIN",
    "RULE_BREAKERS",
    "SCANNERS",
    "SEGMENTED",
    "SETTINGS",
    "TISSUES",
    "Cohort",
    "Domain",
    "Finding",
    "PhantomCase",
    "Phase",
    "Population",
    "Populations",
    "Scanner",
    "Setting",
    "label_values",
    "make_case",
    "make_cohort",
    "make_patients",
]
