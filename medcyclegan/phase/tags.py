"""What header fields say of contrast medium: evidence, never truth.

The agent's field is empty in most series taken with contrast medium, and a study's name covers
series before and after it. Fields: DICOM PS3.3, C.7.6.4 (contrast/bolus).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from medcyclegan.phase.verdict import Evidence

AGENT, ROUTE, INGREDIENT = "ContrastBolusAgent", "ContrastBolusRoute", "ContrastBolusIngredient"
AMOUNTS = ("ContrastBolusVolume", "ContrastFlowRate", "ContrastBolusStartTime")
NAMES = {"SeriesDescription": 1.8, "ProtocolName": 1.3, "StudyDescription": 0.8}  # log-odds
INJECTED, NOTHING_GIVEN = 2.5, -1.5  # log-odds
MOST_BY_NAMES = 2.5  # they are written by one hand
NO_AGENT = re.compile(r"\W*(no|none|non|n/?a|nil|without|ohne|sans|water|0+)\W*", re.IGNORECASE)
ORAL = re.compile(r"\b(oral\w*|per os|p\.?o\.?|rectal\w*|gastro\w*|barium|telebrix)\b", re.I)
VEIN = re.compile(r"\b(i\.?v\.?|intra\W?(venous|vascular|arterial)\w*|vein)\b", re.IGNORECASE)
TIMING = re.compile(
    r"test ?bolus|bolus ?track|(pre)?monitoring|smart ?prep|sure ?start|locali[sz]|timing",
    re.IGNORECASE,
)
BOTH = re.compile(
    r"\bw\s*(/|&|\+|and)\s*w\s*/?\s*o\b|\bwwo\b|\bpre\W+post\b|"
    r"\b(with|mit|avec|post)\W*(/|&|\+|and|or|und|et)\W*(without|ohne|sans|pre)\b|"
    r"\b(without|w/?o|ohne|sans|nativ|pre)\W*(/|&|\+|and|or|und|et)\W*(with|w|mit|avec|km|post)\b|"
    r"(?<!\w)(c|iv|ce|km)(-\W{,3}(c|iv|ce|km)\+|\+\W{,3}(c|iv|ce|km)-|\+/?-|-/?\+)",
    re.IGNORECASE,
)
WITHOUT = re.compile(
    r"\b(without|wo|w/o|sans|ohne|sin|senza)\b|\bnon?[- ]?(iv )?(con(trast)?|enhanced|ce)\b|"
    r"\b(un|non)[- ]?enhanced\b|\bnativ\w*|\bplain\b|\b(nect|ncct|necct)\b|(?<!\w)(c|iv|km)-(?!\w)|"
    r"\bpre[- ]?con\w*|\bleer\b",
    re.IGNORECASE,
)
WITH = re.compile(
    r"\b(with|w|w/|mit|avec|con)\s?/?\s?(iv\W?|i\.v\.\s?)?\s?(con(trast?)?\w*|km\b|ce\b|enh\w*)|"
    r"(?<!\w)(c|iv|ce|km|e)\+|\b(cect|cta|ctpa|angio\w*|art\.? ?phase)\b|"
    r"\barteri\w+|\bven(o|ö|oe)[us]\w*|"
    r"\bporto?\W?ven\w*|\bportal\w*|\bpv ?phase\b|\bnephrogra\w*|\bpe\b|\bpulmonary embol\w*|"
    r"\bpost[- ]?(con\w*|km\b)|\bcontrast[- ]?enhanced\b|(?<!\w)(?<!un)(?<!non-)enhanced\b",
    re.IGNORECASE,
)


def tag_evidence(tags: Mapping[str, str]) -> list[Evidence]:
    """Return what speaks for or against contrast medium in header fields.

    An agent, amount or route into a vein weighs 2.5; "none" as the agent -1.5; one given by mouth
    alone, nothing. Names of the series, the protocol and the study weigh 1.8, 1.3 and 0.8, with
    or against, 2.5 together. "With and without" says nothing, nor does any name where that of the
    series speaks of a localizer or a test bolus, taken before the medium arrives. The weights are
    set by judgement, not fitted.

    Args:
        tags: DICOM keyword -> text, as in `Provenance.tags`.
    """
    return [*_of_the_agent(tags), *_of_names(tags)]


def is_by_mouth_alone(tags: Mapping[str, str]) -> bool:
    """Return whether the agent or its route is said to be one by mouth, and none into a vein."""
    route, agent = _route_and_agent(tags)
    drunk, injected = (bool(said.search(route) or said.search(agent)) for said in (ORAL, VEIN))
    return drunk and not injected


def _route_and_agent(tags: Mapping[str, str]) -> tuple[str, str]:
    return tags.get(ROUTE, ""), tags.get(AGENT, "") or tags.get(INGREDIENT, "")


def _of_the_agent(tags: Mapping[str, str]) -> list[Evidence]:
    route, agent = _route_and_agent(tags)
    if VEIN.search(route) or VEIN.search(agent):
        return [Evidence(INJECTED, f"{ROUTE}: into a vein")]
    if is_by_mouth_alone(tags):
        return [Evidence(0.0, f"{AGENT}: by mouth alone")]
    if agent and NO_AGENT.fullmatch(agent):
        return [Evidence(NOTHING_GIVEN, f"{AGENT}: none")]
    if agent:
        return [Evidence(INJECTED, f"{AGENT}: named")]
    given = [name for name in AMOUNTS if tags.get(name, "").strip("0.: ")]
    return [Evidence(INJECTED, f"{given[0]}: filled")] if given else []


def _of_names(tags: Mapping[str, str]) -> list[Evidence]:
    named = {name: tags[name].replace("_", " ") for name in NAMES if name in tags}
    series = named.get("SeriesDescription", "")
    if found := TIMING.search(series):
        said = f"SeriesDescription: {found[0].lower()}, before the medium arrives"
        return [Evidence(0.0, said)]
    evidence: list[Evidence] = []
    left = {+1: MOST_BY_NAMES, -1: MOST_BY_NAMES}
    for name, text in named.items():
        sign, word = _reading(text)
        weight = min(NAMES[name], left.get(sign, 0.0))
        left[sign] = left.get(sign, 0.0) - weight
        if word:
            evidence.append(Evidence(sign * weight, f"{name}: {word}"))
    return evidence


def _reading(text: str) -> tuple[int, str]:
    """Return +1, -1 or 0 for a name that says with, without or both, and the known word in it."""
    if BOTH.search(text):
        return 0, "with and without"
    if found := WITHOUT.search(text):
        return -1, found[0].lower()
    if found := WITH.search(text):
        return +1, found[0].lower()
    return 0, ""
