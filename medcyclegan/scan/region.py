"""Which parts of the body a volume shows, from areas and tissues of its slices."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.body import SliceTissues, body_mask, slice_tissues
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Volume

REGIONS = ("head", "neck", "chest", "abdomen", "pelvis", "legs")  # head to foot
ABOVE = ("head", "neck")
BETWEEN = {"abdomen": "chest", "pelvis": "chest", "legs": "neck"}  # these and the lungs
MOST_SLICES = 40
LEAST_SHARE = 0.1  # of the slices that show some part, for it to be named
EVERY_MM = 2.0  # pixels are skipped up to this
MOST_MM = 3.5  # bone and lung of a few coarse pixels tell nothing
LEAST_CM2 = 15.0  # of body, for a slice to be judged at all


class _SliceSeen(NamedTuple):
    """A slice: area in cm2, and the shares of it that are lung or gas, bone, and soft tissue."""

    area: float
    lung: float
    bone: float
    soft: float

    def part(self) -> str:
        """Return the part of the body it shows, empty where that is not clear."""
        if self.area < LEAST_CM2:
            return ""
        if self.lung > 0.12 and self.area > 200:
            return "chest"
        if self.bone > 0.09 and self.area < 350 and self.soft > 0.5:
            return "head"
        if self.area < 260:
            return "neck" if self.lung > 0.004 else "legs" if self.bone > 0.02 else ""
        if self.area < 320 or self.lung > 0.05 or self.bone > 0.03:
            return ""  # consolidated lungs or bowel gas, shoulders
        return "pelvis" if self.bone > 0.0145 else "abdomen"


def region_of(volume: Volume) -> str:
    """Return the parts of the body that a tenth or more of the slices show, head to foot.

    Told from axial slices alone, at most 40 of them: the lungs make a chest, much bone in a small
    slice a head. Rough: it is there to find what does not belong to a set.

    Args:
        volume: CT in HU.

    Returns:
        Names from `REGIONS`, joined by ", "; empty for other planes, for pixels above 3.5 mm, or
        where most is not clear.
    """
    frame = slice_frame(volume.array.shape, volume.affine)
    if frame.plane != "axial" or max(frame.spacing_mm[1:]) > MOST_MM:
        return ""
    slices = to_slices(volume.array, frame)
    chosen = np.unique(np.linspace(0, len(slices) - 1, MOST_SLICES).round().astype(int))
    steps = [max(1, int(EVERY_MM / spacing)) for spacing in frame.spacing_mm[1:]]
    seen = slices[chosen, :: steps[0], :: steps[1]]
    plane = (frame.spacing_mm[1] * steps[0], frame.spacing_mm[2] * steps[1])
    parts = Counter(_parts(slice_tissues(seen, body_mask(seen), plane)))
    clear = sum(count for part, count in parts.items() if part)
    if clear < 0.5 * len(chosen):
        return ""
    return ", ".join(part for part in REGIONS if parts[part] >= max(1.0, LEAST_SHARE * clear))


def _parts(tissues: SliceTissues) -> list[str]:
    """Return the part that each slice shows, foot to head."""
    columns: list[npt.NDArray[np.float64]] = [
        tissues.body_cm2,
        tissues.lung,
        tissues.bone,
        tissues.soft,
    ]
    rows = zip(*columns, strict=True)
    seen = [_SliceSeen(*(float(value) for value in row)).part() for row in rows]
    neck = next((index for index in reversed(range(len(seen))) if seen[index] in ABOVE), 0)
    chest = next((index for index in reversed(range(len(seen))) if seen[index] == "chest"), -1)
    for index in range(chest + 1, neck):  # shoulders have hardly any lung
        seen[index] = BETWEEN.get(seen[index], seen[index])
    return seen
