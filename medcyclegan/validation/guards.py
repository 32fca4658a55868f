"""Guards: what has gone wrong with a checkpoint, one line each with its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medcyclegan.validation.cycles import NOISE_HU, Cycles
from medcyclegan.validation.figures import CHANGED_HU
from medcyclegan.validation.score import MOST_EDGES, MOST_SHIFT_HU, shifts

# Of the demo's recipe, checkpoints that translate change 0.4 of soft tissue or more, those that
# hardly do yet 0.04 to 0.15, and noise is passed on as it is, with an excess of 1.00: the columns
# "changed" and "excess" of tests/benchmarks/bench_score.py.
LEAST_CHANGED = 0.1
MOST_EXCESS = 1.5


def warn_of(figures: Mapping[str, float], cycles: Cycles, *, armed: bool) -> Iterator[str]:
    """Yield a line for each thing that is wrong.

    Args:
        figures: as `Tally.figures` gives them.
        cycles: there and back.
        armed: whether training is far enough for it to be wrong that nothing is translated.
    """
    changed = figures.get("soft_tissue_changed", 1.0)
    if armed and changed < LEAST_CHANGED:
        yield (
            f"identity: {changed:.1%} of soft tissue changed by more than {CHANGED_HU:g} HU; next "
            "to nothing is translated"
        )
    for name, what in (("structure_kept", "edges"), ("correlation", "HU")):
        if figures.get(name, 1.0) < 0:
            yield (
                f"inversion: {what} of source and output agree by {figures[name]:.2f}; the image "
                "is inverted"
            )
    for tissue, shift in shifts(figures).items():
        if shift > MOST_SHIFT_HU:
            yield f"drift: {tissue} moved by {shift:.1f} HU, more than {MOST_SHIFT_HU:g}"
    edges = figures.get("edges_invented", 0.0)
    if edges > MOST_EDGES:
        yield f"invented edges: {edges:.1%} of the edges are new, more than {MOST_EDGES:.0%}"
    if cycles.excess > MOST_EXCESS:
        yield (
            f"steganography: noise of {NOISE_HU:g} HU on the translated image makes the cycle's "
            f"error {cycles.with_noise_hu:.1f} HU, {cycles.error_hu:.1f} without; the source is "
            "hidden in it"
        )
