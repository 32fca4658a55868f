"""What the mean HU of labelled organs says of contrast medium.

Blood measures 30 to 60 HU without contrast medium, soft organs up to 75, and with it vessels and
kidneys exceed 100 HU in every phase but a late one.
"""

from __future__ import annotations

from collections.abc import Mapping

from medcyclegan.phase.verdict import Evidence

TURNING_HU: dict[str, tuple[tuple[str, ...], float]] = {  # HU at which neither is likelier
    "vessel": (("aorta", "cava", "artery", "vena", "vein", "atrium", "ventricle", "heart"), 82.0),
    "kidney": (("kidney",), 70.0),
    "spleen": (("spleen",), 68.0),
    "liver": (("liver",), 84.0),
}
HU_A_LOG_ODDS = 6.0
MOST_BY_AN_ORGAN = {"vessel": 4.0, "kidney": 4.0, "spleen": 2.5, "liver": 1.0}  # log-odds
MOST_BY_ORGANS = 5.0


def organ_evidence(organs: Mapping[str, float]) -> list[Evidence]:
    """Return what the mean HU of organs says; names that are not known say nothing.

    Each organ weighs its distance from the HU at which neither is likelier, 6 HU to a log-odds,
    at most 4 (vessel, kidney), 2.5 (spleen) or 1 (liver); of several of one kind the most telling
    counts, and all together at most 5.

    Args:
        organs: name -> mean HU, for example {"aorta": 180.0, "kidney_left": 165.0}.
    """
    best: dict[str, tuple[float, str, float]] = {}
    for name, hu in organs.items():
        for kind, (words, turning_hu) in TURNING_HU.items():
            if any(word in name.lower() for word in words):
                most = MOST_BY_AN_ORGAN[kind]
                weight = min(most, max(-most, (hu - turning_hu) / HU_A_LOG_ODDS))
                if kind not in best or abs(weight) > abs(best[kind][0]):
                    best[kind] = (weight, name, hu)
                break
    total = sum(weight for weight, _, _ in best.values())
    scale = min(1.0, MOST_BY_ORGANS / max(abs(total), 1e-6))
    return [
        Evidence(weight * scale, f"{name.lower()}: {hu:.0f} HU")
        for weight, name, hu in best.values()
    ]
