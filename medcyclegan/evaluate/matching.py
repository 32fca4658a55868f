"""Which translated volume was made from which source: by the manifest beside it, or by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from medcyclegan.cases import Case, Cases, find_cases
from medcyclegan.errors import GeometryError, InputError, VolumeError
from medcyclegan.io import read_source, source_sha256
from medcyclegan.io.formats import split_suffix
from medcyclegan.manifest import MANIFEST, Manifest, Origin
from medcyclegan.metrics.reference import Hu, slices_like
from medcyclegan.volume import SAME_GRID_VOXELS, Volume, grid_distance_voxels

OWN_LABELS = "labels"  # below what augment writes


class Key(NamedTuple):
    """What a source is called.

    Args:
        folder: it lies in, relative to the folder given.
        stem: its name without suffix.
        name: its path relative to the folder given.
        digest: returns its hash, as the manifest has it.
    """

    folder: PurePosixPath
    stem: str
    name: str
    digest: Callable[[], str]


def key_of(case: Case) -> Key:
    """Return what a volume that was found is called."""
    digest = partial(source_sha256, case.source)
    return Key(case.folder, case.source.stem, str(case.name), digest)


def find_all(volumes: Path, labels: Path | None, say: Callable[[str], None]) -> list[Case]:
    """Return the volumes at `volumes`, each with its label map where `labels` are given.

    Raises:
        InputError: no volume is there, one was refused, or one has no label map: an evaluation
            leaves out nothing on its own.
    """
    found: Cases = find_cases(volumes, labels)
    for path, reason in found.refused:
        raise VolumeError(reason if str(path) in reason else f"{path}: {reason}")
    for case in found.cases:
        if labels is not None and case.label is None:
            raise InputError(f"{case.source.path}: has no label map in {labels}; add it")
    for line in found.warnings:
        say(line)
    return found.cases


def match_translated(
    translated: Path, sources: Sequence[Key], say: Callable[[str], None]
) -> dict[int, Case]:
    """Return the number of each source that was translated, in order, with its translation.

    Args:
        translated: what `augment` wrote, or any folder of volumes named like their sources, with
            or without an ending such as `_noncontrast`.
        sources: what sources are called.
        say: told, one line each, which volumes were passed over.

    Raises:
        InputError: a translated volume has no source, or two of them have the same.
    """
    own_labels = translated / OWN_LABELS
    say = partial(_say_but_of, translated / MANIFEST, say)
    cases = find_all(translated, None, say) if not own_labels.is_dir() else _apart(translated, say)
    return _match(cases, sources, _origins(translated), f"{translated}")


def match_twins(twins: Path, sources: Sequence[Key], say: Callable[[str], None]) -> dict[int, Case]:
    """Return the number of each source that has a twin, with the twin; names as of translations.

    Raises:
        InputError: a twin has no source, or two of them have the same.
    """
    return _match(find_all(twins, None, say), sources, {}, f"{twins}")


def read_like(case: Case, source: Volume) -> Hu:
    """Return a volume on its source's grid as slices, HU, (S, H, W).

    Raises:
        VolumeError: it cannot be read right.
        GeometryError: it lies on another grid than its source.
    """
    volume = read_source(case.source)
    shape = source.array.shape
    if volume.array.shape != shape:
        raise GeometryError(
            f"{case.source.path}: has {volume.array.shape} voxels, its source {shape}; give the "
            "volume that was made from this source"
        )
    distance = grid_distance_voxels(source.affine, volume.affine, shape)
    if distance > SAME_GRID_VOXELS:
        raise GeometryError(
            f"{case.source.path}: lies {distance:.3g} voxels off its source; resample it"
        )
    return slices_like(volume, source)


def _say_but_of(known: Path, say: Callable[[str], None], line: str) -> None:
    """Pass a line on, unless it is of a file that we know to be no volume."""
    if not line.startswith(f"{known}: "):
        say(line)


def _apart(translated: Path, say: Callable[[str], None]) -> list[Case]:
    """Return the volumes of what `augment` wrote, its label maps apart."""
    found = find_cases(translated, translated / OWN_LABELS)
    for _, reason in found.refused:
        raise VolumeError(reason)
    for line in found.warnings:
        if "no label map" not in line:
            say(line)
    return found.cases


def _origins(folder: Path) -> dict[str, Origin]:
    """Return what each translated volume that a manifest names was made from."""
    if not (folder / MANIFEST).is_file():
        return {}
    return {output: entry.origin for output, entry in Manifest(folder).entries.items()}


def _match(
    cases: Sequence[Case], sources: Sequence[Key], origins: Mapping[str, Origin], where: str
) -> dict[int, Case]:
    matched: dict[int, Case] = {}
    for case in cases:
        origin = origins.get(str(case.name))
        found = _by_origin(origin.source, sources) if origin else _by_name(key_of(case), sources)
        if len(found) != 1:
            what = "no source" if not found else f"{len(found)} sources"
            raise InputError(
                f"{case.source.path}: has {what} among those given; name it like its source, with "
                "or without an ending such as _noncontrast"
            )
        if found[0] in matched:
            other = matched[found[0]].source.path
            raise InputError(
                f"{case.source.path}: is of the same source as {other}; keep one of them in {where}"
            )
        if origin:
            _check_made_from(case, origin, sources[found[0]])
        matched[found[0]] = case
    return dict(sorted(matched.items()))


def _check_made_from(case: Case, origin: Origin, source: Key) -> None:
    """Check that a source of the name in the manifest is still the volume that was translated."""
    if source.name == origin.source and source.digest() != origin.source_sha256:
        raise InputError(
            f"{case.source.path}: was made from another {origin.source} than the one given; "
            "translate it anew"
        )


def _by_origin(origin: str, sources: Sequence[Key]) -> list[int]:
    exact = [number for number, key in enumerate(sources) if key.name == origin]
    stem = split_suffix(PurePosixPath(origin).name)[0]
    return exact or [number for number, key in enumerate(sources) if key.stem == stem]


def _by_name(key: Key, sources: Sequence[Key]) -> list[int]:
    """Return the sources whose stem begins the name; the longest, and in the same folder, first."""
    fitting = [
        number
        for number, source in enumerate(sources)
        if key.stem == source.stem or key.stem.startswith(f"{source.stem}_")
    ]
    beside = [number for number in fitting if sources[number].folder == key.folder]
    longest = max((len(sources[number].stem) for number in beside or fitting), default=0)
    return [number for number in beside or fitting if len(sources[number].stem) == longest]
