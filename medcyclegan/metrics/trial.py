"""Trial: a translated volume beside its source and the truth, with the tissues to measure in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.errors import GeometryError
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Labels, Volume

Mask = npt.NDArray[np.bool_]
Tissues = Mapping[str, tuple[int, ...]]  # name -> the label values that make it up

LEAST_VOXELS = 30
LEAST_SHARE = 0.22


class TwinnedCase(Protocol):
    """A volume, its labels, and the same patient in the other domain, free of noise."""

    @property
    def image(self) -> Volume:
        """The source."""

    @property
    def labels(self) -> Labels:
        """Its label map."""

    @property
    def clean_twin(self) -> Volume:
        """The truth."""


@dataclass(frozen=True)
class Trial:
    """One patient's source, output and truth on one grid.

    Args:
        source: HU, (I, J, K).
        output: the translated source, HU, same shape.
        truth: the twin without noise, HU, same shape.
        organs: where to measure each organ that is to change.
        null_tissues: where to measure each tissue that must not.
    """

    source: npt.NDArray[np.float32]
    output: npt.NDArray[np.float32]
    truth: npt.NDArray[np.float32]
    organs: Mapping[str, Mask]
    null_tissues: Mapping[str, Mask]


def make_trial(
    case: TwinnedCase, output: Volume, organs: Mapping[str, Mask], null_tissues: Mapping[str, Mask]
) -> Trial:
    """Return the trial of one case.

    Args:
        case: source and truth.
        output: the translated source, on its grid.
        organs: masks as `make_regions` gives them.
        null_tissues: likewise.

    Raises:
        GeometryError: output, source and twin differ in shape.
    """
    shapes = {volume.array.shape for volume in (case.image, output, case.clean_twin)}
    if len(shapes) != 1:
        raise GeometryError(f"source, output and twin differ in shape: {sorted(shapes)}")
    source, out, truth = (
        volume.array.astype(np.float32) for volume in (case.image, output, case.clean_twin)
    )
    return Trial(source, out, truth, organs, null_tissues)


def make_regions(labels: Labels, tissues: Tissues) -> dict[str, Mask]:
    """Return where each tissue is measured: its mask, less a rim where it is thick enough.

    The rim, one voxel in the slice, holds voxels that are partly another tissue. A tissue that
    would lose so much that under 30 voxels or 22 % of it are left (the cortex of bones) is
    measured whole.

    Args:
        labels: (I, J, K).
        tissues: name -> label values.

    Returns:
        name -> (I, J, K); tissues the labels do not hold are left out.
    """
    across = slice_frame(labels.array.shape, labels.affine).axes[0]
    cross = np.moveaxis(ndimage.generate_binary_structure(2, 1)[None], 0, across)
    regions = {}
    for name, values in tissues.items():
        mask = np.isin(labels.array, values)
        if not mask.any():
            continue
        core = ndimage.binary_erosion(mask, cross, border_value=1)
        enough = max(LEAST_VOXELS, LEAST_SHARE * np.count_nonzero(mask))
        regions[name] = core if np.count_nonzero(core) >= enough else mask
    return regions
