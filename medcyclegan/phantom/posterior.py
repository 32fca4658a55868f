"""What one acquisition of a phantom patient tells of how much each tissue took up.

Given the dose d, label i measures in its core

    m_i = base_i + texture_i + e_i d g_i + noise_i,    g_i = response_i + unevenness_i,

all of it Gaussian with the means and spreads of the table, bases and responses shared as
`SAME_BASE` and `SAME_RESPONSE` say. The posterior of d is taken on a grid over its prior, the
mean of g_i given d in closed form; the expected uptake is the posterior mean of d g_i.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import ndtri

from medcyclegan.phantom.parameters import (
    ARTERIAL_SPLEEN_UNEVEN,
    CAVA_MM,
    ENHANCEMENT_SD,
    FATTY_RANGE_HU,
    FATTY_SHARE,
    INFRARENAL_SHARE,
    LABELS,
    SAME_BASE,
    SAME_RESPONSE,
    Phase,
)
from medcyclegan.phantom.setting import Setting
from medcyclegan.phantom.shapes import LUMP_VARIANCE, MOTTLE, Region
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Labels, Volume

Floats = npt.NDArray[np.float64]
Hu = npt.NDArray[np.float32]
LabelMap = npt.NDArray[np.integer]

LABEL_NAMES = tuple(LABELS)
DOSES = 200  # points of the grid over the prior of the dose, equally likely
CLIPPED = 0.9205  # variance of a standard normal clipped at 2 either way, as the table's spreads
STRIPS = 5  # the range of fatty livers without a label is so many narrow Gaussians
LEAST_VOXELS = 8  # of a label's core in which it is measured
MEASURING_HU = 0.3  # error of a measured mean beside its noise: what the blur lets in
NO_CORE = 1e8  # variance of a measurement that was not made, HU^2
CROSS = ndimage.generate_binary_structure(2, 1)[None]  # the four neighbours in the slice


@dataclass(frozen=True)
class Known:
    """What the table and an image say of each label that the image holds; arrays are (labels,).

    Args:
        values: label values.
        hu: mean in the core; that of the table where a label has none.
        noise: variance of that mean from noise; without bound where a label has no core.
        mottle: variance of the mean of unit unevenness over the label.
        base: without contrast medium, HU.
        base_variance: between patients, and of labels with one another, (labels, labels).
        gain: enhancement in the image's phase and in the twin's, HU at dose 1, (2, labels).
        response_variance: of the gain's factor, likewise (labels, labels).
        texture: spread inside a patient's tissue, HU.
        uneven: spread of the enhancement inside it, a share.
    """

    values: npt.NDArray[np.int64]
    hu: Floats
    noise: Floats
    mottle: Floats
    base: Floats
    base_variance: Floats
    gain: Floats
    response_variance: Floats
    texture: Floats
    uneven: Floats


class Slices(NamedTuple):
    """An image, its labels and the cores of these as slices, with their heights and spacing."""

    hu: Hu
    labels: LabelMap
    core: npt.NDArray[np.bool_]
    heights: Floats
    spacing_mm: tuple[float, float, float]

    def cut(self, region: Region) -> Slices:
        """Return the part of the slices in a box."""
        return Slices(
            self.hu[region],
            self.labels[region],
            self.core[region],
            self.heights[region[0]],
            self.spacing_mm,
        )


def as_slices(image: Volume, labels: Labels) -> Slices:
    """Return an image of a phantom patient with his labels as slices."""
    frame = slice_frame(image.array.shape, image.affine)
    hu = to_slices(image.array, frame).astype(np.float32)
    held = to_slices(labels.array, frame).astype(np.int32)
    same = ndimage.minimum_filter(held, footprint=CROSS) == ndimage.maximum_filter(
        held, footprint=CROSS
    )
    axis = frame.axes[0]
    heights = image.affine[2, 3] + image.affine[2, axis] * np.arange(image.array.shape[axis])
    return Slices(hu, held, same, heights[:: -1 if frame.flips[0] else 1], frame.spacing_mm)


def look_up(scan: Slices, phases: tuple[Phase, Phase], setting: Setting) -> Known:
    """Return what the table and the image say of each label that the image holds."""
    values = np.unique(scan.labels).astype(np.int64)
    names = [LABEL_NAMES[value] for value in values]
    rows = [setting.tissues[name] for name in names]
    bases, responses = (
        np.array([LABELS[same.get(name, name)] for name in names])
        for same in (SAME_BASE, SAME_RESPONSE)
    )
    base = [setting.tissues[LABEL_NAMES[value]] for value in bases]
    spread = np.sqrt(CLIPPED) * np.array([row.base_sd for row in base])
    measured = [_measure(scan, value) for value in values]
    heights = [one.heights for one in measured]
    gain = np.array([_mean_gains(setting, phase, names, heights) for phase in phases])
    uneven = np.array([row.uneven for row in rows])
    if "arterial" in phases:
        uneven[values == LABELS["spleen"]] = ARTERIAL_SPLEEN_UNEVEN
    means = np.array([row.base_hu for row in base])
    found = np.array([m.hu for m in measured])
    return Known(
        values=values,
        hu=np.where(np.isfinite(found), found, means),
        noise=np.array([m.noise for m in measured]),
        mottle=np.array([m.mottle for m in measured]),
        base=means,
        base_variance=np.outer(spread, spread) * (bases[:, None] == bases),
        gain=gain,
        response_variance=CLIPPED * ENHANCEMENT_SD**2 * (responses[:, None] == responses),
        texture=np.array([row.texture_hu for row in rows]),
        uneven=uneven,
    )


class _Measured(NamedTuple):
    """One label's mean in its core, the variance of that, of its mottle, and its heights."""

    hu: float
    noise: float
    mottle: float
    heights: Floats


def _measure(scan: Slices, value: int) -> _Measured:
    mask = scan.labels == value
    core = mask & scan.core
    count = np.count_nonzero(core)
    places = np.nonzero(core if count >= LEAST_VOXELS else mask)
    mottle = 0.0
    for weight, scale_mm in MOTTLE:
        variance, length_mm = weight**2, scale_mm / LUMP_VARIANCE
        share = variance
        for at, step in zip(places, scan.spacing_mm, strict=True):
            extent_mm = np.sqrt(12.0) * np.std(at) * step
            share /= 1.0 + extent_mm / length_mm
        mottle += share
    heights = scan.heights[places[0]]
    if count < LEAST_VOXELS:
        return _Measured(np.nan, NO_CORE, mottle, heights)
    hu = scan.hu[core].astype(np.float64)
    return _Measured(hu.mean(), hu.var() / count + MEASURING_HU**2, mottle, heights)


def usual_gain(setting: Setting, name: str, phase: Phase, heights: Floats) -> Floats:
    """Return the table's enhancement of a tissue at each height, HU."""
    if phase == "noncontrast":
        return np.zeros_like(heights)
    gain = np.full_like(heights, getattr(setting.tissues[name], phase))
    if (name, phase) == ("vena_cava", "arterial"):
        gain *= np.interp(heights, CAVA_MM, [INFRARENAL_SHARE, 1.0])
    return gain


def _mean_gains(
    setting: Setting, phase: Phase, names: Sequence[str], heights: Sequence[Floats]
) -> list[float]:
    return [
        float(usual_gain(setting, name, phase, at).mean())
        for name, at in zip(names, heights, strict=True)
    ]


def expected_uptake(known: Known, setting: Setting, *, labelled_fat: bool) -> Floats:
    """Return the expected dose times response and unevenness of each label, (labels,)."""
    chances = (np.arange(DOSES) + 0.5) / DOSES
    doses = np.exp(setting.dose_sd * ndtri(chances)).clip(*setting.dose_range)
    evidence, uptake = [], []
    for weight, prior in _livers(known, labelled_fat=labelled_fat):
        for dose in doses:
            likelihood, taken_up = _given(prior, dose)
            evidence.append(np.log(weight) + likelihood)
            uptake.append(taken_up)
    odds = np.exp(np.array(evidence) - np.max(evidence))
    return odds @ np.array(uptake) / odds.sum()


def _livers(known: Known, *, labelled_fat: bool) -> Iterator[tuple[float, Known]]:
    """Yield the priors that may hold, with their weights: a usual liver, or how fatty a one."""
    liver = known.values == LABELS["liver"]
    if labelled_fat or not liver.any():
        yield 1.0, known
        return
    yield 1.0 - FATTY_SHARE, known
    low, high = FATTY_RANGE_HU
    width = (high - low) / STRIPS
    other = ~liver
    apart = known.base_variance * np.outer(other, other)
    for strip in range(STRIPS):
        base = np.where(liver, low + (strip + 0.5) * width, known.base)
        variance = apart + np.diag(liver * width**2 / 12.0)
        yield FATTY_SHARE / STRIPS, replace(known, base=base, base_variance=variance)


def _given(known: Known, dose: float) -> tuple[float, Floats]:
    """Return the log-likelihood of what was measured at a dose, and the expected uptake."""
    gain = dose * known.gain[0]
    factor = known.response_variance + np.diag(known.uneven**2 * known.mottle)
    shared = gain[:, None] * factor
    variance = known.base_variance + shared * gain
    variance += np.diag(known.texture**2 * known.mottle + known.noise)
    excess = known.hu - known.base - gain
    solved = np.linalg.solve(variance, excess)
    likelihood = -0.5 * (excess @ solved + np.linalg.slogdet(variance)[1])
    return float(likelihood), dose * (1.0 + shared.T @ solved)
