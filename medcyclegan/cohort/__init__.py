"""Cohorts with exact twins: phantom patients and semi-real scans, as references and as files."""

from medcyclegan.cohort.reading import CohortCase, WrittenCohort, read_cohort
from medcyclegan.cohort.references import (
    check_phantom_names,
    phantom_reference,
    phantom_tissues,
    tissue_table,
)
from medcyclegan.cohort.writing import write_cohort, write_semireal

__all__ = [
    "CohortCase",
    "WrittenCohort",
    "check_phantom_names",
    "phantom_reference",
    "phantom_tissues",
    "read_cohort",
    "tissue_table",
    "write_cohort",
    "write_semireal",
]
