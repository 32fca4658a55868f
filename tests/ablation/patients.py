"""The patients: those who train as files, written once; those who test made again from the seed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from medcyclegan.errors import InputError
from medcyclegan.files import TEMPORARY_PREFIX, write_json
from medcyclegan.io import write_volume
from medcyclegan.metrics.reference import Scan, make_scan
from medcyclegan.phantom import DIFFERING, PhantomCase, make_patients
from medcyclegan.phantom.cohort import Role
from medcyclegan.phantom.population import Domain
from tests.ablation.locks import alone
from tests.ablation.rows import Cohort

INDEX = "cohort.json"


def write_training(cohort: Cohort, out: Path) -> None:
    """Write the training patients of both domains below `out`, unless they are there.

    Raises:
        InputError: another cohort of the same seed lies there.
    """
    folder = cohort.folder(out)
    with alone(out / "locks" / folder.name):
        if folder.exists():
            _check(cohort, folder)
            return
        begun = out / f"{TEMPORARY_PREFIX}{folder.name}"
        shutil.rmtree(begun, ignore_errors=True)
        for domain in ("contrast", "noncontrast"):
            for number, case in enumerate(_patients(cohort, domain, "train")):
                write_volume(case.image, begun / domain / f"{number:03d}.nii.gz")
        write_json(begun / INDEX, cohort._asdict())
        os.replace(begun, folder)


def unseen(cohort: Cohort) -> Iterator[PhantomCase]:
    """Yield the patients who test, one after the other."""
    return _patients(cohort, "contrast", "test")


def targets(cohort: Cohort) -> list[Scan]:
    """Return what training saw of domain b, with labels."""
    cases = _patients(cohort, "noncontrast", "train")
    return [make_scan(case.image, case.labels) for case in cases]


def _patients(cohort: Cohort, domain: Domain, role: Role) -> Iterator[PhantomCase]:
    counts = {"train": cohort.contrast if domain == "contrast" else cohort.noncontrast}
    make = partial(
        make_patients,
        domain,
        1,
        seed=cohort.seed,
        role=role,
        populations=DIFFERING,
        setting=cohort.setting,
        size=cohort.size,
        slices=cohort.slices,
    )
    for number in range(counts.get(role, cohort.test)):
        yield from make(first=number)


def _check(cohort: Cohort, folder: Path) -> None:
    there: dict[str, Any] = json.loads((folder / INDEX).read_bytes())
    if there != cohort._asdict():
        raise InputError(f"{folder}: holds another cohort of this seed; choose another OUT")
