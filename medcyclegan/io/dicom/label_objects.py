"""What DICOM segmentations and structure sets share: names, overlaps, frame of reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io.data_set import short_name
from medcyclegan.io.dicom.file import UNDEFINED_LENGTH, numbers, open_dataset, text
from medcyclegan.io.dicom.identifiers import identifying_words, names_someone
from medcyclegan.volume import Labels, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

HIGHEST_VALUE = 2**16 - 1
MOST_SHIFT = 0.5  # voxels
TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM counts toward the patient's left and back


class Painting:
    """A label map in the making: regions painted one after the other, later ones on top.

    Args:
        like: the image on whose grid the labels lie.
        names: label value -> name of every region, painted or not.

    Raises:
        VolumeError: no region, or a value that no label map holds.
    """

    def __init__(self, like: Volume, names: Mapping[int, str]) -> None:
        if not names:
            raise VolumeError("holds no region; leave it out")
        if min(names) < 1 or max(names) > HIGHEST_VALUE:
            raise VolumeError(f"numbers its regions {min(names)} to {max(names)}; write it anew")
        self.array = np.zeros(like.array.shape, np.uint8 if max(names) < 256 else np.uint16)
        self.names = names
        self.warnings: list[str] = []
        self._affine = like.affine
        self._overlaps: Counter[tuple[int, int]] = Counter()

    def paint(self, plane: npt.NDArray[Any], mask: npt.NDArray[np.bool_], value: int) -> None:
        """Give `value` to the voxels of `mask` in `plane`, a view of `array` of the same shape."""
        before, counts = np.unique(plane[mask], return_counts=True)
        for other, count in zip(before.tolist(), counts.tolist(), strict=True):
            if other not in (0, value):
                self._overlaps[other, value] += count
        plane[mask] = value

    def labels(self) -> Labels:
        """Return the label map with its names, and warnings of overlaps and empty regions."""
        painted = {*np.unique(self.array).tolist(), *(below for below, _ in self._overlaps)}
        names = self.names
        warnings = (
            *self.warnings,
            *(
                f"{names[below]} and {names[above]} overlap in {count} voxels: {names[above]} there"
                for (below, above), count in sorted(self._overlaps.items())
            ),
            *(f"{names[value]} holds no voxel" for value in names if value not in painted),
        )
        return Labels(self.array, self._affine, names, warnings)


def region_names(
    texts: Mapping[int, str], dataset: Dataset, headers: Sequence[Any]
) -> dict[int, str]:
    """Return what label values are called, each name once, in order of value.

    A name that is missing, or holds a word of the patient's or a physician's name, of an ID or date
    of birth, becomes `roi_<value>`.

    Args:
        texts: label value -> name as the file has it.
        dataset: the file.
        headers: of the image, as in `Provenance`.
    """
    words = identifying_words([dataset, *headers[:1]])
    names: dict[int, str] = {}
    for value, raw in sorted(texts.items()):
        name = short_name(raw)
        if not name or names_someone(name, words):
            name = f"roi_{value}"
        while name in names.values():
            name += f"_{value}"
        names[value] = name
    return names


def open_whole(path: Path) -> Dataset:
    """Return a file's data set, checked to hold as many bytes as its fields declare at any depth.

    Parsers take what there is: a sequence cut short would lose its last regions without a word.

    Raises:
        VolumeError: a field is cut short.
        Exception: as `open_dataset`.
    """
    dataset = open_dataset(path)
    _check_whole(dataset)
    return dataset


def _check_whole(dataset: Dataset) -> None:
    for tag in dataset.keys():  # noqa: SIM118 - iterating over the data set itself parses it
        raw = dataset.get_item(tag)
        declared = getattr(raw, "length", UNDEFINED_LENGTH)
        if declared != UNDEFINED_LENGTH and len(raw.value or b"") != declared:
            raise VolumeError("is truncated; copy it anew")
        if raw.VR in ("SQ", None) and dataset[tag].VR == "SQ":
            for item in dataset[tag].value:
                _check_whole(item)


def check_frame_of_reference(uid: str, like: Volume) -> None:
    """Check that regions and image were put into one frame of reference, where both say.

    Raises:
        GeometryError: they were not.
    """
    own = {text(header, "FrameOfReferenceUID") for header in like.provenance.headers[:1]} - {""}
    if uid and own and uid not in own:
        raise GeometryError(
            "lies in another frame of reference than its volume (FrameOfReferenceUID "
            f"...{uid[-12:]}, not ...{own.pop()[-12:]}); give the labels drawn on this volume"
        )


def slice_shifts(like: Volume) -> npt.NDArray[np.float64]:
    """Return how far each slice along K lies off its image's even grid, (K, 3), in voxels.

    Scanners round the places of slices, and regions are drawn where the slices are. Zeros where no
    headers say more than the grid; where slices were moved in their planes, these count as even.
    """
    even = np.zeros((like.array.shape[2], 3))
    places = [header.get("ImagePositionPatient") or () for header in like.provenance.headers]
    if len(places) != len(even) or {len(place) for place in places} != {3}:
        return even
    even[:, 2] = np.arange(len(even))
    to_voxels = np.linalg.inv(like.affine)
    own = (np.array(places, np.float64) * TO_RAS) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    off = own - even
    off[:, :2] -= np.linspace(off[0, :2], off[-1, :2], len(off))  # a lean is tilt, now resampled
    return np.where(np.abs(off) < MOST_SHIFT, off, 0.0)


def whole_number(item: Dataset, name: str) -> int:
    """Return the whole number of a field.

    Raises:
        VolumeError: it is missing, or holds something else.
    """
    value = numbers(item, name)
    if len(value) != 1 or not value[0].is_integer():
        raise VolumeError(f"has no {name} that is a whole number; write it anew")
    return int(value[0])
