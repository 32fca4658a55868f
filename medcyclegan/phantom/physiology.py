"""What one patient's tissues measure, with and without contrast medium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.parameters import (
    ARTERIAL_SPLEEN_UNEVEN,
    DOSE_RANGE,
    DOSE_SD,
    ENHANCEMENT_SD,
    FATTY_RANGE_HU,
    FATTY_SHARE,
    INFRARENAL_SHARE,
    LABELS,
    TISSUES,
    Phase,
)
from medcyclegan.phantom.shapes import EVERYTHING, Field, Grid, Lumps


@dataclass(frozen=True)
class Physiology:
    """One patient's tissues.

    Args:
        dose: iodine per body size, 1 is usual.
        base_hu: mean HU of each label without contrast medium, (labels,).
        response: enhancement of each label as a share of the table's, (labels,), dose not counted.
    """

    dose: float
    base_hu: npt.NDArray[np.float32]
    response: npt.NDArray[np.float32]


def make_physiology(rng: np.random.Generator) -> Physiology:
    """Draw one patient's dose and tissues; cortex and medulla respond alike, and so do veins."""
    dose = float(np.exp(rng.normal(0.0, DOSE_SD)).clip(*DOSE_RANGE))
    spread = rng.standard_normal(len(LABELS)).clip(-2.0, 2.0)
    base = np.array([row.base_hu for row in TISSUES.values()])
    base = base + spread * [row.base_sd for row in TISSUES.values()]
    for vein in ("vena_cava", "portal_vein"):
        base[LABELS[vein]] = base[LABELS["aorta"]]
    if rng.random() < FATTY_SHARE:
        base[LABELS["liver"]] = rng.uniform(*FATTY_RANGE_HU)
    response = 1.0 + ENHANCEMENT_SD * rng.standard_normal(len(LABELS)).clip(-2.0, 2.0)
    response[LABELS["kidney_medulla"]] = response[LABELS["kidney_cortex"]]
    response[LABELS["portal_vein"]] = response[LABELS["vena_cava"]]
    return Physiology(dose, base.astype(np.float32), response.astype(np.float32))


class TissueMap:
    """One patient's HU in any phase, before a scanner sees him.

    Args:
        grid: where.
        labels: (S, H, W).
        physiology: the patient's.
        rng: for the texture of his tissues, the same in every phase.
    """

    def __init__(
        self,
        grid: Grid,
        labels: npt.NDArray[np.uint8],
        physiology: Physiology,
        rng: np.random.Generator,
    ) -> None:
        self.grid, self.labels, self.physiology = grid, labels, physiology
        self.texture = _mottle(grid, rng)
        self.uneven = _mottle(grid, rng)

    def hu(self, phase: Phase) -> Field:
        """Return the patient in a phase, HU, (S, H, W)."""
        texture = np.array([row.texture_hu for row in TISSUES.values()], np.float32)
        hu = self.physiology.base_hu[self.labels] + texture[self.labels] * self.texture
        if phase == "noncontrast":
            return hu
        return hu + self._enhancement(phase)

    def _enhancement(self, phase: Phase) -> Field:
        rows = TISSUES.values()
        usual = np.array([getattr(row, phase) for row in rows], np.float32)
        uneven = np.array([row.uneven for row in rows], np.float32)
        if phase == "arterial":
            uneven[LABELS["spleen"]] = ARTERIAL_SPLEEN_UNEVEN
        gain = usual * self.physiology.response * self.physiology.dose
        field = gain[self.labels] * (1.0 + uneven[self.labels] * self.uneven)
        if phase == "arterial":
            share = np.interp(self.grid.z, [-30.0, -5.0], [INFRARENAL_SHARE, 1.0])
            cava = self.labels == LABELS["vena_cava"]
            field = np.where(cava, field * share[:, None, None], field)
        return field.astype(np.float32)


def _mottle(grid: Grid, rng: np.random.Generator) -> Field:
    """Return noise of about unit variance, part of it coarse and part fine, (S, H, W)."""
    coarse, fine = Lumps(rng, 32.0), Lumps(rng, 9.0)
    return 0.8 * coarse(grid, EVERYTHING) + 0.6 * fine(grid, EVERYTHING)
