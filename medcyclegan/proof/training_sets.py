"""What segmentation networks are trained on: labelled scans on their grid, and variants of them.

A variant is a second image for each labelled patient, under the same labels: sent through a curve,
shifted organ by organ, translated, or the true twin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan import files
from medcyclegan.cases import Case, read_case
from medcyclegan.config.segmentation_networks import PatchNetwork
from medcyclegan.errors import InputError
from medcyclegan.metrics.curves import fit_histogram_matching
from medcyclegan.metrics.reference import make_scan
from medcyclegan.proof.arms import Variant
from medcyclegan.proof.grids import NetworkGrid
from medcyclegan.proof.patients import Patients, read_labelled
from medcyclegan.volume import Labels, Volume

LOWEST_HU, HIGHEST_HU = -1024, 3071
DONE = "done.json"

Array = npt.NDArray[Any]
Change = Callable[[Case, Volume, Labels], Volume]


@dataclass(frozen=True)
class TrainingSet:
    """Labelled patients on a network's grid.

    Args:
        images: HU, int16, (S, H, W) each.
        labels: numbers of organs, uint8, likewise.
        second: the variant of each image; empty where there is none.
        spacing_mm: of each patient's slices, rows and columns, mm.
    """

    images: Sequence[Array]
    labels: Sequence[Array]
    second: Sequence[Array]
    spacing_mm: Sequence[tuple[float, float, float]]


def prepare(
    folder: Path,
    patients: Patients,
    cases: Sequence[Case],
    network: PatchNetwork,
    *,
    change: Change | None = None,
) -> None:
    """Write a set of patients, or a variant of it, as arrays on the network's grid.

    What is there already is kept.

    Args:
        folder: of this set.
        patients: says which organs there are.
        cases: the set, with labels.
        network: says which grid.
        change: makes the variant of a volume; without it labels are written, too.

    Raises:
        VolumeError: a scan cannot be read right.
        MedCycleGANError: the disk is full.
    """
    if (folder / DONE).is_file():
        return
    spacings = []
    for number, case in enumerate(cases):
        volume, labels = read_labelled(case)
        grid = NetworkGrid(volume, network.across_mm, network.spacing_mm)
        changed = volume if change is None else change(case, volume, labels)
        hu = np.rint(grid.image(changed, LOWEST_HU, HIGHEST_HU)).astype(np.int16)
        _save(folder / f"{number:04d}.npy", hu)
        if change is None:
            _save(folder / f"{number:04d}_labels.npy", grid.labels(patients.organ_map(labels)))
        spacings.append(grid.spacing_mm)
    files.write_json(folder / DONE, {"spacing_mm": spacings})


def open_set(folder: Path, name: str, variant: str | None, count: int) -> TrainingSet:
    """Return a prepared set, memory-mapped, with a variant of it."""
    facts = json.loads((folder / name / DONE).read_bytes())
    spacings = [(float(s), float(r), float(c)) for s, r, c in facts["spacing_mm"]]

    def arrays(of: str, suffix: str = "") -> list[Array]:
        paths = (folder / of / f"{number:04d}{suffix}.npy" for number in range(count))
        return [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]

    second = arrays(variant) if variant else []
    return TrainingSet(arrays(name), arrays(name, "_labels"), second, spacings)


def make_change(variant: Variant, patients: Patients) -> Change:
    """Return how a variant that needs no translating network is made of a volume.

    Raises:
        InputError: the domains share no organ, or a twin is missing.
        VolumeError: a scan cannot be read right.
    """
    if variant == "twin":
        return lambda case, volume, labels: patients.twin_of(case)
    if variant == "histogram_matching":
        sources, targets = (
            (make_scan(read_case(case)[0]) for case in patients.sets[name])
            for name in ("labelled", "unpaired")
        )
        curve = fit_histogram_matching(sources, targets)
        return lambda case, volume, labels: curve(volume)
    shifts = _organ_means(patients, "unpaired") - _organ_means(patients, "labelled")
    if not np.isfinite(shifts).any():
        raise InputError("label_shift: labelled and unpaired scans share no organ")
    return lambda case, volume, labels: _shifted(volume, patients.organ_map(labels), shifts)


def _organ_means(patients: Patients, name: str) -> npt.NDArray[np.float64]:
    """Return the mean HU of each organ over all voxels of a set of patients; NaN where none."""
    count = len(patients.organs) + 1
    sums, voxels = np.zeros(count), np.zeros(count)
    for case in patients.sets[name]:
        volume, labels = read_labelled(case)
        organs = patients.organ_map(labels).ravel()
        sums += np.bincount(organs, volume.array.ravel().astype(np.float64), minlength=count)
        voxels += np.bincount(organs, minlength=count)
    return np.divide(sums, voxels, out=np.full(count, np.nan), where=voxels > 0)


def _shifted(volume: Volume, organs: Array, shifts: npt.NDArray[np.float64]) -> Volume:
    """Return a volume with each organ shifted by its own HU; where a shift is NaN, by none."""
    by_value = np.nan_to_num(shifts)
    by_value[0] = 0.0
    hu = volume.array + by_value[organs]
    return Volume(hu.astype(np.float32), volume.affine, volume.provenance)


def _save(path: Path, array: Array) -> None:
    with files.atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
