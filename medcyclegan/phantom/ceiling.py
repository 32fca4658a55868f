"""The phantom's information ceiling: what the best translator could do that knows its priors.

From one acquisition nobody can tell a patient's tissues without contrast medium from his dose: a
liver of 110 HU may be one of 57 HU that took up 53, or one of 52 HU that took up 58. What is to
be expected given the image is in `posterior`. No translator of these phantoms can expect a much
smaller squared error of an organ's mean; one that has it was told more than an image holds, or
was lucky in few patients. The ceiling knows the true label map, the table and how wide kernels
are, but not the patient.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.phantom.parameters import Phase
from medcyclegan.phantom.posterior import (
    LABEL_NAMES,
    LEAST_VOXELS,
    Known,
    Slices,
    as_slices,
    expected_uptake,
    look_up,
    usual_gain,
)
from medcyclegan.phantom.setting import Setting
from medcyclegan.slices import from_slices, slice_frame
from medcyclegan.volume import Labels, Volume

Hu = npt.NDArray[np.float32]

BLUR_MM = 1.6  # of the change, by kernels and voxels together
LOCAL_MM = 4.0  # over which unevenness is seen through the noise


def posterior_change(
    image: Volume,
    labels: Labels,
    phase: Phase,
    *,
    setting: Setting,
    twin_phase: Phase = "noncontrast",
    labelled_fat: bool = False,
) -> dict[int, float]:
    """Return for each label value the expected change to the twin's phase, given the image, HU.

    Args:
        image: one acquisition of a phantom patient, HU.
        labels: his true label map, values of `LABELS`.
        phase: of the image.
        setting: that he was made with.
        twin_phase: that the image is to be translated to.
        labelled_fat: whether fatty livers have a label of their own, as in populations with
            findings; if not, any liver may be one.
    """
    known = look_up(as_slices(image, labels), (phase, twin_phase), setting)
    change = expected_uptake(known, setting, labelled_fat=labelled_fat) * (
        known.gain[1] - known.gain[0]
    )
    return {int(value): float(hu) for value, hu in zip(known.values, change, strict=True)}


def ceiling_output(
    image: Volume,
    labels: Labels,
    phase: Phase,
    *,
    setting: Setting,
    twin_phase: Phase = "noncontrast",
    labelled_fat: bool = False,
) -> Volume:
    """Return the image plus the change that is to be expected of each voxel, float32 HU.

    The change of a label is `posterior_change`, whose arguments these are; inside it, unevenness
    that the image shows is put down to enhancement and to texture as their variances are. Noise
    and texture stay as they are.
    """
    scan = as_slices(image, labels)
    known = look_up(scan, (phase, twin_phase), setting)
    uptake = expected_uptake(known, setting, labelled_fat=labelled_fat)
    field = np.zeros(scan.hu.shape, np.float32)
    regions = ndimage.find_objects(scan.labels)
    for n, value in enumerate(known.values):
        if not known.gain[:, n].any():
            continue
        region = regions[value - 1]
        part = scan.cut(region)
        inside = part.labels == value
        before, after = (
            usual_gain(setting, LABEL_NAMES[value], one, part.heights)[:, None, None]
            for one in (phase, twin_phase)
        )
        taken_up = uptake[n] + _unevenness(part, known, n, uptake[n])
        field[region][inside] = ((after - before) * taken_up)[inside]
    blur = [0.0, *(BLUR_MM / step for step in scan.spacing_mm[1:])]
    field = ndimage.gaussian_filter(field, blur, mode="nearest", truncate=3.0)
    frame = slice_frame(image.array.shape, image.affine)
    return Volume(from_slices(scan.hu + field, frame), image.affine, image.provenance)


def _unevenness(part: Slices, known: Known, n: int, uptake: float) -> Hu:
    """Return how much more than its mean each voxel of label n seems to have taken up."""
    core = part.core & (part.labels == known.values[n])
    gain = known.gain[0, n]
    if not gain or np.count_nonzero(core) < LEAST_VOXELS:
        return np.zeros(part.hu.shape, np.float32)
    sigma = [LOCAL_MM / step for step in part.spacing_mm]
    excess = np.where(core, part.hu - np.float32(known.hu[n]), np.float32(0.0))
    weight = ndimage.gaussian_filter(core.astype(np.float32), sigma)
    local = ndimage.gaussian_filter(excess, sigma) / np.maximum(weight, 1e-3)
    enhanced = (gain * uptake * known.uneven[n]) ** 2
    share = enhanced / max(enhanced + known.texture[n] ** 2, float(local[core].var()))
    return local * np.float32(share / gain)
