"""The DICOM files of a search, sorted into series that make one volume each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medcyclegan.errors import GeometryError, MedCycleGANError
from medcyclegan.io.dicom.copies import without_copies
from medcyclegan.io.dicom.header import Header, describe
from medcyclegan.io.dicom.phases import apart
from medcyclegan.io.dicom.series import Slice, check_stack, in_order, same_direction
from medcyclegan.io.dicom.survey import ReadHeader
from medcyclegan.io.stored import ReadOptions, reading

FEWEST_TO_JOIN = 3  # two slices are an even stack wherever they lie

Note = Callable[[Path, str], None]


@dataclass(frozen=True)
class Series:
    """Parallel slices of one size, patient and SeriesInstanceUID that make one volume.

    Args:
        home: the folder that holds all its files, some perhaps in folders below.
        uid: SeriesInstanceUID; empty where there is none.
        number: SeriesNumber as text, empty where there is none.
        slices: in order along their normal.
        fault: why it cannot be a volume; empty if nothing speaks against it.
    """

    home: Path
    uid: str
    number: str
    slices: tuple[Slice, ...]
    fault: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, in the order of their first slices."""
        return tuple(dict.fromkeys(piece.path for piece in self.slices))


@dataclass
class _Group:
    """What one folder holds of one series and patient."""

    uid: str
    number: str
    stacks: list[list[Slice]] = field(default_factory=list)
    faults: list[tuple[Path, str]] = field(default_factory=list)

    def take(self, piece: Slice) -> None:
        """Lay a slice on the stack of its size and direction."""
        for stack in self.stacks:
            if stack[0].shape == piece.shape and same_direction(stack[0], piece):
                stack.append(piece)
                return
        self.stacks.append([piece])

    def refusal(self) -> tuple[Path, str]:
        """Return what to refuse where no file can be placed: the file, or their folder."""
        path, reason = self.faults[0]
        others = len(self.faults) - 1
        if not others:
            return path, reason
        return path.parent, f"{path.name} {reason} (and so with {others} more of its files)"

    def stray(self, stack: Sequence[Slice]) -> str:
        """Return why a slice by itself is none of the series' stack; empty if nothing is stray."""
        most = max(map(len, self.stacks))
        if len(stack) > 1 or most < FEWEST_TO_JOIN or not self.uid:
            return ""
        return f"has another size or direction than {most} other slices of its series; leave it out"


def sort_series(
    read: Iterable[ReadHeader], skip: Note, refuse: Note, options: ReadOptions = ReadOptions()
) -> list[Series]:
    """Return the CT series among files, most of which may be something else.

    Slices of one series are parallel, of one size, and lie in one folder; or in several where
    they complete one another to one even stack. Exact copies of a slice are skipped. Phases that
    share a SeriesInstanceUID are told apart where each is a whole stack of its own (see
    `phases.apart`). A file that cannot be placed condemns its series in its folder, and a slice of
    another size or direction than the stack of its series is no volume of its own.

    Args:
        read: what came of each file's header.
        skip: is told each file that does not claim to be a CT slice, and why.
        refuse: is told each file that claims to be one and belongs to no series, and why.
        options: with `resample_tilt`, leaning stacks are volumes.

    Returns:
        In order of UID and place; those with a `fault` are no volumes.
    """
    headers: dict[Path, Header] = {}
    groups: dict[tuple[str, ...], _Group] = {}
    for one in read:
        if one.skipped:
            skip(one.path, one.skipped)
        elif one.header is None:
            refuse(one.path, one.refused)
        else:
            headers[one.path] = one.header
    headers = _with_patients(headers)
    for path, header in headers.items():
        _place(path, header, groups)
    series = []
    for group in groups.values():
        if not group.stacks:
            refuse(*group.refusal())
        series += [_series(group, stack, headers, skip) for stack in group.stacks]
    whole = _joined(series, headers, options)
    phases = [phase for one in whole for phase in _phases(one, headers, options)]
    judged = [_judged(one, options) for one in phases]
    return sorted(judged, key=lambda one: (one.uid or one.number, one.files[0].parent))


def _with_patients(headers: Mapping[Path, Header]) -> dict[Path, Header]:
    """Return headers, those without a PatientID with that of their series where it has just one."""
    named: dict[str, set[str]] = defaultdict(set)
    for header in headers.values():
        named[header.series_uid] |= {header.patient} - {""}
    return {
        path: replace(header, patient=min(named[header.series_uid]))
        if header.series_uid and not header.patient and len(named[header.series_uid]) == 1
        else header
        for path, header in headers.items()
    }


def _place(path: Path, header: Header, groups: dict[tuple[str, ...], _Group]) -> None:
    """Put a file's slices into the group of its folder, series and patient."""
    key = str(path.parent), header.series_uid or header.series_number, header.patient
    group = groups.setdefault(key, _Group(header.series_uid, header.series_number))
    try:
        with reading(path):
            pieces = describe(path, header)
    except MedCycleGANError as error:
        group.faults.append((path, str(error).removeprefix(f"{path}: ")))
        return
    for piece in pieces:
        group.take(piece)


def _series(
    group: _Group, stack: Sequence[Slice], headers: Mapping[Path, Header], skip: Note
) -> Series:
    slices, fault = tuple(in_order(stack)), group.stray(stack)
    if group.faults and not fault:
        path, reason = group.faults[0]
        fault = f"{path} {reason}"
    try:
        slices = without_copies(slices, headers, skip)
    except MedCycleGANError as error:
        fault = fault or str(error)
    return Series(slices[0].path.parent, group.uid, group.number, slices, fault)


def _joined(
    series: Sequence[Series], headers: Mapping[Path, Header], options: ReadOptions
) -> list[Series]:
    """Return series, those of several folders as one where they make one even stack together."""
    kin: dict[tuple[Any, ...], list[list[Series]]] = defaultdict(list)
    for one in series:
        first = one.slices[0]
        alike = kin[one.uid, headers[first.path].patient, first.shape]
        for parts in alike:
            if same_direction(parts[0].slices[0], first):
                parts.append(one)
                break
        else:
            alike.append([one])
    return [one for alike in kin.values() for parts in alike for one in _union(parts, options)]


def _union(parts: list[Series], options: ReadOptions) -> list[Series]:
    slices = in_order([piece for part in parts for piece in part.slices])
    faulty = any(part.fault for part in parts) or not parts[0].uid
    if len(parts) < 2 or len(slices) < FEWEST_TO_JOIN or faulty:
        return parts
    try:
        check_stack(slices, tilt_allowed=options.resample_tilt)
    except GeometryError:
        return parts
    home = Path(os.path.commonpath([part.home for part in parts]))
    return [replace(parts[0], home=home, slices=tuple(slices))]


def _phases(one: Series, headers: Mapping[Path, Header], options: ReadOptions) -> list[Series]:
    if one.fault:
        return [one]
    phases = apart(one.slices, headers, tilt_allowed=options.resample_tilt)
    return [replace(one, slices=phase) for phase in phases]


def _judged(one: Series, options: ReadOptions) -> Series:
    if one.fault:
        return one
    try:
        check_stack(one.slices, tilt_allowed=options.resample_tilt)
    except GeometryError as error:
        return replace(one, fault=str(error))
    return one
