"""What each tissue of the phantom measures in HU, without contrast medium and with it.

Round figures within the ranges usual in practice, not fitted to any one study. Sources to hold
them against: Lamba et al. 2014 (AJR 203:1013-1020) for soft organs without contrast medium;
Pickhardt et al. 2013 (Ann Intern Med 158:588-595) for spongy bone; Schneider et al. 1996 (Phys
Med Biol 41:111-124) for cortical bone, fat and lung; Boyce et al. 2010 (AJR 194:623-628) for
fatty livers. Enhancement at the usual 0.5 g iodine per kg: Bae 2010 (Radiology 256:32-61) and
Foley et al. 2000 (AJR 175:679-685) for liver, spleen and vessels; Birnbaum et al. 1996 (Radiology
200:753-758) for renal cortex and medulla; McNulty et al. 2001 (Radiology 220:97-102) for the
pancreas. Enhancement is proportional to the iodine dose per body size (Heiken et al. 1995,
Radiology 195:353-357), which each patient has his own of.

In the delayed phase vessels wash out, kidneys are even and excrete. For findings: Agatston et al.
1990 (J Am Coll Cardiol 15:827-832) for calcium, Mostafavi et al. 1998 (J Urol 159:673-675) for
urinary stones, Silverman et al. 2019 (Radiology 292:475-488) for cysts, Chernyak et al. 2018
(Radiology 289:816-830) for lesions that fill early and wash out; the rest is common experience.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["noncontrast", "arterial", "venous", "delayed"]


@dataclass(frozen=True)
class Tissue:
    """One row of the table.

    Args:
        base_hu: mean without contrast medium, HU.
        base_sd: its spread between patients, HU.
        arterial: enhancement in the late arterial phase (35 s), HU at dose 1.
        venous: enhancement in the portal venous phase (70 s), HU at dose 1.
        delayed: enhancement in the delayed phase (3 to 5 min), HU at dose 1.
        texture_hu: spread inside one patient's tissue, the unevenness of parenchyma, HU.
        uneven: spread of the enhancement inside one patient's tissue, a share of it.
    """

    base_hu: float
    base_sd: float = 0.0
    arterial: float = 0.0
    venous: float = 0.0
    delayed: float = 0.0
    texture_hu: float = 0.0
    uneven: float = 0.06


TISSUES: dict[str, Tissue] = {
    "background": Tissue(-1000.0),
    "liver": Tissue(57.0, 4.0, arterial=13.0, venous=54.0, delayed=36.0, texture_hu=3.0),
    "spleen": Tissue(48.0, 3.5, arterial=80.0, venous=72.0, delayed=44.0, texture_hu=2.5),
    "kidney_cortex": Tissue(33.0, 3.0, arterial=145.0, venous=150.0, delayed=115.0, texture_hu=2.5),
    "kidney_medulla": Tissue(
        32.0, 3.0, arterial=35.0, venous=120.0, delayed=118.0, texture_hu=2.5, uneven=0.1
    ),
    "renal_pelvis": Tissue(5.0, 3.0, delayed=500.0, texture_hu=2.0),
    "aorta": Tissue(42.0, 4.0, arterial=265.0, venous=112.0, delayed=72.0, uneven=0.02),
    "vena_cava": Tissue(42.0, 4.0, arterial=45.0, venous=100.0, delayed=72.0, uneven=0.05),
    "portal_vein": Tissue(42.0, 4.0, arterial=45.0, venous=120.0, delayed=70.0, uneven=0.03),
    "pancreas": Tissue(42.0, 4.0, arterial=66.0, venous=54.0, delayed=32.0, texture_hu=4.0),
    "gallbladder": Tissue(10.0, 4.0, texture_hu=1.0),
    "lesion": Tissue(
        38.0, 5.0, arterial=8.0, venous=22.0, delayed=24.0, texture_hu=3.0, uneven=0.15
    ),
    "stomach_wall": Tissue(42.0, 4.0, arterial=45.0, venous=45.0, delayed=34.0, texture_hu=3.0),
    "stomach_content": Tissue(20.0, 10.0, texture_hu=10.0),
    "stomach_air": Tissue(-980.0),
    "bowel_wall": Tissue(42.0, 4.0, arterial=40.0, venous=48.0, delayed=34.0, texture_hu=4.0),
    "bowel_content": Tissue(20.0, 8.0, texture_hu=12.0),
    "bowel_gas": Tissue(-950.0),
    "muscle": Tissue(
        53.0, 4.0, arterial=5.0, venous=12.0, delayed=14.0, texture_hu=5.0, uneven=0.15
    ),
    "fat": Tissue(-102.0, 5.0, texture_hu=4.0),
    "skin": Tissue(20.0, 5.0),
    "cortical_bone": Tissue(750.0, 70.0, texture_hu=40.0),
    "spongy_bone": Tissue(182.0, 28.0, texture_hu=14.0),
    "end_plate": Tissue(390.0, 45.0, texture_hu=45.0),  # 1 mm of cortex and 4 mm of spongy bone
    "disc": Tissue(82.0, 6.0, texture_hu=5.0),
    "spinal_canal": Tissue(28.0, 4.0, texture_hu=2.0),
    "lung": Tissue(-840.0, 25.0, texture_hu=20.0),
    # Findings: what not every patient has. Look-alikes of contrast medium, or of its absence.
    "calcified_plaque": Tissue(550.0, 150.0, texture_hu=40.0),
    "kidney_stone": Tissue(700.0, 200.0, texture_hu=20.0),
    "gallstone": Tissue(220.0, 60.0, texture_hu=15.0),
    "oral_contrast": Tissue(275.0, 60.0, texture_hu=15.0),
    "clip": Tissue(2500.0, 220.0),
    "kidney_cyst": Tissue(8.0, 4.0, texture_hu=1.5),
    "liver_cyst": Tissue(7.0, 4.0, texture_hu=1.5),
    "ascites": Tissue(9.0, 5.0, texture_hu=2.0),
    "unopacified_cava": Tissue(42.0, 4.0),
    "kidney_bed": Tissue(-102.0, 5.0, texture_hu=4.0),
    # Rule-breakers: tissue that changes otherwise than is usual.
    "fatty_liver": Tissue(17.5, 11.0, arterial=11.0, venous=46.0, delayed=31.0, texture_hu=3.5),
    "atrophic_kidney": Tissue(
        30.0, 3.0, arterial=40.0, venous=52.0, delayed=45.0, texture_hu=3.0, uneven=0.12
    ),
    "opacified_pelvis": Tissue(5.0, 3.0, 500.0, 500.0, 500.0, texture_hu=2.0),
    # Lesions of known place and size.
    "hypo_lesion": Tissue(
        37.0, 4.0, arterial=8.0, venous=20.0, delayed=24.0, texture_hu=3.0, uneven=0.12
    ),
    "hyper_lesion": Tissue(
        48.0, 4.0, arterial=68.0, venous=46.0, delayed=22.0, texture_hu=3.0, uneven=0.1
    ),
}

LABELS: dict[str, int] = {name: value for value, name in enumerate(TISSUES)}
ORDINARY = LABELS["lung"] + 1  # so many of the labels any patient may have; findings follow

LOOKALIKES = (  # findings that must not move
    "calcified_plaque",
    "kidney_stone",
    "gallstone",
    "oral_contrast",
    "clip",
    "kidney_cyst",
    "liver_cyst",
    "ascites",
    "unopacified_cava",
    "kidney_bed",
)
RULE_BREAKERS = ("fatty_liver", "atrophic_kidney", "opacified_pelvis")  # they change, oddly
LESIONS = ("lesion", "hypo_lesion", "hyper_lesion")
FINDINGS = (*LOOKALIKES, *RULE_BREAKERS, "hypo_lesion", "hyper_lesion")

ORGANS = ("liver", "spleen", "kidneys", "aorta", "vena_cava", "pancreas")
NULL_TISSUES = ("fat", "spongy_bone", "cortical_bone", "gallbladder", "stomach_content")
UNIONS: dict[str, tuple[str, ...]] = {
    "kidneys": ("kidney_cortex", "kidney_medulla"),
    "air": ("background", "stomach_air", "bowel_gas"),
}

SEGMENTED: dict[str, tuple[str, ...]] = {  # what a radiologist would outline as each organ
    "liver": ("liver", "fatty_liver", "lesion", "hypo_lesion", "hyper_lesion", "liver_cyst"),
    "spleen": ("spleen",),
    "kidneys": ("kidney_cortex", "kidney_medulla", "atrophic_kidney", "kidney_cyst"),
    "aorta": ("aorta", "calcified_plaque"),
    "vena_cava": ("vena_cava", "unopacified_cava"),
    "pancreas": ("pancreas",),
}

SAME_BASE = {  # one patient's tissues that measure the same without contrast medium
    "vena_cava": "aorta",
    "portal_vein": "aorta",
    "unopacified_cava": "aorta",
    "kidney_bed": "fat",
    "opacified_pelvis": "renal_pelvis",
}
SAME_RESPONSE = {  # and that take it up alike
    "kidney_medulla": "kidney_cortex",
    "portal_vein": "vena_cava",
    "fatty_liver": "liver",
}

ENHANCEMENT_SD = 0.09  # of one organ's enhancement between patients, a share of it
DOSE_SD = 0.2  # of the logarithm of the dose
DOSE_RANGE = (0.7, 1.4)
FATTY_SHARE = 0.2  # of patients; Boyce et al. found fat in every fifth adult's liver, or more
FATTY_RANGE_HU = (-5.0, 40.0)
ARTERIAL_SPLEEN_UNEVEN = 0.22  # red and white pulp fill at their own pace: the zebra spleen
INFRARENAL_SHARE = 0.25  # of the arterial vena cava's enhancement below the renal veins
CAVA_MM = (-30.0, -5.0)  # heights between which it takes up the kidneys' blood


def label_values(name: str) -> tuple[int, ...]:
    """Return the label values that make up a tissue or a union of tissues such as "kidneys"."""
    return tuple(LABELS[part] for part in UNIONS.get(name, (name,)))
