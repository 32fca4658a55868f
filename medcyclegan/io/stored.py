"""What a reader hands over, and how its numbers become HU."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.volume import Affine

MOST_VOXELS = 2**31


@dataclass(frozen=True)
class ReadOptions:
    """What readers do where there is a choice; by default they refuse.

    Args:
        resample_tilt: a series with gantry tilt is resampled to a right-angled grid.
        split_4d: a file of several volumes is read as one volume for each.
    """

    resample_tilt: bool = False
    split_4d: bool = False


@dataclass(frozen=True)
class Stored:
    """A file's or series' voxels and grid, before anyone asks whether they are HU.

    Args:
        array: values after slope and intercept, (I, J, K) in file order; the stored type where
            there is neither.
        affine: 4x4, voxel index -> RAS+ mm.
        qform_code: NIfTI qform code; 1 for other formats.
        sform_code: NIfTI sform code; 1 for other formats.
        patient: what identifies the patient, in clear; empty where the format does not say.
        tags: header fields that speak of contrast, as text.
        warnings: what was odd and could be read right all the same, one line each.
        headers: see `Provenance`.
    """

    array: npt.NDArray[Any]
    affine: Affine
    qform_code: int = 1
    sform_code: int = 1
    patient: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    headers: tuple[Any, ...] = field(default=(), repr=False)  # they name the patient


def rescale(array: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[Any]:
    """Return `array * slope + intercept`.

    Returns:
        The array itself for slope 1 and intercept 0; int16 (int32 if needed) for integers with a
        whole slope and intercept; float32 otherwise.
    """
    if slope == 1 and intercept == 0:
        return array
    if array.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (array.min(), array.max())]
        type_ = _smallest_integer(min(ends), max(ends))
        if type_ is not None:
            return (array.astype(np.int64) * int(slope) + int(intercept)).astype(type_)
    return (array.astype(np.float64) * slope + intercept).astype(np.float32)


def as_hu(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `array` as int16 (int32 if needed) for integers, as float32 otherwise."""
    if array.dtype.kind in "iu":
        type_ = _smallest_integer(int(array.min()), int(array.max()))
        if type_ is not None:
            return array.astype(type_, copy=False)
    return array.astype(np.float32, copy=False)


def _smallest_integer(low: int, high: int) -> type[np.signedinteger[Any]] | None:
    for type_ in (np.int16, np.int32):
        if np.iinfo(type_).min <= low and high <= np.iinfo(type_).max:
            return type_
    return None


def check_voxel_count(shape: tuple[int, ...]) -> None:
    """Check that a declared shape can be a volume that fits into memory.

    Raises:
        VolumeError: an axis that is empty, or more than 2^31 voxels.
    """
    if not shape or min(shape) < 1:
        raise VolumeError(f"declares the impossible shape {shape}; write it anew")
    count = 1
    for size in shape:
        count *= size
    if count > MOST_VOXELS:
        raise VolumeError(
            f"declares {count} voxels {shape}, more than the {MOST_VOXELS} that are read; "
            "crop or split it"
        )


class _NamedError(Exception):
    """An error on its way out whose message names the very file already."""

    def __init__(self, error: MedCycleGANError) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a slice's file, and not the series it is of, in whatever goes wrong inside `reading`."""
    try:
        with reading(path):
            yield
    except MedCycleGANError as error:
        raise _NamedError(error) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into one line that names `path`.

    Raises:
        MedCycleGANError: our own errors, same class, with the path in front.
        VolumeError: all else; libraries that parse untrusted files raise nearly anything.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's doubts about a file we judge ourselves
            yield
    except _NamedError as named:
        raise named.error from named
    except MedCycleGANError as error:
        raise type(error)(f"{path}: {error}") from error
    except MemoryError as error:
        raise VolumeError(f"{path}: does not fit into memory; crop or split it") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise VolumeError(f"{path}: cannot be read ({reason}); copy it anew") from error
    except Exception as error:
        raise VolumeError(
            f"{path}: cannot be read ({one_line(error)}); it is damaged or of an unknown kind"
        ) from error


def one_line(error: BaseException) -> str:
    """Return an exception's message on one line, shortened to 200 characters."""
    text = printable(str(error)) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def printable(text: str) -> str:
    """Return text on one line, without control characters."""
    words = " ".join(text.split())
    if words.isprintable():
        return words
    return "".join(letter for letter in words if letter.isprintable())
