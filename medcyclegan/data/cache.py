"""Where the slice store keeps its entries, how much room they take, and which go first."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from medcyclegan.errors import InputError
from medcyclegan.files import NOT_OURS, TEMPORARY_PREFIX

LIMIT_GB = 50.0
GB = 10**9
STALE_SECONDS = 3600.0  # what a run is writing is younger


class Entry(NamedTuple):
    """A volume's slices in the store.

    Args:
        key: hash of what it was made from and how.
        slices: how many; None where its description is damaged.
        size: of its files, bytes.
        used: when a run last asked for it, seconds since 1970.
    """

    key: str
    slices: int | None
    size: int
    used: float


def cache_folder() -> Path:
    """Return where what can be made again is kept: MEDCYCLEGAN_CACHE, else the user's cache."""
    if chosen := os.environ.get("MEDCYCLEGAN_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "medcyclegan"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medcyclegan"


def slices_folder() -> Path:
    """Return where the slice store lies unless told otherwise."""
    return cache_folder() / "slices"


def limit_bytes() -> float:
    """Return how large the store may grow: MEDCYCLEGAN_CACHE_GB, else 50 GB (10^9 bytes each).

    Raises:
        InputError: the variable is no number from 0.
    """
    typed = os.environ.get("MEDCYCLEGAN_CACHE_GB", "")
    with contextlib.suppress(ValueError):
        gigabytes = float(typed) if typed else LIMIT_GB
        if gigabytes >= 0:
            return gigabytes * GB
    raise InputError(f"MEDCYCLEGAN_CACHE_GB={typed}: must be a number of gigabytes, from 0")


def entry_files(folder: Path, key: str) -> tuple[Path, Path]:
    """Return the files of an entry: its voxels and its description, which is written last."""
    return folder / f"{key}.npy", folder / f"{key}.json"


def entries(folder: Path) -> list[Entry]:
    """Return what the store holds, what was used last first; empty where there is no store."""
    keys = {path.stem for path in _listed(folder) if path.suffix in {".npy", ".json"}}
    found = (_entry(folder, key) for key in keys)
    return sorted((one for one in found if one), key=lambda one: (-one.used, one.key))


def trim(folder: Path, limit: float, keep: Collection[str] = ()) -> list[Entry]:
    """Remove entries, those that were not used for longest first, until the rest fits.

    Args:
        folder: of the store.
        limit: what may remain, bytes.
        keep: keys of entries that stay in any case.

    Returns:
        What was removed.
    """
    _remove_leftovers(folder)
    found = entries(folder)
    size = sum(one.size for one in found)
    removed = []
    for one in reversed(found):
        if size <= limit:
            break
        if one.key not in keep:
            removed.append(one)
            size -= one.size
    _remove(folder, [one.key for one in removed])
    return removed


def remove_all(folder: Path) -> list[Entry]:
    """Remove every entry, and what interrupted runs left half written; return the entries."""
    found = entries(folder)
    _remove(folder, [one.key for one in found])
    _remove_leftovers(folder)
    return found


def _remove(folder: Path, keys: Iterable[str]) -> None:
    """Remove entries; a run that has one open keeps its slices until it ends."""
    for key in keys:
        voxels, facts = entry_files(folder, key)
        for path in (facts, voxels):  # without its description there is no entry
            with contextlib.suppress(OSError):
                path.unlink()


def _remove_leftovers(folder: Path) -> None:
    """Remove what interrupted runs left half written, unless a run may still be writing it."""
    for path in _listed(folder):
        with contextlib.suppress(OSError):
            age = time.time() - path.lstat().st_mtime
            if path.name.startswith(TEMPORARY_PREFIX) and age > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _entry(folder: Path, key: str) -> Entry | None:
    """Return an entry; None where another run has just removed it."""
    sizes, times = [], []
    for path in entry_files(folder, key):
        with contextlib.suppress(OSError):
            facts = path.stat()
            sizes.append(facts.st_size)
            times.append(facts.st_mtime)
    if not sizes:
        return None
    return Entry(
        key, _slices(entry_files(folder, key)[1]), sum(sizes), max(times, default=-math.inf)
    )


def _slices(facts: Path) -> int | None:
    try:
        return len(json.loads(facts.read_bytes())["boxes"])
    except NOT_OURS:
        return None
