"""One volume to one row: read, judged, measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medcyclegan.cases import read_labels_of
from medcyclegan.errors import VolumeError
from medcyclegan.io import Source, own_name, read_source
from medcyclegan.phase import judge_phase
from medcyclegan.scan.doubts import doubts
from medcyclegan.scan.region import region_of
from medcyclegan.scan.rows import ScanRow
from medcyclegan.volume import Labels, Volume

LEAST_VOXELS = 50  # of an organ, for its mean to count


class Task(NamedTuple):
    """A volume to be judged.

    Args:
        source: where it is.
        folder: what is scanned, as typed.
        label: its label map; None where there is none.
        tissues: name of an organ -> its label values; empty takes the names that labels bring.
    """

    source: Source
    folder: Path
    label: Path | None = None
    tissues: Mapping[str, tuple[int, ...]] = {}


def judge(task: Task) -> ScanRow:
    """Return the row of a volume; a refusal is a row, too."""
    source = task.source
    try:
        volume = read_source(source)
    except VolumeError as error:
        reason = str(error).removeprefix(f"{source.path}: ").removeprefix(f"{source.path}/")
        return refused(task, reason)
    organs, problems = _organs(task, volume)
    phase = judge_phase(volume, organs)
    return ScanRow(
        path=below(source.path, task.folder),
        format=source.format,
        shape=volume.array.shape,
        spacing_mm=tuple(round(length, 4) for length in volume.spacing_mm),
        orientation=volume.orientation,
        hu_min=volume.array.min().item(),
        hu_max=volume.array.max().item(),
        phase=phase.verdict,
        confidence=phase.confidence,
        problems=(*doubts(volume), *problems),
        accepted=True,
        evidence=phase.evidence,
        patient=volume.provenance.patient,
        region=region_of(volume),
        series=source.uid,
    )


def refused(task: Task, reason: str) -> ScanRow:
    """Return the row of a volume that cannot be used."""
    source = task.source
    path = below(source.path, task.folder)
    return ScanRow(path, source.format, problems=(reason,), series=source.uid)


def below(path: Path, folder: Path) -> str:
    """Return a path as seen from the scanned folder; its own name where it is that folder."""
    return own_name(path) if path == folder else path.relative_to(folder).as_posix()


def organ_means(
    volume: Volume, labels: Labels, tissues: Mapping[str, tuple[int, ...]]
) -> dict[str, float]:
    """Return the mean HU of each organ of 50 voxels or more.

    Args:
        volume: CT in HU.
        labels: on the same grid.
        tissues: name -> label values; empty takes `labels.names`.
    """
    values = tissues or {name: (value,) for value, name in labels.names.items() if value > 0}
    means = {}
    for name, wanted in values.items():
        inside = volume.array[np.isin(labels.array, wanted)]
        if inside.size >= LEAST_VOXELS:
            means[name] = float(inside.mean(dtype=np.float64))
    return means


def _organs(task: Task, volume: Volume) -> tuple[dict[str, float], list[str]]:
    """Return organs' HU, and what keeps labels from being used."""
    if task.label is None:
        return {}, []
    try:
        labels = read_labels_of(volume, task.label)
    except VolumeError as error:
        return {}, [f"its label map {error}"]
    if not task.tissues and not labels.names:
        return {}, [f"its label map {task.label} names no organs; give --tissues"]
    return organ_means(volume, labels, task.tissues), []
