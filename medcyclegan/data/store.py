"""The slice store: volumes read once, kept on disk as the slices training draws from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose

from medcyclegan.body import Box, body_box, body_mask
from medcyclegan.data.transforms import ExtractSlicesd, ReadVolumed, read
from medcyclegan.errors import InputError, MedCycleGANError, VolumeError
from medcyclegan.files import atomic_path, sha256, write_json
from medcyclegan.intensity import Window
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Volume, spacing_mm

if TYPE_CHECKING:
    from medcyclegan.io import Source

_log = logging.getLogger(__name__)

STORE_VERSION = 2  # to be raised when readers, grid or layout change: older entries are not found
LEAST_BODY = 0.05  # a slice with less body than this share of its volume's largest is not drawn


@dataclass(frozen=True)
class SliceFacts:
    """What is known of a stored volume besides its voxels.

    Args:
        patient: key to split by patient.
        plane: "axial", "coronal" or "sagittal".
        spacing_mm: distance of slices, rows and columns, mm.
        boxes: the body's box in each slice.
        drawn: the slices that show enough body to be drawn, ascending.
        warnings: what the reader found odd and could read right all the same.
    """

    patient: str
    plane: str
    spacing_mm: tuple[float, float, float]
    boxes: tuple[Box, ...]
    drawn: tuple[int, ...]
    warnings: tuple[str, ...]


class StoredVolume(NamedTuple):
    """A volume on the training grid.

    Args:
        slices: HU clipped to the window, int16, (S, H, W), memory-mapped, read-only.
        facts: what else is known of it.
    """

    slices: npt.NDArray[np.int16]
    facts: SliceFacts


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
    that moved or was copied is the same. Two files of equal bytes are one patient.

    Args:
        spacing_mm: in-plane spacing of the training grid, mm; None keeps each volume's own.
        window: HU that networks see.
        folder: where the entries lie, mode 0700; by default `slices` in the cache folder.
        warn: is told when a damaged entry is made anew; by default the log.

    Raises:
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
        self.folder = folder or cache_folder() / "slices"
        self._warn = warn
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
        stored = self._open(key)
        if stored is None:
            self._fill(key, source, content)
            stored = self._open(key)
        if stored is None:
            raise MedCycleGANError(
                f"{self.folder}: what was written there cannot be read back; check the disk or "
                "set MEDCYCLEGAN_CACHE to another folder"
            )
        return stored

    def load_domain(self, name: str, sources: Iterable[Source | Volume]) -> StoredDomain:
        """Return the volumes of a domain that can be trained on.

        A volume that cannot be read right, or shows no body, is left out with a message, as long
        as one remains.

        Args:
            name: the domain's name, for the error.
            sources: its volumes.

        Raises:
            InputError: none of them can be used.
        """
        domain = StoredDomain([], [])
        for source in sources:
            try:
                stored = self.load(source)
            except VolumeError as error:
                domain.messages.append(str(error))
                continue
            path = source.provenance.path if isinstance(source, Volume) else source.path
            domain.messages.extend(f"{path}: {line}" for line in stored.facts.warnings)
            if stored.facts.drawn:
                domain.volumes.append(stored)
            else:
                domain.messages.append(f"{path}: left out, no slice shows a body")
        if not domain.volumes:
            reason = domain.messages[0] if domain.messages else "there is none"
            raise InputError(f"domain {name}: no volume that can be trained on; {reason}")
        return domain

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self.folder / f"{key}.npy", self.folder / f"{key}.json"

    def _open(self, key: str) -> StoredVolume | None:
        """Return an entry; None where there is none, or none that is whole."""
        array_path, facts_path = self._paths(key)
        if not facts_path.exists():
            return None
        try:
            entry = json.loads(facts_path.read_bytes())
            slices = np.load(array_path, mmap_mode="r", allow_pickle=False)
            if zlib.crc32(slices) == entry["crc32"]:
                return StoredVolume(slices, _facts(entry, len(slices)))
            reason = "its voxels changed"
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            reason = str(error).partition("\n")[0]
        self._warn(f"{array_path}: damaged ({reason}); the volume is read anew")
        return None

    def _fill(self, key: str, source: Source | Volume, content: str) -> None:
        volume = read(source)
        clipped = replace(volume, array=volume.array.clip(self.window.low_hu, self.window.high_hu))
        stack: MetaTensor = self._to_slices({"ct": clipped})["ct"]
        hu = np.ascontiguousarray(np.rint(stack.numpy()[0]), np.int16)
        boxes, drawn = _bodies(self._to_slices({"ct": volume})["ct"].numpy()[0])
        # Only DICOM and volumes in memory name their patient; a path would not be the same
        # wherever the file lies.
        named = isinstance(source, Volume) or source.format == "dicom"
        facts = SliceFacts(
            patient=(named and volume.provenance.patient) or content,
            plane=slice_frame(volume.array.shape, volume.affine).plane,
            spacing_mm=spacing_mm(stack.affine.numpy()),
            boxes=boxes,
            drawn=drawn,
            warnings=tuple(volume.provenance.warnings),
        )
        array_path, facts_path = self._paths(key)
        with atomic_path(array_path) as temporary:
            np.save(temporary, hu, allow_pickle=False)
        write_json(facts_path, asdict(facts) | {"crc32": zlib.crc32(hu.data)})


def cache_folder() -> Path:
    """Return where what can be made again is kept: MEDCYCLEGAN_CACHE, else the user's cache."""
    if chosen := os.environ.get("MEDCYCLEGAN_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "medcyclegan"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medcyclegan"


def _content(source: Source | Volume) -> str:
    """Return a hash of all that decides what is stored of a volume, grid and version apart."""
    if not isinstance(source, Volume):
        try:
            return sha256(*source.files)
        except OSError as error:
            reason = f"{source.path}: cannot be read ({error.strerror}); check its permissions"
            raise VolumeError(reason) from error
    digest = hashlib.sha256(source.array.tobytes())
    digest.update(repr((source.array.shape, source.array.dtype.str)).encode())
    digest.update(source.affine.tobytes() + source.provenance.patient.encode())
    return digest.hexdigest()


def _bodies(hu: npt.NDArray[np.float32]) -> tuple[tuple[Box, ...], tuple[int, ...]]:
    """Return the body's box in each slice, and the slices that show enough of it to be drawn."""
    masks = body_mask(hu)
    areas = masks.sum(axis=(1, 2))
    enough = (areas > 0) & (areas >= LEAST_BODY * areas.max())
    return tuple(body_box(mask) for mask in masks), tuple(np.flatnonzero(enough).tolist())


def _facts(entry: dict[str, Any], slices: int) -> SliceFacts:
    """Return facts from JSON; ValueError, KeyError or TypeError where they are not whole."""
    boxes = tuple(Box(*(int(edge) for edge in box)) for box in entry["boxes"])
    if len(boxes) != slices:
        raise ValueError(f"{len(boxes)} body boxes for {slices} slices")
    across, rows, columns = entry["spacing_mm"]
    return SliceFacts(
        patient=entry["patient"],
        plane=entry["plane"],
        spacing_mm=(float(across), float(rows), float(columns)),
        boxes=boxes,
        drawn=tuple(int(index) for index in entry["drawn"]),
        warnings=tuple(entry["warnings"]),
    )
