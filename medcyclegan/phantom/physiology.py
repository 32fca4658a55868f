"""What one patient's tissues measure, with and without contrast medium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom.parameters import (
    ARTERIAL_SPLEEN_UNEVEN,
    CAVA_MM,
    ENHANCEMENT_SD,
    FATTY_RANGE_HU,
    FATTY_SHARE,
    INFRARENAL_SHARE,
    LABELS,
    ORDINARY,
    SAME_BASE,
    SAME_RESPONSE,
    Phase,
    Tissue,
)
from medcyclegan.phantom.setting import Setting
from medcyclegan.phantom.shapes import EVERYTHING, Field, Grid, Mottle


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


def make_physiology(
    setting: Setting,
    rng: np.random.Generator,
    findings_rng: np.random.Generator,
    *,
    labelled_fat: bool,
) -> Physiology:
    """Draw one patient's dose and tissues.

    Tissues of one kind go together: all blood measures the same, so do all urine and all fat about
    the kidneys; cortex and medulla respond alike, and so do veins, and livers fatty or not.

    Args:
        setting: the table, and the spread of the dose.
        rng: of the dose and the tissues that every patient may have.
        findings_rng: of the tissues of findings, so that they leave the others as they are.
        labelled_fat: whether fatty livers have a label of their own; if not, every fifth patient's
            liver is fatty.
    """
    rows = setting.tissues.values()
    further = len(LABELS) - ORDINARY
    dose = float(np.exp(rng.normal(0.0, setting.dose_sd)).clip(*setting.dose_range))
    spread = np.r_[rng.standard_normal(ORDINARY), findings_rng.standard_normal(further)]
    base = np.array([row.base_hu for row in rows])
    base = base + spread.clip(-2.0, 2.0) * [row.base_sd for row in rows]
    for name, like in SAME_BASE.items():
        base[LABELS[name]] = base[LABELS[like]]
    if rng.random() < FATTY_SHARE:
        fatty_hu = rng.uniform(*FATTY_RANGE_HU)
        if not labelled_fat:
            base[LABELS["liver"]] = fatty_hu
    spread = np.r_[rng.standard_normal(ORDINARY), findings_rng.standard_normal(further)]
    response = 1.0 + ENHANCEMENT_SD * spread.clip(-2.0, 2.0)
    for name, like in SAME_RESPONSE.items():
        response[LABELS[name]] = response[LABELS[like]]
    return Physiology(dose, base.astype(np.float32), response.astype(np.float32))


class TissueMap:
    """One patient's HU in any phase, before a scanner sees him.

    Args:
        grid: where.
        labels: (S, H, W).
        physiology: the patient's.
        rng: for the texture of his tissues, the same in every phase.
        tissues: the table of HU, in the order of `LABELS`.
    """

    def __init__(
        self,
        grid: Grid,
        labels: npt.NDArray[np.uint8],
        physiology: Physiology,
        rng: np.random.Generator,
        tissues: Mapping[str, Tissue],
    ) -> None:
        self.grid, self.labels, self.physiology = grid, labels, physiology
        self.rows = tuple(tissues.values())
        self.texture = Mottle(rng)(grid, EVERYTHING)
        self.uneven = Mottle(rng)(grid, EVERYTHING)

    def hu(self, phase: Phase) -> Field:
        """Return the patient in a phase, HU, (S, H, W)."""
        texture = np.array([row.texture_hu for row in self.rows], np.float32)
        hu = self.physiology.base_hu[self.labels] + texture[self.labels] * self.texture
        if phase == "noncontrast":
            return hu
        return hu + self._enhancement(phase)

    def _enhancement(self, phase: Phase) -> Field:
        usual = np.array([getattr(row, phase) for row in self.rows], np.float32)
        uneven = np.array([row.uneven for row in self.rows], np.float32)
        if phase == "arterial":
            uneven[LABELS["spleen"]] = ARTERIAL_SPLEEN_UNEVEN
        gain = usual * self.physiology.response * self.physiology.dose
        field = gain[self.labels] * (1.0 + uneven[self.labels] * self.uneven)
        if phase == "arterial":
            share = np.interp(self.grid.z, CAVA_MM, [INFRARENAL_SHARE, 1.0])
            cava = self.labels == LABELS["vena_cava"]
            field = np.where(cava, field * share[:, None, None], field)
        return field.astype(np.float32)
