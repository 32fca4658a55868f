"""Cohorts as folders: phantom patients made to order, and real scans given contrast medium.

A folder is whole or not there: all is written to a temporary folder inside OUT and takes its place
at the end, `cohort.json` last. What an interrupted run left is removed by the next, which begins
anew; equal arguments give equal bytes. A folder that holds anything else is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt

from medcyclegan.cohort.folder import new_folder, write_index, write_volumes
from medcyclegan.cohort.layout import SECOND, TARGET, TWINS
from medcyclegan.cohort.references import found_tissues, phantom_tissues, tissue_table
from medcyclegan.config.tissues import TissuesConfig
from medcyclegan.errors import InputError
from medcyclegan.io.dicom.writing import axial_slices
from medcyclegan.phantom import DIFFERING, LABELS, PLAIN, Domain, PhantomCase, Phase, make_patients
from medcyclegan.phantom.cohort import Role
from medcyclegan.phantom.semireal import enhance
from medcyclegan.phantom.totalsegmentator import TOTALSEGMENTATOR
from medcyclegan.volume import Affine, Labels, Volume

SEMI_REAL = "semi-real"


def write_cohort(
    out: Path,
    patients: int,
    *,
    domain: Domain = "contrast",
    file_format: str = "nifti",
    seed: int = 0,
    setting: str = "abdomen",
    role: Role = "train",
    plain: bool = False,
    size: int = 128,
    slices: int = 32,
) -> None:
    """Make phantom patients of one domain and write them with their labels and twins.

    Args:
        out: folder to write to: new or empty.
        patients: how many; the first ones of a larger cohort are those of a smaller one.
        domain: "contrast" or "noncontrast".
        file_format: of the images, a key of `io.WRITERS`; all else is NIfTI.
        seed: of the cohort.
        setting: a key of `phantom.SETTINGS`.
        role: patients of one role are never those of the other.
        plain: patients who differ between the domains in contrast medium alone, without findings.
        size: rows and columns.
        slices: in each volume.

    Raises:
        InputError: `out` holds something, or is a file.
        MedCycleGANError: the disk is full or not ours; `out` is as it was.
    """
    command = {
        "patients": patients,
        "seed": seed,
        "role": role,
        "plain": plain,
        "size": size,
        "slices": slices,
    }
    with new_folder(out) as folder:
        entries = []
        for number in _counted(patients):
            (case,) = make_patients(
                domain,
                1,
                first=number,
                seed=seed,
                role=role,
                populations=PLAIN if plain else DIFFERING,
                setting=setting,
                size=size,
                slices=slices,
            )
            entries.append(_write_patient(folder, f"{domain}-{number:04d}", file_format, case))
        write_index(
            folder,
            entries,
            command=command,
            domain=domain,
            setting=setting,
            file_format=file_format,
            tissues=phantom_tissues(),
            labels=LABELS,
        )


def write_semireal(
    out: Path,
    scan: Volume,
    labels: Labels,
    *,
    name: str,
    tissues: TissuesConfig | None = None,
    phase: Phase = "venous",
    dose: float | None = None,
    seed: int = 0,
    file_format: str = "nifti",
) -> None:
    """Put contrast medium into a real scan and write it beside its exact twin, the scan itself.

    Args:
        out: folder to write to: new or empty.
        scan: CT without contrast medium.
        labels: on its grid.
        name: of the files.
        tissues: what the label values mean, by the phantom's names of tissues, and which are
            measured; by default the numbers of TotalSegmentator.
        phase: any but "noncontrast".
        dose: iodine per body size, 1 is usual; by default drawn from the seed.
        seed: which dose, responses and unevenness.
        file_format: of the image, a key of `io.WRITERS`; all else is NIfTI.

    Raises:
        InputError: `out` holds something or is a file, labels or tissues that do not fit the scan,
            or a dose that cannot be.
        GeometryError: a grid that the format cannot say.
        MedCycleGANError: the disk is full or not ours; `out` is as it was.
    """
    names = TOTALSEGMENTATOR if tissues is None else _names(tissues)
    try:
        case = enhance(scan, labels, names, phase=phase, seed=seed, dose=dose)
        image, twin = case.image, case.twin
        if file_format == "dicom":
            image, twin = (_in_display_order(volume) for volume in (image, twin))
            labels = Labels(*_reordered(labels))
    except InputError as error:
        raise type(error)(f"{scan.provenance.path}: {error}") from error
    facts = {
        "name": name,
        "patient": scan.provenance.patient,
        "phase": case.phase,
        "twin_phase": "noncontrast",
        "dose": case.dose,
        "scanner": None,
        "target_scanner": None,
        "findings": [],
    }
    with new_folder(out) as folder:
        write_volumes(folder, name, file_format, image=image, labels=labels, twins={TWINS: twin})
        write_index(
            folder,
            [facts],
            command={"seed": seed},
            domain="contrast",
            setting=SEMI_REAL,
            file_format=file_format,
            tissues=found_tissues(case.tissues) if tissues is None else tissue_table(tissues),
            labels={},
        )


def _names(tissues: TissuesConfig) -> dict[str, tuple[int, ...]]:
    table = tissue_table(tissues)
    return {**table.organs, **table.null_tissues, **table.lesions}


def _counted(patients: int) -> Iterable[int]:
    """Return the patients' numbers; on a terminal a bar shows how far it is."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        range(patients),
        "patients",
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def _write_patient(folder: Path, name: str, file_format: str, case: PhantomCase) -> dict[str, Any]:
    """Write one patient's volumes and return what the index says of him."""
    twins = {TWINS: case.clean_twin, SECOND: case.second_twin, TARGET: case.target_twin}
    write_volumes(folder, name, file_format, image=case.image, labels=case.labels, twins=twins)
    return {
        "name": name,
        "patient": case.patient,
        "phase": case.phase,
        "twin_phase": case.twin_phase,
        "dose": case.dose,
        "scanner": case.scanner,
        "target_scanner": case.target_scanner,
        "findings": [asdict(finding) for finding in case.findings],
    }


def _in_display_order(volume: Volume) -> Volume:
    return Volume(*_reordered(volume), volume.provenance)


def _reordered(volume: Volume | Labels) -> tuple[npt.NDArray[Any], Affine]:
    """Return voxels and grid in the order in which a DICOM series is read back."""
    slices = axial_slices(volume.array, volume.affine)
    return slices.hu.transpose(2, 1, 0), slices.affine
