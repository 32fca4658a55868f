"""Patients to evaluate, read from files one at a time: of a written cohort, or a user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from medcyclegan.cases import Case, read_case
from medcyclegan.cohort.layout import INDEX
from medcyclegan.cohort.reading import CohortCase, WrittenCohort, read_cohort
from medcyclegan.cohort.references import tissue_table
from medcyclegan.config.tissues import TissuesConfig
from medcyclegan.errors import InputError
from medcyclegan.evaluate.comparing import CEILING, Say, Subject
from medcyclegan.evaluate.matching import (
    Key,
    find_all,
    key_of,
    match_translated,
    match_twins,
    read_like,
)
from medcyclegan.files import sha256
from medcyclegan.intensity import Window
from medcyclegan.io import file_name
from medcyclegan.metrics.reference import Hu, Reference, Scan, TissueTable, make_scan, slices_like
from medcyclegan.phantom import SETTINGS
from medcyclegan.phantom.ceiling import ceiling_output

TRANSLATED = "translated"
MOST_TARGETS = 32  # they are all held in memory

Listed = TypeVar("Listed")


@dataclass(frozen=True)
class CohortSubjects:
    """Translated patients of a cohort that `medcyclegan phantom` wrote.

    Args:
        cohort: the cohort.
        translated: number of a case -> its translation.
        window: what networks see of the HU scale.
        targets: other patients in the other domain.
    """

    cohort: WrittenCohort
    translated: Mapping[int, Case]
    window: Window
    targets: Sequence[Scan]

    def __iter__(self) -> Iterator[Subject]:
        """Read one patient after the other.

        Raises:
            VolumeError: a file is missing, damaged or on another grid.
        """
        for number, translated in self.translated.items():
            case = self.cohort.cases[number]
            reference = self.cohort.reference(case, self.window, targets=self.targets)
            outputs = {TRANSLATED: partial(_read_translated, translated, case)}
            if self.cohort.setting in SETTINGS:
                outputs[CEILING] = partial(_ceiling, self.cohort, case)
            yield Subject(replace(reference, patient=case.name), outputs)


@dataclass(frozen=True)
class FileSubjects:
    """Translated volumes of a user's own.

    Args:
        sources: what was translated, with label maps or all without.
        translated: number of a source -> its translation.
        twins: number of a source -> the truth; empty where there is none.
        tissues: what is measured.
        window: what networks see of the HU scale.
        targets: other patients in the other domain.
    """

    sources: Sequence[Case]
    translated: Mapping[int, Case]
    twins: Mapping[int, Case]
    tissues: TissueTable
    window: Window
    targets: Sequence[Scan]

    def __iter__(self) -> Iterator[Subject]:
        """Read one patient after the other.

        Raises:
            VolumeError: a file is missing, damaged or on another grid.
        """
        for number, translated in self.translated.items():
            volume, labels = read_case(self.sources[number])
            twin = self.twins.get(number)
            reference = Reference(
                patient=str(self.sources[number].name),
                source=make_scan(volume, labels),
                window=self.window,
                tissues=self.tissues,
                truth=None if twin is None else read_like(twin, volume),
                targets=self.targets,
            )
            yield Subject(reference, {TRANSLATED: partial(read_like, translated, volume)})


def cohort_subjects(
    translated: Path, folder: Path, *, window: Window, targets: Sequence[Scan], say: Say
) -> CohortSubjects:
    """Return the translated patients of a written cohort.

    Raises:
        InputError: the folder is no cohort, or a translated volume is of none of its cases.
    """
    cohort = read_cohort(folder)
    here = PurePosixPath()
    keys = [
        Key(
            here,
            one.name,
            file_name(one.name, one.file_format),
            partial(sha256, *one.image_files()),
        )
        for one in cohort.cases
    ]
    matched = match_translated(translated, keys, say)
    _tell_missing(keys, matched, say)
    return CohortSubjects(cohort, matched, window, targets)


def file_subjects(
    translated: Path,
    sources: Path,
    *,
    twins: Path | None,
    labels: Path | None,
    tissues: TissuesConfig | None,
    window: Window,
    targets: Sequence[Scan],
    say: Say,
) -> FileSubjects:
    """Return the translated volumes of a user's own.

    Raises:
        InputError: a volume or label map is missing, refused, or of unclear belonging.
    """
    found = find_all(sources, labels, say)
    if labels is None:
        found = [case._replace(label=None) for case in found]
    keys = [key_of(case) for case in found]
    matched = match_translated(translated, keys, say)
    _tell_missing(keys, matched, say)
    known = {} if twins is None else match_twins(twins, keys, say)
    for number in matched:
        if twins is not None and number not in known:
            raise InputError(f"{found[number].source.path}: has no twin in {twins}; add it")
    if tissues is not None:
        _check_measured(tissue_table(tissues), [found[number] for number in matched], labels)
    return FileSubjects(
        found,
        matched,
        known,
        TissueTable() if tissues is None else tissue_table(tissues),
        window,
        targets,
    )


def _check_measured(tissues: TissueTable, cases: Sequence[Case], labels: Path | None) -> None:
    """Check that some patient has some of the tissues; label maps are read until one has."""
    named = {**tissues.organs, **tissues.null_tissues} or tissues.lesions
    values = [value for some in named.values() for value in some]
    maps = (read_case(case)[1] for case in cases)
    if not any(found is not None and np.isin(values, found.array).any() for found in maps):
        raise InputError(
            f"{labels}: none of the values in --tissues ({', '.join(map(str, values[:8]))}) is in "
            "any label map; say which values these have"
        )


def read_targets(targets: Path, labels: Path | None, say: Say) -> list[Scan]:
    """Return patients of the target domain, at most 32 of them, evenly chosen.

    Args:
        targets: a cohort that `medcyclegan phantom` wrote, labels included, or volumes.
        labels: their label maps, with the values of the sources'.
        say: told, one line each, what was passed over.

    Raises:
        InputError: no volume is there, or one is refused or has no label map.
    """
    if (targets / INDEX).is_file() and labels is None:
        cohort = read_cohort(targets)
        chosen = _spread(cohort.cases, targets, say)
        return [_cohort_scan(case) for case in chosen]
    cases = _spread(find_all(targets, labels, say), targets, say)
    if labels is None:
        cases = [case._replace(label=None) for case in cases]
    return [make_scan(*read_case(case)) for case in cases]


def _cohort_scan(case: CohortCase) -> Scan:
    return make_scan(case.read_image(), case.read_labels())


def _read_translated(translated: Case, case: CohortCase) -> Hu:
    return read_like(translated, case.read_image())


def _ceiling(cohort: WrittenCohort, case: CohortCase) -> Hu:
    image = case.read_image()
    output = ceiling_output(
        image,
        case.read_labels(),
        case.phase,
        setting=SETTINGS[cohort.setting],
        twin_phase=case.twin_phase,
        labelled_fat=not cohort.plain,
    )
    return slices_like(output, image)


def _tell_missing(keys: Sequence[Key], matched: Mapping[int, Case], say: Say) -> None:
    missing = [key.name for number, key in enumerate(keys) if number not in matched]
    if missing:
        say(f"not translated, and so left out: {len(missing)} of {len(keys)}, {missing[0]} first")


def _spread(listed: Sequence[Listed], targets: Path, say: Say) -> list[Listed]:
    if len(listed) <= MOST_TARGETS:
        return list(listed)
    say(f"{targets}: {MOST_TARGETS} of {len(listed)} volumes are taken, evenly chosen")
    return [listed[number * len(listed) // MOST_TARGETS] for number in range(MOST_TARGETS)]
