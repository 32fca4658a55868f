"""Contrast phase of a volume: evidence from tags, names, the image and organ labels, weighed.

A new kind of evidence is a function that returns `Evidence`, and its line in `judge_phase`.
"""

from __future__ import annotations

from collections.abc import Mapping

from medcyclegan.phase.image import image_evidence
from medcyclegan.phase.organs import organ_evidence
from medcyclegan.phase.tags import is_by_mouth_alone, tag_evidence
from medcyclegan.phase.verdict import Evidence, Phase, Verdict, weigh
from medcyclegan.volume import Volume

__all__ = [
    "Evidence",
    "Phase",
    "Verdict",
    "image_evidence",
    "judge_phase",
    "organ_evidence",
    "tag_evidence",
    "weigh",
]


def judge_phase(volume: Volume, organs: Mapping[str, float] | None = None) -> Phase:
    """Return whether a volume was taken with contrast medium in the vessels.

    Args:
        volume: CT in HU, any orientation; its provenance's tags are taken as evidence.
        organs: mean HU of labelled organs, where there are labels.
    """
    tags = volume.provenance.tags
    return weigh(
        [
            *tag_evidence(tags),
            *image_evidence(volume, drunk=is_by_mouth_alone(tags)),
            *organ_evidence(organs or {}),
        ]
    )
