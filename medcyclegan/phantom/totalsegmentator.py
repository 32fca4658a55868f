"""Label values of TotalSegmentator's task "total", by the phantom's names of tissues."""

from __future__ import annotations

KIDNEYS = "kidneys"  # whole ones: cortex and medulla

TOTALSEGMENTATOR: dict[str, tuple[int, ...]] = {  # version 2
    "liver": (5,),
    "spleen": (1,),
    KIDNEYS: (2, 3),
    "aorta": (52, 54, 55, 56, 57, 58, 65, 66),  # with its branches down to the iliac arteries
    "vena_cava": (63, 67, 68),
    "portal_vein": (64,),
    "pancreas": (7,),
    "muscle": (80, 81, 82, 83, 84, 85, 86, 87, 88, 89),
    "gallbladder": (4,),
    "spongy_bone": (25, *range(26, 51)),
    "lung": (10, 11, 12, 13, 14),
}
TOTALSEGMENTATOR_V1: dict[str, tuple[int, ...]] = {
    "liver": (5,),
    "spleen": (1,),
    KIDNEYS: (2, 3),
    "aorta": (7, 51, 52),
    "vena_cava": (8, 53, 54),
    "portal_vein": (9,),
    "pancreas": (10,),
    "muscle": (94, 95, 96, 97, 98, 99, 100, 101, 102, 103),
    "gallbladder": (4,),
    "spongy_bone": tuple(range(18, 42)),
    "lung": (13, 14, 15, 16, 17),
}
