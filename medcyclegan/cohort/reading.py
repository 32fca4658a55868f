"""A written cohort, read back: what is known of each case at once, its volumes when asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from medcyclegan.cohort.layout import INDEX, LABEL_MAPS, SECOND, TARGET, TWINS, VERSION, image_path
from medcyclegan.errors import GeometryError, InputError, VolumeError
from medcyclegan.files import NOT_OURS
from medcyclegan.intensity import Window
from medcyclegan.io import file_name, find_volumes, read_labels, read_volume
from medcyclegan.metrics.reference import Reference, Scan, TissueTable, make_scan, slices_like
from medcyclegan.phantom import LABELS, SETTINGS, Phase
from medcyclegan.volume import SAME_GRID_VOXELS, Labels, Volume, grid_distance_voxels

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ -]{0,63}")  # of a tissue
MOST_VALUE = 2**31 - 1  # of a label


@dataclass(frozen=True)
class CohortCase:
    """One case of a written cohort; its volumes are read anew whenever they are asked for.

    Args:
        folder: of the cohort.
        file_format: of its images, a key of `io.WRITERS`.
        name: of its files.
        patient: his key.
        phase: of the image.
        twin_phase: of the twin.
        dose: iodine per body size, 1 is usual.
        scanner: that made the image and the twin; None of a real scan.
        target_scanner: that made the target twin; None where there is none.
        findings: what not every patient has, each with `name`, `organ`, `centre_mm` (RAS+) and
            `diameter_mm`.
    """

    folder: Path
    file_format: str
    name: str
    patient: str
    phase: Phase
    twin_phase: Phase
    dose: float
    scanner: str | None
    target_scanner: str | None
    findings: tuple[Mapping[str, Any], ...]

    @property
    def labels_path(self) -> Path:
        """Where the label map lies."""
        return self._beside(LABEL_MAPS)

    def read_image(self) -> Volume:
        """Return the acquisition.

        Raises:
            VolumeError: it is missing or damaged, as of every other volume here.
        """
        return read_volume(image_path(self.folder, self.name, self.file_format))

    def image_files(self) -> tuple[Path, ...]:
        """Return the files of the acquisition, in the order of its slices.

        Raises:
            InputError: it is missing.
        """
        return find_volumes(image_path(self.folder, self.name, self.file_format)).sources[0].files

    def read_labels(self) -> Labels:
        """Return which tissue each voxel of the image is."""
        return read_labels(self.labels_path)

    def read_twin(self) -> Volume:
        """Return the truth: the patient in the other phase, same scanner."""
        return read_volume(self._beside(TWINS))

    def read_second(self) -> Volume | None:
        """Return an acquisition of the truth with noise of its own; None of a real scan."""
        return None if self.scanner is None else read_volume(self._beside(SECOND))

    def read_target(self) -> Volume | None:
        """Return the patient in the other phase on the target scanner; None of a real scan."""
        return None if self.target_scanner is None else read_volume(self._beside(TARGET))

    def _beside(self, part: str) -> Path:
        return self.folder / part / file_name(self.name, "nifti")


@dataclass(frozen=True)
class WrittenCohort:
    """A folder that `medcyclegan phantom` made.

    Args:
        folder: as the user typed it.
        domain: of its images.
        setting: of the phantom, or "semi-real".
        plain: whether its patients have no findings and fatty livers are labelled as any other.
        tissues: what is measured, by the values of its labels.
        labels: the value of each tissue's label.
        cases: in order.
    """

    folder: Path
    domain: str
    setting: str
    plain: bool
    tissues: TissueTable
    labels: Mapping[str, int]
    cases: tuple[CohortCase, ...]

    def reference(
        self, case: CohortCase, window: Window, *, targets: Sequence[Scan] = ()
    ) -> Reference:
        """Return a case, its volumes read, as what a translation of its image is held against.

        Args:
            case: one of `cases`.
            window: what networks see of the HU scale.
            targets: acquisitions of other patients in the other domain.

        Raises:
            VolumeError: a file is missing or damaged.
            GeometryError: its files lie on several grids.
        """
        image, labels = case.read_image(), self._labels_of(case)
        twin, second = case.read_twin(), case.read_second()
        for other in (labels, twin, twin if second is None else second):
            _check_same_grid(case, image, other)
        return Reference(
            patient=case.patient,
            source=make_scan(image, labels),
            window=window,
            tissues=self.tissues,
            truth=slices_like(twin, image),
            second=None if second is None else slices_like(second, image),
            dose=case.dose,
            targets=targets,
        )

    def _labels_of(self, case: CohortCase) -> Labels:
        labels = case.read_labels()
        unknown = set(np.unique(labels.array).tolist()) - set(self.labels.values())
        if self.labels and unknown:
            raise VolumeError(
                f"{case.labels_path}: holds the value {min(unknown):g}, which is no tissue's; make "
                "the cohort anew"
            )
        return labels


def read_cohort(folder: Path) -> WrittenCohort:
    """Return the cohort in a folder; no volume is read yet.

    Raises:
        InputError: the folder holds no cohort of ours, or one of another version.
    """
    path = folder / INDEX
    if not path.is_file():
        raise InputError(
            f"{folder}: holds no {INDEX}; give a folder that medcyclegan phantom finished"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data["version"]
        if version == VERSION:
            return _cohort(folder, data)
    except NOT_OURS as error:
        raise InputError(f"{path}: cannot be read as ours; make the cohort anew") from error
    raise InputError(f"{path}: is of version {version}, not {VERSION}; make the cohort anew")


def _cohort(folder: Path, data: Mapping[str, Any]) -> WrittenCohort:
    tissues, setting = data["tissues"], str(data["setting"])
    labels = {str(name): _value(value) for name, value in data["labels"].items()}
    if setting in SETTINGS and labels != LABELS:
        raise ValueError("labels of another phantom than ours")
    return WrittenCohort(
        folder=folder,
        domain=str(data["domain"]),
        setting=setting,
        plain=bool(data["command"].get("plain", False)),
        tissues=TissueTable(
            organs=_values(tissues["organs"]),
            null_tissues=_values(tissues["null_tissues"]),
            lesions=_values(tissues["lesions"]),
            aside=frozenset(map(_name, tissues["aside"])),
        ),
        labels=labels,
        cases=tuple(_case(folder, str(data["format"]), case) for case in data["cases"]),
    )


def _values(tissues: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {_name(name): tuple(map(_value, values)) for name, values in tissues.items()}


def _name(name: Any) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("a name that no tissue has")
    return str(name)


def _value(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= MOST_VALUE:
        raise ValueError("a value that no label has")
    return value


def _phase(phase: Any) -> Phase:
    if phase not in get_args(Phase):
        raise ValueError("a phase that is none of the phantom's")
    return cast(Phase, phase)


def _case(folder: Path, file_format: str, data: Mapping[str, Any]) -> CohortCase:
    name, dose = str(data["name"]), float(data["dose"])
    if Path(name).name != name or name in ("", "..") or min(name) < " ":
        raise ValueError("a name that leads out of the folder, or that none of our files has")
    if not math.isfinite(dose):
        raise ValueError("a dose that is no number")
    file_name(name, file_format)  # a format that is none of ours is a KeyError
    return CohortCase(
        folder=folder,
        file_format=file_format,
        name=name,
        patient=str(data["patient"]),
        phase=_phase(data["phase"]),
        twin_phase=_phase(data["twin_phase"]),
        dose=dose,
        scanner=data["scanner"],
        target_scanner=data["target_scanner"],
        findings=tuple(data["findings"]),
    )


def _check_same_grid(case: CohortCase, image: Volume, other: Volume | Labels) -> None:
    shape = image.array.shape
    if (
        other.array.shape != shape
        or grid_distance_voxels(image.affine, other.affine, shape) > SAME_GRID_VOXELS
    ):
        raise GeometryError(
            f"{image_path(case.folder, case.name, case.file_format)}: its labels or twins lie on "
            "another grid; make the cohort anew"
        )
