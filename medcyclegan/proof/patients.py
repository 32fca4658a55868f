"""The patients of the protocol, as files: those of the user, or phantoms written first."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from medcyclegan import files
from medcyclegan.cases import Case, find_cases, read_case
from medcyclegan.config.segmentation import (
    DataConfig,
    FilesData,
    LabelledFolder,
    PhantomData,
    UnpairedFolder,
)
from medcyclegan.errors import GeometryError, InputError
from medcyclegan.io import read_volume, write_labels, write_volume
from medcyclegan.phantom import (
    DIFFERING,
    SEGMENTED,
    Domain,
    PhantomCase,
    label_values,
    make_patients,
)
from medcyclegan.volume import Labels, Volume

SETS = ("labelled", "unpaired", "validation", "validation_out", "test_in", "test_out")
DONE = "cohort.json"

Role = Literal["train", "test"]
Organs = Mapping[str, tuple[int, ...]]
LabelMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Patients:
    """All patients of a protocol.

    Args:
        sets: cases with their label maps, by the names in `SETS`; none is in two of them.
        twins: folder of true twins of the labelled patients; None where there are none.
        organs: what to segment: its label values in the files.
    """

    sets: Mapping[str, Sequence[Case]]
    twins: Path | None
    organs: Organs

    def twin_of(self, case: Case) -> Volume:
        """Return a labelled patient's true twin.

        Raises:
            InputError: there is none of that name, or several.
            GeometryError: it is on another grid.
        """
        assert self.twins is not None
        found = [path for path in self.twins.rglob("*") if path.name == case.source.path.name]
        if len(found) != 1:
            raise InputError(
                f"{case.source.path}: {len(found)} twins of that name in {self.twins}; give one"
            )
        twin, volume = read_volume(found[0]), read_case(case)[0]
        if twin.array.shape != volume.array.shape:
            raise GeometryError(
                f"{found[0]}: has {twin.array.shape} voxels, its patient {volume.array.shape}; "
                "resample the twin"
            )
        return twin

    def organ_map(self, labels: Labels) -> LabelMap:
        """Return the label map of the organs to segment, 1 to their number, 0 elsewhere."""
        made = np.zeros(labels.array.shape, np.uint8)
        for number, values in enumerate(self.organs.values(), start=1):
            made[np.isin(labels.array, values)] = number
        return made


def read_labelled(case: Case) -> tuple[Volume, Labels]:
    """Return a patient's volume and label map.

    Raises:
        VolumeError: one of them cannot be read right.
        InputError: he has no label map.
    """
    volume, labels = read_case(case)
    if labels is None:
        raise InputError(f"{case.source.path}: has no label map; give one, or leave it out")
    return volume, labels


def open_patients(data: DataConfig, folder: Path, workers: int) -> Patients:
    """Return the patients of a protocol; phantoms are written to `folder` unless they are there.

    Raises:
        InputError: a folder holds no volume, one without labels, or the same volume as another.
        MedCycleGANError: the disk is full.
    """
    if isinstance(data, PhantomData):
        if not (folder / DONE).is_file():
            _write_phantoms(data, folder, workers)
        organs = {
            name: tuple(value for part in parts for value in label_values(part))
            for name, parts in SEGMENTED.items()
        }
        paths: dict[str, LabelledFolder | UnpairedFolder] = {
            name: LabelledFolder(images=str(folder / name), labels=str(folder / f"{name}_labels"))
            for name in SETS
        }
        return Patients(_find(paths), folder / "labelled_twins", organs)
    assert isinstance(data, FilesData)
    paths = {name: value for name in SETS if (value := getattr(data, name)) is not None}
    twins = None if data.twins is None else Path(data.twins)
    organs = {name: tuple(values) for name, values in data.organs.items()}
    return Patients(_find(paths), twins, organs)


def _find(paths: Mapping[str, LabelledFolder | UnpairedFolder]) -> dict[str, list[Case]]:
    sets: dict[str, list[Case]] = {name: [] for name in SETS}
    owner: dict[Path, str] = {}
    for name, path in paths.items():
        found = find_cases(Path(path.images), None if path.labels is None else Path(path.labels))
        for _, reason in found.refused:
            raise InputError(reason)
        if path.labels is not None and (bare := [c for c in found.cases if c.label is None]):
            raise InputError(f"{bare[0].source.path}: has no label map in {path.labels}; give one")
        for case in found.cases:
            for file in case.source.files:
                other = owner.setdefault(file.resolve(), name)
                if other != name:
                    raise InputError(
                        f"{case.source.path}: is in data.{other} and in data.{name}; a patient "
                        "belongs to one"
                    )
        sets[name] = found.cases
    return sets


def _write_phantoms(data: PhantomData, folder: Path, workers: int) -> None:
    """Write all phantom patients, with their labels, and the twins of those that train.

    Validation patients follow those that train in the same population.
    """
    if folder.exists():
        shutil.rmtree(folder)
    held = data.validation
    populations = dict(DIFFERING)
    if data.phases:
        populations["contrast"] = replace(DIFFERING["contrast"], phases=data.phases)
    wanted: dict[str, tuple[Domain, Role, int, int]] = {
        "labelled": ("contrast", "train", 0, data.labelled),
        "validation": ("contrast", "train", data.labelled, held),
        "unpaired": ("noncontrast", "train", 0, data.unpaired),
        "validation_out": ("noncontrast", "train", data.unpaired, held),
        "test_in": ("contrast", "test", 0, data.test_in),
        "test_out": ("noncontrast", "test", 0, data.test_out),
    }
    for name, (domain, role, first, count) in wanted.items():
        cases = make_patients(
            domain,
            count,
            first=first,
            seed=data.seed,
            role=role,
            populations=populations,
            size=data.size,
            slices=data.slices,
            workers=workers,
        )
        for number, case in enumerate(cases):
            _write_phantom(case, folder, name, f"{name}-{number:03d}.nii.gz")
    files.write_json(folder / DONE, data.model_dump(mode="json"))


def _write_phantom(case: PhantomCase, folder: Path, name: str, file: str) -> None:
    write_volume(case.image, folder / name / file)
    write_labels(case.labels, folder / f"{name}_labels" / file, like=case.image)
    if name == "labelled":
        write_volume(case.second_twin, folder / "labelled_twins" / file)
