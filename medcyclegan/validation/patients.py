"""Which held-out patients and which of their slices a validation looks at, kept small in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.body import SKIN_HU
from medcyclegan.data.transforms import read
from medcyclegan.io.source import Source
from medcyclegan.metrics.reference import Hu, Scan
from medcyclegan.metrics.texture import spread
from medcyclegan.slices import (
    from_slices,
    resample_slices,
    resampled_size,
    slice_frame,
    to_slices,
)
from medcyclegan.volume import Volume

MOST_PATIENTS = 8
MOST_TARGETS = 16  # as many as PATCH_DISTANCE looks at
MOST_SLICES = 24  # as many as PATCH_DISTANCE looks at
STEP = 4  # of rows and columns, where all that is asked is whether a slice shows anything


class Acquisition(NamedTuple):
    """A volume and whose it is.

    Args:
        patient: his key, as patients are split by.
        volume: in memory, or where it can be read from.
    """

    patient: str
    volume: Source | Volume


@dataclass(frozen=True)
class Excerpt:
    """Some slices of a patient, evenly spread.

    Args:
        volume: these slices, and those beside them that stacks need, as if they lay beside one
            another: HU, (I, J, K) in the volume's own order.
        middles: which of them are looked at, (S,).
    """

    volume: Volume
    middles: npt.NDArray[np.int64]

    def scan(self) -> Scan:
        """Return what is looked at as a scan."""
        frame = slice_frame(self.volume.array.shape, self.volume.affine)
        return Scan(self.seen(self.volume), frame.spacing_mm)

    def seen(self, volume: Volume) -> Hu:
        """Return what is looked at of a volume on the same grid, HU, (S, H, W)."""
        frame = slice_frame(self.volume.array.shape, self.volume.affine)
        slices = to_slices(volume.array, frame)[self.middles]
        return np.ascontiguousarray(slices, dtype=np.float32)


def one_of_each(acquisitions: Sequence[Acquisition], most: int) -> list[Acquisition]:
    """Return the first volume of each of at most `most` patients, evenly spread over the list."""
    first: dict[str, Acquisition] = {}
    for acquisition in acquisitions:
        first.setdefault(acquisition.patient, acquisition)
    patients = list(first.values())
    return [patients[number] for number in spread(len(patients), most)] if patients else []


def read_excerpts(
    acquisitions: Sequence[Acquisition], *, neighbors: int, most: int = MOST_SLICES
) -> Iterator[Excerpt]:
    """Read one volume after the other, and yield of each the slices that are looked at.

    Raises:
        VolumeError: a volume cannot be read any more.
    """
    for acquisition in acquisitions:
        yield cut_excerpt(read(acquisition.volume), neighbors=neighbors, most=most)


def cut_excerpt(volume: Volume, *, neighbors: int, most: int = MOST_SLICES) -> Excerpt:
    """Return at most `most` slices, evenly spread from the first that shows a body to the last.

    The excerpt's affine is the volume's: in plane all is as it was, and that slices are farther
    apart is of no account.

    Args:
        volume: HU, (I, J, K).
        neighbors: slices in a stack, odd: as many as a stack holds are kept around each.
        most: slices looked at.
    """
    frame = slice_frame(volume.array.shape, volume.affine)
    slices = to_slices(volume.array, frame)
    shown = np.flatnonzero((slices[:, ::STEP, ::STEP] > SKIN_HU).any(axis=(1, 2)))
    first, last = (int(shown[0]), int(shown[-1])) if len(shown) else (0, len(slices) - 1)
    middles = first + spread(last - first + 1, most)
    beside = np.arange(neighbors) - neighbors // 2
    kept = np.unique((middles[:, None] + beside).clip(0, len(slices) - 1))
    array = np.ascontiguousarray(from_slices(slices[kept], frame))
    return Excerpt(replace(volume, array=array), np.searchsorted(kept, middles))


def on_grid(excerpt: Excerpt, spacing_mm: float | None) -> Excerpt:
    """Return an excerpt on the networks' own grid, float32 HU; None keeps it where it is."""
    frame = slice_frame(excerpt.volume.array.shape, excerpt.volume.affine)
    rows, columns = frame.spacing_mm[1:]
    wanted = (spacing_mm or rows, spacing_mm or columns)
    hu = to_slices(excerpt.volume.array, frame).astype(np.float32)
    shape = (
        resampled_size(hu.shape[1], rows, wanted[0]),
        resampled_size(hu.shape[2], columns, wanted[1]),
    )
    hu = resample_slices(hu, (rows, columns), shape, wanted)
    affine = np.diag([-wanted[1], -wanted[0], 2.0 * max(wanted), 1.0])  # slices stay slices
    return replace(excerpt, volume=Volume(hu.transpose(2, 1, 0), affine))
