"""Cases: the volumes of a file, folder tree or data set, each with its label map."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from medcyclegan.errors import GeometryError, InputError, VolumeError
from medcyclegan.files import sha256
from medcyclegan.io import (
    Source,
    files_of,
    find_volumes,
    own_name,
    read_labels,
    read_source,
)
from medcyclegan.io.formats import format_of, split_suffix
from medcyclegan.volume import (
    SAME_GRID_VOXELS,
    Labels,
    Volume,
    closest_axes,
    grid_distance_voxels,
)

IMAGES, LABELS = "imagesTr", "labelsTr"  # nnU-Net's and the Medical Segmentation Decathlon's
NNUNET_CHANNEL = re.compile(r"_\d{4}$")  # case_0000 is the first channel of case

LabelIndex = dict[tuple[PurePosixPath, str], list[Path]]


class Case(NamedTuple):
    """A volume and its label map.

    Args:
        source: the volume.
        name: its path relative to the folder that was given.
        folder: the folder it lies in, relative likewise.
        label: its label map; None where there is none.
    """

    source: Source
    name: PurePosixPath
    folder: PurePosixPath
    label: Path | None


class Cases(NamedTuple):
    """What was found.

    Args:
        cases: volumes with their labels, in order.
        refused: what claims to be a volume and cannot be one, or whose labels are not clear, each
            with a line that says so.
        warnings: what was passed over, and volumes without labels, one line each.
    """

    cases: list[Case]
    refused: list[tuple[Path, str]]
    warnings: list[str]


def find_cases(volumes: Path, labels: Path | None) -> Cases:
    """Return the volumes at `volumes` with their label maps.

    Args:
        volumes: a file, folder tree, DICOM series, or a data set with `imagesTr` (and `labelsTr`).
        labels: folder of label maps, each at the relative path and with the stem of its volume, or
            with nnU-Net's case name; for one volume a file; None: no labels, or those of the
            data set.

    Raises:
        InputError: no volume is there, there is one label file for several, or volumes and labels
            are the same.
    """
    images, labels = _data_set(volumes, labels)
    found = find_volumes(images)
    apart = _outside(labels, images)
    cases = Cases(
        cases=[],
        refused=[(path, f"{path}: {why}") for path, why in found.refused if apart(path)],
        warnings=[f"{path}: skipped, {why}" for path, why in found.skipped if apart(path)],
    )
    sources = [source for source in found.sources if apart(source.path)]
    if not sources and not cases.refused:
        raise InputError(f"{volumes}: holds no volume besides the labels {labels}; give CT volumes")
    if labels is not None and labels.is_file() and len(sources) > 1:
        raise InputError(f"{labels}: one label file for {len(sources)} volumes; give a folder")
    index = _label_index(labels) if labels is not None and labels.is_dir() else {}
    prefix = PurePosixPath() if images == volumes else PurePosixPath(IMAGES)
    for source in sources:
        name = PurePosixPath(source.path.relative_to(volumes).as_posix())
        candidates = [labels] if labels and labels.is_file() else _labels_of(source, index)
        if len(candidates) > 1:
            both = " and ".join(str(path) for path in candidates)
            reason = f"{source.path}: has several label maps, {both}; keep one"
            cases.refused.append((source.path, reason))
            continue
        if labels is not None and not candidates:
            cases.warnings.append(f"{source.path}: no label map in {labels}; the image goes alone")
        label = candidates[0] if candidates else None
        name = name if name.name else PurePosixPath(own_name(volumes))
        cases.cases.append(Case(source, name, prefix / source.relative, label))
    return cases


def hashes(case: Case) -> tuple[str, str | None]:
    """Return the SHA-256 of a volume's files, and of its label map's where there is one.

    Raises:
        VolumeError: a file is none, or cannot be read.
    """
    if case.label is None:
        return _sha256(case.source.files), None
    with _naming_volume(case):
        labels = _sha256(files_of(case.label))
    return _sha256(case.source.files), labels


def read_case(case: Case) -> tuple[Volume, Labels | None]:
    """Return a volume and its label map, on the same grid.

    Raises:
        VolumeError: one of them cannot be read right, or their grids differ; the message names
            the volume, and the label map where it is at fault.
    """
    volume = read_source(case.source)
    if case.label is None:
        return volume, None
    with _naming_volume(case):
        return volume, read_labels_of(volume, case.label)


@contextlib.contextmanager
def _naming_volume(case: Case) -> Iterator[None]:
    try:
        yield
    except VolumeError as error:
        raise type(error)(f"{case.source.path}: its label map {error}") from error


def _sha256(files: Sequence[Path]) -> str:
    try:
        for path in files:
            if not path.is_file():
                raise VolumeError(f"{path}: is no file; check where it leads, or leave it out")
        return sha256(*files)
    except OSError as error:
        where, reason = error.filename or files[0], error.strerror
        raise VolumeError(f"{where}: cannot be read ({reason}); check its permissions") from error


def read_labels_of(volume: Volume, path: Path) -> Labels:
    """Return the label map at `path` on its volume's grid, values and type as stored.

    Nothing is resampled: where the file holds the same voxels with its axes in another order or
    sense, as converters of DICOM leave them, they are put into the volume's.

    Raises:
        GeometryError: another shape, or another grid by more than a hundredth of a voxel.
        VolumeError: damaged, or values that are not whole.
    """
    labels = _oriented_like(volume, read_labels(path))
    if labels.array.shape != volume.array.shape:
        raise GeometryError(
            f"{path}: has {labels.array.shape} voxels, its volume {volume.array.shape}; "
            "resample the labels to the volume"
        )
    distance = grid_distance_voxels(volume.affine, labels.affine, volume.array.shape)
    if distance > SAME_GRID_VOXELS:
        raise GeometryError(
            f"{path}: lies {distance:.3g} voxels off its volume; resample the labels to the volume"
        )
    return labels


def _oriented_like(volume: Volume, labels: Labels) -> Labels:
    worlds, signs = closest_axes(volume.affine)
    own_worlds, own_signs = closest_axes(labels.affine)
    order = [own_worlds.index(world) for world in worlds]
    array, affine = labels.array.transpose(order), labels.affine[:, [*order, 3]]
    for axis, own in enumerate(order):
        if own_signs[own] != signs[axis]:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Labels(array, affine)


def _data_set(volumes: Path, labels: Path | None) -> tuple[Path, Path | None]:
    if not (volumes / IMAGES).is_dir():
        return volumes, labels
    if labels is None and (volumes / LABELS).is_dir():
        labels = volumes / LABELS
    return volumes / IMAGES, labels


def _outside(labels: Path | None, images: Path) -> Callable[[Path], bool]:
    """Return a test whether a path below `images` is no label map, nor in the folder of them.

    Raises:
        InputError: volumes and labels are the same.
    """
    if labels is None:
        return lambda path: True
    root = labels.resolve()
    if root == images.resolve():
        raise InputError(f"{labels}: holds the volumes; give labels in a folder of their own")
    if not root.is_relative_to(images.resolve()):
        return lambda path: True
    return lambda path: not path.resolve().is_relative_to(root)


def _label_index(labels: Path) -> LabelIndex:
    """Return the label maps below a folder by relative folder and stem."""
    index: LabelIndex = {}
    for folder, _, names in os.walk(labels):
        relative = PurePosixPath(Path(folder).relative_to(labels).as_posix())
        for name in sorted(names):
            if format_of(name):
                key = relative, split_suffix(name)[0]
                index.setdefault(key, []).append(Path(folder, name))
    return index


def _labels_of(source: Source, index: LabelIndex) -> list[Path]:
    """Return the label maps that bear a volume's name: its stem, its file's, its nnU-Net case's."""
    stems = [source.stem, split_suffix(source.path.name)[0]]
    stems += [NNUNET_CHANNEL.sub("", stem) for stem in stems]
    for stem in stems:
        if found := index.get((source.relative, stem)):
            return found
    return []
