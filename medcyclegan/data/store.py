"""The slice store: volumes read once, kept on disk as the slices training draws from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose

from medcyclegan.data.cache import GB, entries, entry_files, limit_bytes, slices_folder, trim
from medcyclegan.data.facts import SliceFacts, find_bodies, parse_facts
from medcyclegan.data.transforms import ExtractSlicesd, ReadVolumed, read
from medcyclegan.errors import InputError, MedCycleGANError, VolumeError
from medcyclegan.files import NOT_OURS, atomic_path, write_json
from medcyclegan.intensity import Window
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Volume, spacing_mm

if TYPE_CHECKING:
    from medcyclegan.io import Source

_log = logging.getLogger(__name__)

STORE_VERSION = 3  # to be raised when readers, grid or layout change: older entries are not found


class StoredVolume(NamedTuple):
    """A volume on the training grid.

    Args:
        slices: HU clipped to the window, int16, (S, H, W), memory-mapped, read-only.
        facts: what else is known of it.
        name: where it was read from, as given; it is not in the store.
        file: of the slices; None where they are in memory alone.
        source: what it was read from; not passed on to other processes.
    """

    slices: npt.NDArray[np.int16]
    facts: SliceFacts
    name: str = ""
    file: Path | None = None
    source: Source | Volume | None = None

    def __reduce__(self) -> tuple[Callable[..., StoredVolume], tuple[object, ...]]:
        """Pickle slices that lie in a file as that file, so that a worker maps them, too."""
        if self.file is None:
            return StoredVolume, tuple(self)
        return _mapped_again, (self.facts, self.name, self.file)


class StoredDomain(NamedTuple):
    """The volumes of one domain, and one line for each thing a person should know about them."""

    volumes: list[StoredVolume]
    messages: list[str]


class SliceStore:
    """Volumes as networks see them, slices on the training grid, kept under their content's hash.

    A volume is read, oriented and resampled by the transforms of `medcyclegan.data.transforms`
    the first time it is asked for; after that its slices are memory-mapped. An entry is two files,
    `<key>.npy` and `<key>.json`, each written atomically, so that several runs may share a store.
    HU are clipped to the window before they are resampled, as in translation, so that no metal,
    bone or lung beyond it bleeds into its neighbours. The key hashes the bytes of the volume's
    files, window, grid and the version of the store: a file that changed is another entry, one
    that moved or was copied is the same. Two files of equal bytes are one patient. How large the
    store may grow is said in `medcyclegan.data.cache`.

    Args:
        spacing_mm: in-plane spacing of the training grid, mm; None keeps each volume's own.
        window: HU that networks see.
        folder: where the entries lie, mode 0700; by default `slices` in the cache folder.
        warn: is told when a damaged entry is made anew; by default the log.

    Raises:
        InputError: MEDCYCLEGAN_CACHE_GB is no number.
        MedCycleGANError: the folder cannot be made.
    """

    def __init__(
        self,
        spacing_mm: float | None,
        window: Window,
        folder: Path | None = None,
        warn: Callable[[str], None] = _log.warning,
    ) -> None:
        self.spacing_mm = spacing_mm
        self.window = window
        self.folder = folder or slices_folder()
        self._warn = warn
        self._used: set[str] = set()
        self._limit = limit_bytes()
        self._to_slices = Compose([ReadVolumed("ct"), ExtractSlicesd("ct", spacing_mm)])
        self._make_folder()

    def _make_folder(self) -> None:
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise MedCycleGANError(
                f"{self.folder}: cannot keep slices there ({error.strerror}); "
                "set MEDCYCLEGAN_CACHE to a folder that can be written"
            ) from error

    def load(self, source: Source | Volume) -> StoredVolume:
        """Return a volume on the training grid, from disk where it is known.

        Raises:
            VolumeError: the source cannot be read as CT in HU.
            MedCycleGANError: the store's disk is full or cannot be written.
        """
        content = _content(source)
        seen = f"{content} {self.window} spacing {self.spacing_mm} version {STORE_VERSION}"
        key = hashlib.sha256(seen.encode()).hexdigest()
        name = _name(source)
        stored = self._open(key, name)
        self._used.add(key)
        if stored is None:
            self._fill(key, source)
            stored = self._open(key, name)
        if stored is None:
            raise MedCycleGANError(
                f"{self.folder}: what was written there cannot be read back; check the disk or "
                "set MEDCYCLEGAN_CACHE to another folder"
            )
        return stored._replace(source=source)

    def load_domain(
        self, name: str, sources: Sequence[Source | Volume], patients: Sequence[str] = ()
    ) -> StoredDomain:
        """Return the volumes of a domain that can be trained on.

        A volume that cannot be read right, or shows no body, is left out with a message, as long
        as one remains.

        Args:
            name: the domain's name, for the error.
            sources: its volumes.
            patients: a patient key for each source, where it is not empty instead of its own.

        Raises:
            InputError: none of them can be used.
        """
        domain = StoredDomain([], [])
        named = patients or [""] * len(sources)
        for source, patient in zip(sources, named, strict=True):
            try:
                stored = self.load(source)
            except VolumeError as error:
                domain.messages.append(str(error))
                continue
            domain.messages.extend(f"{stored.name}: {line}" for line in stored.facts.warnings)
            if stored.facts.drawn:
                facts = replace(stored.facts, patient=patient or stored.facts.patient)
                domain.volumes.append(stored._replace(facts=facts))
            else:
                domain.messages.append(f"{stored.name}: left out, no slice shows a body")
        if not domain.volumes:
            reason = domain.messages[0] if domain.messages else "there is none"
            raise InputError(f"domain {name}: no volume that can be trained on; {reason}")
        return domain

    def trim(self) -> None:
        """Keep the store within its limit, MEDCYCLEGAN_CACHE_GB, now that a run has all it needs.

        Entries that were not used for longest go first; those of this run stay, and those of
        others are on the disk until they end.
        """
        removed = trim(self.folder, self._limit, self._used)
        if removed:
            size = sum(entry.size for entry in removed) / GB
            _log.info("%s: %d entries (%.1f GB) made room", self.folder, len(removed), size)
        own = sum(entry.size for entry in entries(self.folder) if entry.key in self._used)
        if own > self._limit:
            self._warn(
                f"{self.folder}: the slices of this run take {own / GB:.1f} GB, more than the "
                f"limit of {self._limit / GB:g}; raise MEDCYCLEGAN_CACHE_GB"
            )

    def _open(self, key: str, name: str) -> StoredVolume | None:
        """Return an entry; None where there is none, or none that is whole."""
        array_path, facts_path = entry_files(self.folder, key)
        if not facts_path.exists():
            return None
        try:
            entry = json.loads(facts_path.read_bytes())
            slices = _mapped(array_path)
            if zlib.crc32(slices.data) == entry["crc32"]:
                facts = parse_facts(entry, len(slices))
                with contextlib.suppress(OSError):
                    os.utime(facts_path)  # the last use; another run may just have removed it
                return StoredVolume(slices, facts, name, array_path.absolute())
            reason = "its voxels changed"
        except NOT_OURS as error:
            if not facts_path.exists():
                return None  # another run made room
            reason = str(error).partition("\n")[0]
        self._warn(f"{array_path}: damaged ({reason}); the volume is read anew")
        return None

    def _fill(self, key: str, source: Source | Volume) -> None:
        volume = read(source)
        clipped = replace(volume, array=volume.array.clip(self.window.low_hu, self.window.high_hu))
        stack: MetaTensor = self._to_slices({"ct": clipped})["ct"]
        hu = np.ascontiguousarray(np.rint(stack.numpy()[0]), np.int16)
        spacing = spacing_mm(stack.affine.numpy())
        bodies = find_bodies(self._to_slices({"ct": volume})["ct"].numpy()[0], spacing)
        facts = SliceFacts(
            patient=_patient(source, volume),
            plane=slice_frame(volume.array.shape, volume.affine).plane,
            spacing_mm=spacing,
            boxes=bodies.boxes,
            drawn=bodies.drawn,
            warnings=tuple(volume.provenance.warnings),
            tissues=bodies.tissues,
        )
        array_path, facts_path = entry_files(self.folder, key)
        with atomic_path(array_path) as temporary:
            np.save(temporary, hu, allow_pickle=False)
        write_json(facts_path, asdict(facts) | {"crc32": zlib.crc32(hu.data)})


def _name(source: Source | Volume) -> str:
    path = source.provenance.path if isinstance(source, Volume) else source.path
    return str(path or "a volume made in memory")


def _content(source: Source | Volume) -> str:
    """Return a hash of all that decides what is stored of a volume, grid and version apart."""
    if not isinstance(source, Volume):
        from medcyclegan.io import source_sha256

        return source_sha256(source)
    digest = hashlib.sha256(source.array.tobytes())
    digest.update(repr((source.array.shape, source.array.dtype.str)).encode())
    digest.update(source.affine.tobytes() + source.provenance.patient.encode())
    return digest.hexdigest()


def _patient(source: Source | Volume, volume: Volume) -> str:
    """Return the key of a volume's patient; where none is named, what the file holds is one.

    A path would not be the same wherever the file lies.
    """
    own = volume.provenance
    if own.patient and (own.patient_known or isinstance(source, Volume)):
        return own.patient
    if isinstance(source, Volume) or source.part is None:
        return _content(source)
    return _content(replace(source, part=None))  # all volumes of a file are of one patient


def _mapped_again(facts: SliceFacts, name: str, file: Path) -> StoredVolume:
    return StoredVolume(_mapped(file), facts, name, file)


def _mapped(path: Path) -> npt.NDArray[np.int16]:
    """Return the array in a .npy file, memory-mapped and read-only.

    A `numpy.memmap` would keep a file open for each volume, and a thousand are all that a process
    may have; PyTorch's mapping keeps none.
    """
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        start = stream.tell()
    size = path.stat().st_size
    if fortran or dtype != np.int16 or len(shape) != 3 or size != start + 2 * math.prod(shape):
        raise ValueError("not the array that was written")
    whole = torch.from_file(str(path), shared=False, size=size // 2, dtype=torch.int16)
    slices: npt.NDArray[np.int16] = whole.numpy()[start // 2 :].reshape(shape)
    slices.flags.writeable = False
    return slices
