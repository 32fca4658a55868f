"""Reference: what a translated volume is held against, with the tissues to measure in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.body import body_mask
from medcyclegan.errors import GeometryError
from medcyclegan.intensity import Window
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Labels, Volume

Hu = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
LabelMap = npt.NDArray[np.integer]
Places = npt.NDArray[np.int64]
Tissues = Mapping[str, tuple[int, ...]]  # name -> the label values that make it up
Need = Literal["labels", "truth", "second", "dose", "targets"]

LEAST_VOXELS = 30
LEAST_SHARE = 0.22
CROSS = ndimage.generate_binary_structure(2, 1)[None]  # the four neighbours in the slice


@dataclass(frozen=True)
class TissueTable:
    """Which label values make up what is measured.

    Args:
        organs: what is to change between the domains.
        null_tissues: what must not.
        lesions: label values of lesions; every connected one counts for itself.
        aside: organs and null tissues that tables show and summaries leave out, such as air,
            which is trivially still, or a rare finding.
    """

    organs: Tissues = field(default_factory=dict)
    null_tissues: Tissues = field(default_factory=dict)
    lesions: Tissues = field(default_factory=dict)
    aside: frozenset[str] = frozenset()


class Region(NamedTuple):
    """Where one tissue lies, as indices into flattened slices.

    Args:
        core: the tissue less a rim of one voxel in the slice, or whole where it is too thin:
            where under 30 voxels or 22 % of it would be left, as of the cortex of bones.
        rim: that rim, voxels that are partly another tissue; empty where the core is the whole.
    """

    core: Places
    rim: Places


@dataclass(frozen=True)
class Scan:
    """One acquisition as slices, HU.

    Args:
        hu: (S, H, W), foot to head, front to back, the patient's right to left.
        spacing_mm: of slices, rows and columns, mm.
        labels: (S, H, W); None where there are none.
    """

    hu: Hu
    spacing_mm: tuple[float, float, float]
    labels: LabelMap | None = None

    @cached_property
    def body(self) -> Mask:
        """Which voxels belong to the patient, (S, H, W)."""
        return body_mask(self.hu)


@dataclass(frozen=True)
class Reference:
    """One patient's source and all that is known of what it should become, on one grid.

    Args:
        patient: his key.
        source: the acquisition that was translated.
        window: what networks see of the HU scale; its width is the range of PSNR and SSIM.
        tissues: what to measure in, where `source` has labels.
        truth: the patient in the other domain, same scanner, without noise, HU, (S, H, W).
        second: an acquisition of `truth`, with noise of its own, HU, (S, H, W).
        dose: his iodine per body size; 1 is usual.
        targets: acquisitions of other patients in the other domain.
    """

    patient: str
    source: Scan
    window: Window
    tissues: TissueTable = field(default_factory=TissueTable)
    truth: Hu | None = None
    second: Hu | None = None
    dose: float | None = None
    targets: Sequence[Scan] = ()

    def has(self, need: Need) -> bool:
        """Return whether what a metric needs is known of this patient."""
        if need == "labels":
            return self.source.labels is not None
        if need == "targets":
            return len(self.targets) > 0
        return getattr(self, need) is not None

    @cached_property
    def organs(self) -> dict[str, Region]:
        """Where each organ lies; those the labels do not hold are left out."""
        return self._regions(self.tissues.organs)

    @cached_property
    def null_tissues(self) -> dict[str, Region]:
        """Where each tissue lies that must not change; likewise."""
        return self._regions(self.tissues.null_tissues)

    def _regions(self, tissues: Tissues) -> dict[str, Region]:
        labels = self.source.labels
        if labels is None:
            return {}
        found = ((name, np.isin(labels, values)) for name, values in tissues.items())
        return {name: make_region(mask) for name, mask in found if mask.any()}


def make_region(mask: Mask) -> Region:
    """Return where to measure the tissue that `mask` (S, H, W), not empty, holds."""
    core = ndimage.binary_erosion(mask, CROSS, border_value=1)
    enough = max(LEAST_VOXELS, LEAST_SHARE * np.count_nonzero(mask))
    if np.count_nonzero(core) < enough:
        core = mask
    return Region(np.flatnonzero(core), np.flatnonzero(mask & ~core))


def make_scan(volume: Volume, labels: Labels | None = None) -> Scan:
    """Return a volume, with its labels where there are some, as slices.

    Raises:
        GeometryError: volume and labels differ in shape.
    """
    frame = slice_frame(volume.array.shape, volume.affine)
    if labels is not None and labels.array.shape != volume.array.shape:
        raise GeometryError(
            f"volume and labels differ in shape: {volume.array.shape}, {labels.array.shape}"
        )
    hu = np.ascontiguousarray(to_slices(volume.array, frame), dtype=np.float32)
    known = None if labels is None else np.ascontiguousarray(to_slices(labels.array, frame))
    return Scan(hu, frame.spacing_mm, known)


def slices_like(volume: Volume, source: Volume) -> Hu:
    """Return a volume on the grid of `source` as slices, HU, (S, H, W), contiguous.

    Raises:
        GeometryError: they differ in shape.
    """
    if volume.array.shape != source.array.shape:
        raise GeometryError(
            f"source and output differ in shape: {source.array.shape}, {volume.array.shape}"
        )
    frame = slice_frame(source.array.shape, source.affine)
    return np.ascontiguousarray(to_slices(volume.array, frame), dtype=np.float32)
