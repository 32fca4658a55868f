"""One number for a checkpoint: what rules it out, then how near it is to the target domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medcyclegan.validation.figures import SHIFT

SCORE = "score"
MOST_SHIFT_HU = 5.0  # of air, lung, fat and bone, each for itself
MOST_EDGES = 0.05  # of the output's edges; contrast medium that was put in truly makes 0.026
# From the sources' patch distance to that of real target patients; checkpoints that translate go
# 0.8 of the way or more, those that hardly do yet 0.6 or less: tests/benchmarks/bench_score.py.
LEAST_WAY = 0.75
REJECTED = 1000.0  # HU: no patch distance is as large
TYPICAL_HU = {"air": -1000.0, "lung": -840.0, "fat": -100.0, "bone": 700.0}
COST = 20.0  # HU of patch distance for a shift by the tissue's own HU: 1 for 5 %


@dataclass(frozen=True)
class Scored:
    """What a validation found of a checkpoint.

    Args:
        figures: flat, all finite; "score" is what is compared, lower is better.
        warnings: one line each, with its figure.
    """

    figures: Mapping[str, float]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """Between which patch distances a checkpoint lies.

    Args:
        identity: that of the sources as they are, HU.
        target_patients: that of real patients of the target domain to the others, HU.
    """

    identity: float
    target_patients: float

    def score(self, figures: Mapping[str, float]) -> float:
        """Return the number that checkpoints are compared by, lower is better.

        An accepted checkpoint has its patch distance, HU. It keeps air, lung, fat and bone within
        5 HU, at most one edge in twenty of its outputs is new, and it has gone three quarters of
        the way from the sources' patch distance to that of real target patients. One that is
        rejected has 1000 more, and 1 for every 5 % that tissue has moved of its own HU and for
        every 5 % of edges: so the least bad comes first where all are rejected.

        Args:
            figures: as `Tally.figures` gives them.
        """
        distance = min(figures.get("patch_distance", REJECTED), REJECTED)
        if self.accepts(figures):
            return distance
        return REJECTED + distance + COST * _strain(figures)

    def accepts(self, figures: Mapping[str, float]) -> bool:
        """Return whether nothing rules a checkpoint out."""
        way = max(0.0, self.identity - self.target_patients)
        return (
            all(shift <= MOST_SHIFT_HU for shift in shifts(figures).values())
            and figures.get("edges_invented", 0.0) <= MOST_EDGES
            and figures.get("patch_distance", REJECTED) <= self.identity - LEAST_WAY * way
        )


def shifts(figures: Mapping[str, float]) -> dict[str, float]:
    """Return how far each tissue moved that must not, tissue -> HU."""
    return {
        name.removeprefix(SHIFT): value for name, value in figures.items() if name.startswith(SHIFT)
    }


def _strain(figures: Mapping[str, float]) -> float:
    """Return by which shares of their own HU tissues moved, and the share of new edges, summed."""
    moved = (shift / abs(TYPICAL_HU[tissue]) for tissue, shift in shifts(figures).items())
    return sum(moved) + figures.get("edges_invented", 0.0)
