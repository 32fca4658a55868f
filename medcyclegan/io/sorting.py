"""The DICOM files of one folder, sorted into series that make one volume each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.files import sha256
from medcyclegan.io import dicom
from medcyclegan.io.series import Slice, check_stack, in_order, same_direction, same_places
from medcyclegan.io.stored import reading

if TYPE_CHECKING:
    from pydicom import Dataset

HEAD_BYTES = 140
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")

Note = Callable[[Path, str], None]


class _Name(NamedTuple):
    uid: str
    number: str


@dataclass
class Series:
    """Parallel slices of one size and one SeriesInstanceUID in one folder.

    Args:
        uid: SeriesInstanceUID, the number where there is none.
        number: SeriesNumber as text, empty where there is none.
        slices: in order along their normal.
        fault: why it cannot be a volume; empty if nothing speaks against it.
    """

    uid: str
    number: str
    slices: list[Slice] = field(default_factory=list)
    fault: str = ""

    def takes(self, uid: str, piece: Slice) -> bool:
        """Return whether a slice belongs here."""
        first = self.slices[0]
        return uid == self.uid and piece.shape == first.shape and same_direction(first, piece)


def sort_series(files: Sequence[Path], skip: Note, refuse: Note) -> list[Series]:
    """Return the CT series among files, most of which may be something else.

    Byte-identical copies of a slice are skipped. A file that cannot be placed condemns its series.

    Args:
        files: of one folder.
        skip: is told each file that does not claim to be a CT slice, and why.
        refuse: is told each file that claims to be one and belongs to no series, and why.

    Returns:
        In order of UID; those with a `fault` are no volumes.
    """
    series: list[Series] = []
    faults: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for path in files:
        name: _Name | None = None
        try:
            with reading(path):
                name, header = _ct_header(path, skip)
                if name is not None and header is not None:
                    _place(dicom.describe(path, header), name, series)
        except MedCycleGANError as error:
            reason = str(error).removeprefix(f"{path}: ")
            if name is None:
                refuse(path, reason)
            else:
                faults[name.uid].append((path, reason))
    series.sort(key=lambda one: (one.uid, one.slices[0].path))
    for one in series:
        one.slices = _without_copies(in_order(one.slices), skip)
        one.fault = _fault(one, faults.get(one.uid, []))
    for uid in set(faults) - {one.uid for one in series}:
        for path, reason in faults[uid]:
            refuse(path, reason)
    return series


def _ct_header(path: Path, skip: Note) -> tuple[_Name | None, Dataset | None]:
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    reason = "" if head else "an empty file"
    header = None
    if head and dicom.looks_like_dicom(head):
        header = dicom.read_header(path)
        reason = dicom.not_ct(header)
    elif head and path.name.lower().endswith(DICOM_SUFFIXES):
        raise VolumeError("is no DICOM file though its name says so; copy it anew")
    elif head:
        reason = "no volume by name or content"
    if reason or header is None:
        skip(path, reason)
        return None, None
    number = dicom.text(header, "SeriesNumber")
    return _Name(dicom.text(header, "SeriesInstanceUID") or number, number), header


def _place(piece: Slice, name: _Name, series: list[Series]) -> None:
    home = next((one for one in series if one.takes(name.uid, piece)), None)
    if home is None:
        home = Series(name.uid, name.number)
        series.append(home)
    home.slices.append(piece)


def _without_copies(slices: list[Slice], skip: Note) -> list[Slice]:
    copies = set()
    for one, other in same_places(slices):
        if sha256(one.path) == sha256(other.path):
            copies.add(other.path)
            skip(other.path, f"an exact copy of {one.path.name}")
    return [piece for piece in slices if piece.path not in copies]


def _fault(series: Series, faults: list[tuple[Path, str]]) -> str:
    if faults:
        path, reason = faults[0]
        return f"{path} {reason}"
    try:
        check_stack(series.slices)
    except MedCycleGANError as error:
        return str(error)
    return ""
