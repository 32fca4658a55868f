"""Forgeries: outputs that cheat one instrument or another, made from the truth or the source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.metrics.lesions import find_lesions
from medcyclegan.metrics.reference import Hu, LabelMap, Reference

SOFTENED_MM = 1.2  # Gaussian sigma in the slice, under half a voxel of the phantom
BLUR_MM = 3.0  # likewise, a voxel of it
INVENTED_HU = -45.0
INVENTED_MM = 26.0  # across
SOFT_MM = 2.0  # Gaussian sigma of its edge
FLICKER_HU = 15.0  # up in every other slice, down in those between
SQUARE_MM = 12.0
SQUARE_HU = 60.0  # up and down

Forgery = Callable[[Reference], Hu]


def denoised_truth(reference: Reference) -> Hu:
    """Return the truth as a denoiser leaves it: near in every voxel, but without grain."""
    return _smoothed_truth(reference, SOFTENED_MM)


def blurred_truth(reference: Reference) -> Hu:
    """Return the truth without noise and without sharp edges."""
    return _smoothed_truth(reference, BLUR_MM)


def _smoothed_truth(reference: Reference, sigma_mm: float) -> Hu:
    assert reference.truth is not None
    sigma = [0.0, *(sigma_mm / step for step in reference.source.spacing_mm[1:])]
    return ndimage.gaussian_filter(reference.truth, sigma, mode="nearest")


def inverted_image(reference: Reference) -> Hu:
    """Return the source with its HU turned upside down inside the window: the same edges."""
    window, hu = reference.window, reference.source.hu
    inside = reference.source.body & (hu > window.low_hu) & (hu < window.high_hu)
    return np.where(inside, np.float32(window.low_hu + window.high_hu) - hu, hu)


def lesions_removed(reference: Reference) -> Hu:
    """Return another acquisition of the truth in which every lesion looks like its surroundings."""
    assert reference.truth is not None
    assert reference.second is not None
    truth, output = reference.truth.ravel(), reference.second.copy()
    for lesion in find_lesions(reference.source, tuple(reference.tissues.lesions.items())):
        contrast = truth[lesion.inside].mean() - truth[lesion.ring].mean()
        output.ravel()[lesion.inside] -= contrast
    return output


def lesion_invented(reference: Reference) -> Hu:
    """Return another acquisition of the truth with one dark lesion deep in the largest organ."""
    assert reference.second is not None
    labels = reference.source.labels
    assert labels is not None
    depth = _depth(labels, reference)
    middle = np.unravel_index(int(depth.argmax()), depth.shape)
    away = [
        (np.arange(size) - place) * step
        for size, place, step in zip(labels.shape, middle, reference.source.spacing_mm, strict=True)
    ]
    squared = sum(
        np.square(line).reshape([-1 if axis == own else 1 for axis in range(3)])
        for own, line in enumerate(away)
    )
    ball = (squared <= (INVENTED_MM / 2) ** 2).astype(np.float32)
    sigma = [0.0, *(SOFT_MM / step for step in reference.source.spacing_mm[1:])]
    return reference.second + np.float32(INVENTED_HU) * ndimage.gaussian_filter(ball, sigma)


def flickering_slices(reference: Reference) -> Hu:
    """Return another acquisition of the truth with the body brighter in every other slice."""
    assert reference.second is not None
    sign = np.where(np.arange(len(reference.second)) % 2, -1.0, 1.0)
    offset = (FLICKER_HU * sign).astype(np.float32)[:, None, None]
    return reference.second + offset * reference.source.body


def checkerboard(reference: Reference) -> Hu:
    """Return another acquisition of the truth with squares on the body, as bad upsampling makes."""
    assert reference.second is not None
    rows, columns = (
        (np.arange(size) * step // SQUARE_MM).astype(int)
        for size, step in zip(
            reference.second.shape[1:], reference.source.spacing_mm[1:], strict=True
        )
    )
    sign = np.where((rows[:, None] + columns[None, :]) % 2, -1.0, 1.0).astype(np.float32)
    return reference.second + np.float32(SQUARE_HU) * sign * reference.source.body


def _depth(labels: LabelMap, reference: Reference) -> npt.NDArray[np.float64]:
    """Return how deep in the organ with the most voxels each of its voxels lies, mm."""
    masks = [np.isin(labels, values) for values in reference.tissues.organs.values()]
    largest = max(masks, key=np.count_nonzero)
    depth: npt.NDArray[np.float64] = ndimage.distance_transform_edt(
        np.pad(largest, 1), sampling=reference.source.spacing_mm
    )
    return depth[1:-1, 1:-1, 1:-1]


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "denoised_truth": (denoised_truth, "the truth without noise, its edges hardly softer"),
    "blurred_truth": (blurred_truth, "the truth without noise, blurred"),
    "inverted_image": (inverted_image, "the source with its HU turned upside down"),
    "lesions_removed": (
        lesions_removed,
        "the truth, acquired again, with every lesion painted over",
    ),
    "lesion_invented": (
        lesion_invented,
        "the truth, acquired again, with one lesion that nobody has",
    ),
    "flickering_slices": (
        flickering_slices,
        "the truth, acquired again, brighter in every other slice",
    ),
    "checkerboard": (checkerboard, "the truth, acquired again, with squares on the body"),
}
