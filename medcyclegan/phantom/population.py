"""Population: what the patients of one domain have in common, contrast medium apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from medcyclegan.phantom.parameters import Phase

Domain = Literal["contrast", "noncontrast"]


@dataclass(frozen=True)
class Population:
    """Who is sent to a scan of one domain, and to which scanner.

    Args:
        phases: of its images, given to patients in turn.
        scanners: share of patients on each of `SCANNERS`; the shares sum to 1.
        findings: share of patients with each finding. Empty: no patient has a finding, each has
            lesions of the one kind "lesion", and a fatty liver is labelled as any other.
        noise: factor on the noise of its scanners: how far they spare radiation.
        field_of_view_mm: least and greatest width of the scans, mm; each patient has his own.
        habitus: shift of the patients' build: 1 adds 8 mm of fat and 8 mm to the half width of
            the abdominal cavity; patients of one population spread by 1 to either side.
    """

    phases: tuple[Phase, ...]
    scanners: Mapping[str, float]
    findings: Mapping[str, float] = field(default_factory=dict)
    noise: float = 1.0
    field_of_view_mm: tuple[float, float] = (384.0, 384.0)
    habitus: float = 0.0

    def draw_scanner(self, rng: np.random.Generator) -> str:
        """Return the scanner of one patient, a key of `SCANNERS`."""
        names = list(self.scanners)
        steps = np.cumsum([self.scanners[name] for name in names])
        return names[min(int(np.searchsorted(steps, rng.random(), "right")), len(names) - 1)]


Populations = Mapping[Domain, Population]

PLAIN: Populations = {
    "contrast": Population(
        phases=("venous", "venous", "venous", "arterial"), scanners={"sharp": 0.4, "smooth": 0.6}
    ),
    "noncontrast": Population(phases=("noncontrast",), scanners={"sharp": 0.6, "smooth": 0.4}),
}

DIFFERING: Populations = {
    "contrast": Population(
        phases=(
            "venous",
            "venous",
            "arterial",
            "venous",
            "venous",
            "delayed",
            "venous",
            "arterial",
        ),
        scanners={"sharp": 0.2, "smooth": 0.8},
        findings={
            "calcified_plaque": 0.35,
            "kidney_stone": 0.1,
            "gallstone": 0.12,
            "oral_contrast": 0.4,
            "clip": 0.15,
            "kidney_cyst": 0.35,
            "liver_cyst": 0.2,
            "ascites": 0.2,
            "unopacified_cava": 0.15,
            "kidney_bed": 0.08,
            "fatty_liver": 0.15,
            "atrophic_kidney": 0.08,
            "opacified_pelvis": 0.1,
            "hypo_lesion": 0.5,
            "hyper_lesion": 0.3,
        },
        field_of_view_mm=(370.0, 410.0),
        habitus=-0.3,
    ),
    "noncontrast": Population(
        phases=("noncontrast",),
        scanners={"sharp": 0.8, "smooth": 0.2},
        findings={
            "calcified_plaque": 0.6,
            "kidney_stone": 0.4,
            "gallstone": 0.18,
            "oral_contrast": 0.15,
            "clip": 0.1,
            "kidney_cyst": 0.3,
            "liver_cyst": 0.15,
            "ascites": 0.06,
            "unopacified_cava": 0.06,
            "kidney_bed": 0.05,
            "fatty_liver": 0.3,
            "atrophic_kidney": 0.12,
            "opacified_pelvis": 0.06,
            "hypo_lesion": 0.2,
            "hyper_lesion": 0.1,
        },
        noise=1.3,
        field_of_view_mm=(400.0, 460.0),
        habitus=0.5,
    ),
}
