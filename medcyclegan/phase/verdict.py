"""What is said about the contrast phase of a volume, and how evidence is weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Verdict = Literal["contrast", "noncontrast", "unknown"]

LEAST_CONFIDENCE = 0.7  # of a verdict; below it is "unknown"


class Evidence(NamedTuple):
    """One thing that speaks for or against contrast medium.

    Args:
        log_odds: natural logarithm of how much likelier it is with contrast medium than without;
            negative where it speaks against.
        says: one line; field names, figures and known words alone, no free text of a header.
    """

    log_odds: float
    says: str


@dataclass(frozen=True)
class Phase:
    """Whether a volume was taken with contrast medium in the vessels, as far as can be told.

    Args:
        verdict: "contrast", "noncontrast" or "unknown".
        confidence: probability of the likelier of the two, 0.5 to 1, all evidence taken together;
            0 where there is none.
        evidence: what was weighed, one line each.
    """

    verdict: Verdict
    confidence: float
    evidence: tuple[str, ...]


def weigh(evidence: Sequence[Evidence]) -> Phase:
    """Return the verdict from evidence, whose log-odds are summed from even odds.

    >>> weigh([Evidence(2.2, "aorta 180 HU")]).verdict
    'contrast'
    >>> weigh([Evidence(0.5, "StudyDescription")]).verdict
    'unknown'
    """
    lines = tuple(one.says for one in evidence)
    total = sum(one.log_odds for one in evidence)
    if not any(one.log_odds for one in evidence):
        return Phase("unknown", 0.0, lines)
    confidence = round(1.0 / (1.0 + math.exp(-abs(total))), 3)
    if confidence < LEAST_CONFIDENCE:
        return Phase("unknown", confidence, lines)
    return Phase("contrast" if total > 0 else "noncontrast", confidence, lines)
