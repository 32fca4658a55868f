"""Instances that lie in a series twice: copies are passed over, contradictions refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.files import sha256
from medcyclegan.io.dicom.header import Header
from medcyclegan.io.dicom.reading import read
from medcyclegan.io.dicom.series import Slice, by_place
from medcyclegan.io.stored import reading


def without_copies(
    slices: Sequence[Slice], headers: Mapping[Path, Header], skip: Callable[[Path, str], None]
) -> tuple[Slice, ...]:
    """Return ordered slices, of several copies of one only the first.

    A copy has the same bytes, or the same SOPInstanceUID (PS3.3, C.12.1.1.1: it names one
    instance) and place, and the same pixels in HU.

    Args:
        slices: of one folder, as `in_order` returns them.
        headers: of their files.
        skip: is told each copy, and of which file it is one.

    Raises:
        VolumeError: one SOPInstanceUID for different images.
    """
    copies: set[Path] = set()
    for twins in by_place(slices):
        files = list(dict.fromkeys(piece.path for piece in twins))
        digests = {path: _digest(path) for path in files} if len(files) > 1 else {}
        first: dict[str, Path] = {}
        for path in (path for path in files if path in digests):
            if path in copies:
                continue
            original = first.setdefault(digests[path], path)
            if original != path:
                copies.add(path)
                skip(path, f"an exact copy of {original.name}")
    left = [piece for piece in slices if piece.path not in copies]
    for path, original in _same_instance(left, headers):
        copies.add(path)
        skip(path, f"the same instance as {original.name}, with the same pixels")
    return tuple(piece for piece in left if piece.path not in copies)


def _digest(path: Path) -> str:
    with reading(path):
        return sha256(path)


def _same_instance(
    slices: Sequence[Slice], headers: Mapping[Path, Header]
) -> list[tuple[Path, Path]]:
    """Return files that repeat the SOPInstanceUID and image of another, each with that other."""
    named: dict[str, dict[Path, Slice]] = defaultdict(dict)
    for piece in slices:
        if headers[piece.path].instance_uid:
            named[headers[piece.path].instance_uid].setdefault(piece.path, piece)
    repeated = []
    for pieces in named.values():
        original, *others = pieces
        for other in others:
            if not _same_image(original, other):
                raise VolumeError(
                    f"holds two different images under one SOPInstanceUID, {original.name} and "
                    f"{other.name}: one is a changed copy; keep the right one"
                )
            repeated.append((other, original))
    return repeated


def _same_image(one: Path, other: Path) -> bool:
    try:
        first, second = read((one,)), read((other,))
    except MedCycleGANError:
        return False
    return np.array_equal(first.array, second.array) and np.allclose(
        first.affine, second.affine, rtol=0, atol=1e-3
    )
