"""Contrast medium put into a real non-contrast scan: real anatomy, texture and noise, exact truth.

The enhancement is the phantom's: each labelled organ rises by what the table says, at a dose and a
response drawn for the patient, unevenly inside the organ, and blurred as a scanner blurs. The scan
itself is the twin: what a perfect translation into the non-contrast domain would give back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.errors import GeometryError, InputError
from medcyclegan.phantom.abdomen import ABDOMEN
from medcyclegan.phantom.case import STREAMS
from medcyclegan.phantom.parameters import (
    ARTERIAL_SPLEEN_UNEVEN,
    INFRARENAL_SHARE,
    LABELS,
    TISSUES,
    Phase,
)
from medcyclegan.phantom.physiology import Physiology, make_physiology
from medcyclegan.phantom.shapes import Field, Grid, Mottle, Region
from medcyclegan.phantom.totalsegmentator import KIDNEYS, TOTALSEGMENTATOR
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Labels, Volume, spacing_mm

BLUR_MM = 1.4  # Gaussian sigma in the slice, between the phantom's two kernels
PROFILE = 1 / 2.355  # sigma across slices, a share of their distance: as wide at half height
SMOOTH_MM = 1.5  # over which the scan is smoothed to see what a voxel holds
FAT_HU = -100.0
SPREAD_HU = 40.0  # of an organ about its median, so smoothed; beyond it lies another tissue
PLAUSIBLE_HU = (-60.0, 95.0)  # an organ's median without contrast medium, fatty livers included
MOST_LUNG_HU = -300.0  # the median of a lung lies below it
MOST_DOSE = 5.0
LEAST_VOXELS = 30  # in which a median says something
CORTEX_MM, CORTEX_SPREAD_MM = 8.0, 2.5  # depth of the medulla below the capsule
SINUS_MM = 12.0  # half the widest mouth of a renal sinus: the capsule spans it
RENAL_MM = (-10.0, 15.0)  # about the kidneys' middle, where the vena cava takes up their blood

Organs = Mapping[str, tuple[int, ...]]
Mask = npt.NDArray[np.bool_]
Axes = tuple[float, float, float]


@dataclass(frozen=True)
class SemiReal:
    """A real scan with contrast medium put in, and the scan itself as its exact twin.

    Args:
        image: the scan with contrast medium, type and grid of the scan.
        twin: the scan, untouched: the truth, with the same noise as the image.
        labels: as given.
        tissues: label values of each named tissue that the labels hold.
        phase: of the image.
        dose: iodine per body size, 1 is usual.
    """

    image: Volume
    twin: Volume
    labels: Labels
    tissues: dict[str, tuple[int, ...]]
    phase: Phase
    dose: float


def enhance(
    volume: Volume,
    labels: Labels,
    names: Organs = TOTALSEGMENTATOR,
    *,
    phase: Phase = "venous",
    seed: int = 0,
    dose: float | None = None,
) -> SemiReal:
    """Return a non-contrast scan as it would look in a phase with contrast medium.

    Iodine goes into labelled organs only, less where a voxel is partly fat, and none where calcium
    or gas fills it. Outside the reach of the blur (three sigmas) every voxel keeps its value.
    Cortex and medulla of kidneys labelled whole are told apart by the depth below the capsule.

    Args:
        volume: CT without contrast medium, HU, (I, J, K) of any orientation.
        labels: on the same grid.
        names: label values of each tissue, by the phantom's names or "kidneys"; tissues that the
            table gives no enhancement stay as they are.
        phase: any but "noncontrast".
        seed: which dose, responses and unevenness; equal seeds give equal images.
        dose: iodine per body size instead of the one drawn from the seed.

    Raises:
        GeometryError: scan and labels differ in shape.
        InputError: a name or phase that the phantom does not have, a label value with two names,
            labels that hold none of them, a dose that is no positive number, or an organ that does
            not measure what it does without contrast medium.
    """
    _check(volume, labels, names, phase, dose)
    found = _present(labels, names)
    if not any(_enhances(name, phase) for name in found):
        raise InputError("has labels of no organ that enhances; say which values its organs have")
    _check_lungs(volume, labels, found.get("lung", ()))
    physiology = _draw_physiology(seed)
    given = physiology.dose if dose is None else dose
    mottle = _Mottle(volume, np.random.default_rng([seed, STREAMS["texture"]]))
    iodine = np.zeros(volume.array.shape, np.float32)
    for name, region, mask in _tissues(labels, found, phase, mottle):
        row = TISSUES[name]
        uneven = ARTERIAL_SPLEEN_UNEVEN if (name, phase) == ("spleen", "arterial") else row.uneven
        gain = getattr(row, phase) * given * float(physiology.response[LABELS[name]])
        filled = gain * (1.0 + uneven * mottle(region)) * _share(volume, name, region, mask)
        if (name, phase) == ("vena_cava", "arterial"):
            filled = filled * _mixed_blood(labels, found, region)
        iodine[region][mask] = filled[mask]
    image = Volume(_sum(volume.array, _blurred(iodine, volume)), volume.affine, volume.provenance)
    return SemiReal(image, volume, labels, found, phase, given)


def _draw_physiology(seed: int) -> Physiology:
    own, findings = (
        np.random.default_rng([seed, STREAMS[name]])
        for name in ("physiology", "findings physiology")
    )
    return make_physiology(ABDOMEN, own, findings, labelled_fat=True)


def _check(volume: Volume, labels: Labels, names: Organs, phase: Phase, dose: float | None) -> None:
    if volume.array.shape != labels.array.shape:
        raise GeometryError(
            f"has shape {volume.array.shape}, its labels {labels.array.shape}; "
            "give labels on the grid of the scan"
        )
    known = (*TISSUES, KIDNEYS)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"unknown tissue {unknown[0]!r}; known are {', '.join(sorted(known))}")
    values = [value for some in names.values() for value in some]
    if twice := [value for value in values if values.count(value) > 1]:
        raise InputError(f"label {twice[0]} stands for two tissues; give it to one of them")
    if phase == "noncontrast":
        raise InputError("a scan without contrast medium is in that phase already; choose another")
    if dose is not None and not 0 < dose <= MOST_DOSE:
        raise InputError(f"dose {dose:g}: give a number above 0, up to {MOST_DOSE:g}; 1 is usual")


def _present(labels: Labels, names: Organs) -> dict[str, tuple[int, ...]]:
    """Return the label values of each tissue that the labels hold."""
    held = set(np.unique(labels.array).tolist())
    found = {name: tuple(v for v in values if v in held) for name, values in names.items()}
    return {name: values for name, values in found.items() if values}


def _check_lungs(volume: Volume, labels: Labels, values: tuple[int, ...]) -> None:
    """Check that each label of a lung measures what a lung does.

    Other numberings have other organs of the abdomen there, which pass for one another.

    Raises:
        InputError: one does not.
    """
    for value in values:
        hu = volume.array[labels.array == value]
        if len(hu) >= LEAST_VOXELS and (median := float(np.median(hu))) > MOST_LUNG_HU:
            raise InputError(
                f"measures {median:.0f} HU where label {value} says lung: labels of another "
                "numbering; say which values its organs have"
            )


def _enhances(name: str, phase: Phase) -> bool:
    return name == KIDNEYS or getattr(TISSUES[name], phase) != 0


def _tissues(
    labels: Labels, found: Organs, phase: Phase, mottle: _Mottle
) -> Iterator[tuple[str, Region, Mask]]:
    """Yield each tissue that enhances, the box it lies in and where in the box it is."""
    for name, values in found.items():
        if not _enhances(name, phase):
            continue
        mask = np.isin(labels.array, values)
        region = ndimage.find_objects(mask.astype(np.uint8))[0]
        if name != KIDNEYS:
            yield name, region, mask[region]
            continue
        inner = _medulla(mask, spacing_mm(labels.affine), mottle)[region]
        yield "kidney_cortex", region, mask[region] & ~inner
        yield "kidney_medulla", region, inner


class _Mottle:
    """How unevenly one patient's tissues fill, fixed in space."""

    def __init__(self, volume: Volume, rng: np.random.Generator) -> None:
        axes = [
            ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)
            for count, step in zip(volume.array.shape, volume.spacing_mm, strict=True)
        ]
        self.grid = Grid(*axes)
        self.noise = Mottle(rng, max(float(axis[-1]) for axis in axes) + 40.0)

    def __call__(self, region: Region) -> Field:
        return self.noise(self.grid, region)


def _medulla(mask: Mask, spacing: Axes, mottle: _Mottle) -> Mask:
    """Return which voxels of kidneys lie deep below the capsule, which spans the renal sinus."""
    inner = np.zeros_like(mask)
    kidneys, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    margin = [int(np.ceil(1.5 * SINUS_MM / step)) for step in spacing]
    for number, span in enumerate(ndimage.find_objects(kidneys), start=1):
        i, j, k = (
            slice(max(0, part.start - more), part.stop + more)
            for part, more in zip(span, margin, strict=True)
        )
        region = (i, j, k)
        one = kidneys[region] == number
        # beyond the scan's edge a kidney that it cuts goes on
        whole = np.pad(one, [(m, m) for m in margin], mode="edge")
        grown = ndimage.distance_transform_edt(~whole, sampling=spacing) <= SINUS_MM
        depth = ndimage.distance_transform_edt(grown, sampling=spacing) - SINUS_MM
        middle = tuple(slice(m, -m) for m in margin)
        pyramids = CORTEX_SPREAD_MM * mottle.noise.fine(mottle.grid, region)
        inner[region] |= one & (depth[middle] > CORTEX_MM + pyramids)
    return inner


def _share(volume: Volume, name: str, region: Region, mask: Mask) -> Field:
    """Return the share of each voxel that is the organ: less in partial fat, none in calcium.

    Raises:
        InputError: the organ does not measure what it does without contrast medium.
    """
    sigma = [SMOOTH_MM / step for step in volume.spacing_mm]
    smooth = ndimage.gaussian_filter(volume.array[region].astype(np.float32), sigma)
    median = float(np.median(smooth[mask])) if mask.any() else 0.0
    low, high = PLAUSIBLE_HU
    if np.count_nonzero(mask) >= LEAST_VOXELS and not low <= median <= high:
        reason = "labels of another numbering, or no scan of the abdomen"
        if median > high:
            reason = "contrast medium already, or labels of another numbering"
        raise InputError(
            f"measures {median:.0f} HU where its labels say {name}: {reason}; give a scan without, "
            "or say which values its organs have"
        )
    rising = (smooth - FAT_HU) / (median - SPREAD_HU - FAT_HU)
    falling = (median + 3 * SPREAD_HU - smooth) / SPREAD_HU
    return np.minimum(rising, falling).clip(0.0, 1.0)


def _mixed_blood(labels: Labels, found: Organs, region: Region) -> Field | float:
    """Return what part of the arterial vena cava's enhancement is reached at each height."""
    kidneys = [value for name in (KIDNEYS, "kidney_cortex") for value in found.get(name, ())]
    if not kidneys:
        return 1.0
    rise = labels.affine[2]
    middle = np.argwhere(np.isin(labels.array, kidneys)).mean(axis=0) @ rise[:3]
    i, j, k = np.ogrid[region]
    above = rise[0] * i + rise[1] * j + rise[2] * k - middle
    return np.interp(above, RENAL_MM, [INFRARENAL_SHARE, 1.0]).astype(np.float32)


def _blurred(iodine: Field, volume: Volume) -> Field:
    """Return the enhancement as a scanner shows it: by its kernel and by the slice's thickness."""
    frame = slice_frame(volume.array.shape, volume.affine)
    sigma = [BLUR_MM / step for step in volume.spacing_mm]
    sigma[frame.axes[0]] = PROFILE
    return ndimage.gaussian_filter(iodine, sigma, mode="nearest", truncate=3.0)


def _sum(array: npt.NDArray[Any], change: Field) -> npt.NDArray[Any]:
    """Return HU plus a change, of the type of the HU; whole numbers are rounded and saturate."""
    if array.dtype.kind == "f":
        return (array + change).astype(array.dtype)
    limits = np.iinfo(array.dtype)
    return (
        np.rint(array + change.astype(np.float64)).clip(limits.min, limits.max).astype(array.dtype)
    )
