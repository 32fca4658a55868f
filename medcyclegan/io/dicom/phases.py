"""Several phases under one SeriesInstanceUID: told apart by what their headers say of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medcyclegan.errors import GeometryError
from medcyclegan.io.dicom.header import Header
from medcyclegan.io.dicom.series import SAME_PLACE_MM, Slice, check_stack

FEWEST_SLICES = 3

Stack = tuple[Slice, ...]

CLUES: tuple[Callable[[Header], str], ...] = (
    lambda header: header.acquisition_number,
    lambda header: header.temporal_position,
    lambda header: header.acquired,
)


def apart(
    slices: Stack, headers: Mapping[Path, Header], *, tilt_allowed: bool = False
) -> list[Stack]:
    """Return the phases among ordered slices, earliest first.

    They are told apart by AcquisitionNumber, else by TemporalPositionIdentifier, else by
    AcquisitionDateTime, else, multi-frame, by file: the first of these by which every phase is an
    even stack of at least three slices and all lie beside one another, not one above the other.

    Args:
        slices: of one series, as `series.in_order` returns them.
        headers: of their files.
        tilt_allowed: phases may lean.

    Returns:
        The slices themselves, alone, where nothing tells phases apart.
    """
    names = [[clue(headers[piece.path]) for piece in slices] for clue in CLUES]
    if all(piece.frame for piece in slices):
        names.append([str(piece.path) for piece in slices])
    for each in names:
        phases = _grouped(slices, each)
        if _are_phases(phases, tilt_allowed):
            return phases
    return [slices]


def _grouped(slices: Sequence[Slice], names: Sequence[str]) -> list[Stack]:
    groups: dict[str, list[Slice]] = defaultdict(list)
    for piece, name in zip(slices, names, strict=True):
        groups[name].append(piece)
    in_time = sorted(groups, key=lambda text: (len(text.split(".")[0]), text))
    return [tuple(groups[text]) for text in in_time]


def _are_phases(phases: Sequence[Stack], tilt_allowed: bool) -> bool:
    if len(phases) < 2 or min(len(phase) for phase in phases) < FEWEST_SLICES:
        return False
    normal = phases[0][0].normal
    lows = [float(phase[0].position @ normal) for phase in phases]
    highs = [float(phase[-1].position @ normal) for phase in phases]
    if max(lows) > min(highs) - SAME_PLACE_MM:
        return False
    try:
        for phase in phases:
            check_stack(phase, tilt_allowed=tilt_allowed)
    except GeometryError:
        return False
    return True
