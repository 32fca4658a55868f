"""Cases: the volumes of a file, folder tree or data set, each with its label map."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
    source_sha256,
)
from medcyclegan.io.data_set import LABELS, open_data_set
from medcyclegan.io.formats import format_of
from medcyclegan.io.label_index import LabelIndex
from medcyclegan.io.skipped import skip_lines
from medcyclegan.io.stored import ReadOptions
from medcyclegan.volume import (
    SAME_GRID_VOXELS,
    Labels,
    Volume,
    closest_axes,
    grid_distance_voxels,
)


class Case(NamedTuple):
    """A volume and its label map.

    Args:
        source: the volume.
        name: its path relative to the folder that was given; with its stem where several volumes
            share one, as in an archive: `scans.zip:scans_3`.
        folder: the folder it lies in, relative likewise.
        label: its label map; None where there is none.
        label_names: what a data set calls the values of its label maps; empty where it does not.
    """

    source: Source
    name: PurePosixPath
    folder: PurePosixPath
    label: Path | None
    label_names: Mapping[int, str]


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


def find_cases(volumes: Path, labels: Path | None, options: ReadOptions = ReadOptions()) -> Cases:
    """Return the volumes at `volumes` with their label maps.

    Args:
        volumes: a file, folder tree, DICOM series, zip, or a data set with `imagesTr` (and
            `labelsTr`).
        labels: folder of label maps, each at the relative path and with the stem of its volume, or
            with nnU-Net's case name; or of DICOM segmentations and structure sets, which say what
            series they are of, and may lie among the volumes; for one volume a file; None: no
            labels, or those of the data set.
        options: how volumes are to be read.

    Raises:
        InputError: no volume is there, there is one label file for several, or volumes and labels
            are the same.
    """
    found = find_volumes(volumes, options)
    images = volumes
    if found.data_set is not None:
        images, labels = found.data_set.images, labels or found.data_set.labels
    maps = _LabelMaps(labels, images)
    sources = [source for source in found.sources if maps.leave(source.path)]
    refused = [(path, f"{path}: {why}") for path, why in found.refused if maps.leave(path)]
    if not sources and not refused:
        raise InputError(f"{volumes}: holds no volume besides the labels {labels}; give CT volumes")
    cases, missing = [], []
    count = Counter(source.path for source in sources)
    for source, own in zip(sources, maps.of(sources, volumes), strict=True):
        if len(own) > 1:
            both = " and ".join(str(path) for path in own)
            reason = f"{source.path}: has several label maps, {both}; keep one"
            refused.append((source.path, reason))
            continue
        if labels is not None and not own:
            missing.append(f"{source.path}: no label map in {labels}; the image goes alone")
        label = own[0] if own else None
        name = _name(source, volumes, alone=count[source.path] == 1)
        cases.append(Case(source, name, source.relative, label, maps.names))
    taken = {case.label for case in cases}
    skipped = skip_lines(
        (path, why) for path, why in found.skipped if maps.leave(path) and path not in taken
    )
    damaged = [*maps.damaged, *(found.data_set.warnings if found.data_set else ())]
    return Cases(cases, refused, [*skipped, *damaged, *missing])


def _name(source: Source, volumes: Path, *, alone: bool) -> PurePosixPath:
    relative = source.path.relative_to(volumes)
    name = relative.as_posix() if relative.name else own_name(volumes)
    return PurePosixPath(name if alone else f"{name}:{source.stem}")


def hashes(case: Case) -> tuple[str, str | None]:
    """Return what tells a volume from others, see `source_sha256`, and its label map's SHA-256.

    Raises:
        VolumeError: a file is none, or cannot be read.
    """
    if case.label is None:
        return source_sha256(case.source), None
    with _naming_volume(case):
        labels = _sha256(files_of(case.label))
    return source_sha256(case.source), labels


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
        labels = read_labels_of(volume, case.label)
    return volume, replace(labels, names=labels.names or case.label_names)


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

    Regions of a DICOM segmentation or structure set are drawn on that grid. Nothing is resampled:
    where a file holds the same voxels with its axes in another order or sense, as converters of
    DICOM leave them, they are put into the volume's.

    Raises:
        GeometryError: another shape, or another grid by more than a hundredth of a voxel.
        VolumeError: damaged, or values that are not whole.
    """
    labels = _oriented_like(volume, read_labels(path, volume))
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
    return replace(labels, array=array, affine=affine)


class _LabelMaps:
    """Where label maps are, and which is whose.

    Args:
        labels: as `find_cases`.
        images: folder or file of the volumes.

    Raises:
        InputError: volumes and labels are the same.
    """

    def __init__(self, labels: Path | None, images: Path) -> None:
        self.names: Mapping[int, str] = {}
        self.damaged: list[str] = []
        self._labels, self._images = labels, images
        self._index: LabelIndex | None = None  # of a folder, or one DICOM file
        self._apart: Path | None = None  # a folder of label maps among the volumes
        if labels is None:
            return
        root, around = labels.resolve(), images.resolve()
        if root != around and root.is_relative_to(around):
            self._apart = root
        if not (labels.is_file() and format_of(labels.name)):
            self._index = LabelIndex(labels, objects_only=root == around)
            self.damaged = self._index.damaged
        if root == around and not (root.is_dir() and self._index and self._index.objects):
            raise InputError(f"{labels}: holds the volumes; give labels in a folder of their own")
        if labels.name == LABELS and (data_set := open_data_set(labels.parent)):
            self.names = data_set.names

    def leave(self, path: Path) -> bool:
        """Return whether a path below the volumes is no label map, nor in the folder of them."""
        return self._apart is None or not path.resolve().is_relative_to(self._apart)

    def of(self, sources: Sequence[Source], volumes: Path) -> list[list[Path]]:
        """Return the label maps that belong to each volume: one if all is well.

        Args:
            sources: what was found.
            volumes: where the search began.

        Raises:
            InputError: one label file for several volumes, and it does not say for which.
        """
        if self._labels is None:
            return [[] for _ in sources]
        above = PurePosixPath(self._images.relative_to(volumes).as_posix())
        found = [self._index.of(one, _below(one, above)) if self._index else [] for one in sources]
        if not self._labels.is_file() or any(found):
            return found
        if len(sources) > 1:
            raise InputError(
                f"{self._labels}: one label file for {len(sources)} volumes; give a folder"
            )
        return [[self._labels] for _ in sources]


def _below(source: Source, images: PurePosixPath) -> PurePosixPath:
    """Return a volume's folder as seen from that of the images, both relative to one root."""
    inside = source.relative.is_relative_to(images)  # a series beside them has their folder's name
    return source.relative.relative_to(images) if inside else PurePosixPath()
