"""What must hold of cheats, rivals and the truth if the instruments are sound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from medcyclegan.evaluate.comparing import CEILING, SECOND
from medcyclegan.report.evaluate_tables import figure, words

OTHER_SCANNER = "other_scanner"
NOISE_TAKEN_OVER = "noise_taken_over"  # one row of a metric whose others speak of the patients

Summary = Mapping[str, Mapping[str, float]]


class Expectation(NamedTuple):
    """What must hold if an instrument is sound.

    Args:
        name: in words.
        figures: (method, metric) of each figure that it speaks of.
        holds: these figures in that order -> whether it does.
    """

    name: str
    figures: tuple[tuple[str, str], ...]
    holds: Callable[..., bool]


def _rank(metric: str, order: Sequence[str], name: str) -> Expectation:
    """Return the expectation that a metric ranks methods in this order, from low to high."""

    def ranked(*values: float) -> bool:
        return all(low < high for low, high in itertools.pairwise(values))

    return Expectation(name, tuple((method, metric) for method in order), ranked)


EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation(
        "the truth closes the gap",
        ((SECOND, "gap_closed"),),
        lambda closed: closed > 0.95,
    ),
    Expectation(
        "identity closes nothing and moves nothing",
        (("identity", "gap_closed"), ("identity", "null_shift")),
        lambda closed, shift: abs(closed) < 1e-6 and abs(shift) < 1e-6,
    ),
    _rank(
        "gap_closed",
        ("inverted_image", "identity", "histogram_matching", CEILING, SECOND),
        "gap closed ranks inversion, identity, histogram matching, the information ceiling and "
        "the truth in this order",
    ),
    _rank(
        "gap_closed",
        ("identity", "label_shift", CEILING),
        "who shifts everyone alike closes less than is possible",
    ),
    _rank(
        "gap_closed",
        ("identity", "best_curve", CEILING),
        "the best curve that spares null tissue closes less than is possible",
    ),
    Expectation(
        "curves pay in tissue that must not move; label shift and the ceiling do not",
        (
            ("histogram_matching", "null_shift"),
            ("best_curve", "null_shift"),
            ("label_shift", "null_shift"),
            (CEILING, "null_shift"),
        ),
        lambda matching, best, label, ceiling: (
            matching > 4.0 and 4.0 < best < 8.5 and label < 1.0 and ceiling < 1.0
        ),
    ),
    Expectation(
        "the dose shows who shifts everyone alike: the ceiling's slope is under half of it",
        (("identity", "dose_slope"), ("label_shift", "dose_slope"), (CEILING, "dose_slope")),
        lambda identity, label, ceiling: label > 0.8 * identity and ceiling < 0.5 * label,
    ),
    _rank(
        "noise_corrected_error",
        (SECOND, CEILING, "label_shift", "identity", "inverted_image"),
        "error beyond noise ranks the truth, the information ceiling, label shift, identity and "
        "inversion",
    ),
    Expectation(
        "pixel scores take the denoised truth for better than the best that is possible, and than "
        "the truth acquired again",
        (("denoised_truth", "mae"), (CEILING, "mae"), (SECOND, "mae")),
        lambda denoised, ceiling, truth: denoised < min(ceiling, truth),
    ),
    Expectation(
        "texture catches the denoised and the blurred truth",
        (("denoised_truth", "texture"), ("blurred_truth", "texture"), (SECOND, "texture")),
        lambda denoised, blurred, truth: max(denoised, blurred) < 0.5 and 0.75 < truth < 1.25,
    ),
    _rank(
        "noise_corrected_error",
        ("denoised_truth", CEILING, "blurred_truth"),
        "error beyond noise catches the blur, not that grain is gone",
    ),
    Expectation(
        "inversion keeps no structure; identity keeps all",
        (("inverted_image", "structure_kept"), ("identity", "structure_kept")),
        lambda inverted, identity: inverted < 0.0 and identity > 0.999,
    ),
    Expectation(
        "organs do not notice slices that flicker; flicker does",
        (
            ("flickering_slices", "gap_closed"),
            ("flickering_slices", "flicker"),
            (SECOND, "flicker"),
        ),
        lambda closed, flicker, truth: closed > 0.9 and flicker > 2.0 and truth < 1.5,
    ),
    Expectation(
        "squares that nobody has are invented edges; the truth has hardly any",
        (("checkerboard", "edges_invented"), (SECOND, "edges_invented")),
        lambda squares, truth: squares > 0.1 and truth < 0.01,
    ),
    Expectation(
        "organs do not notice that lesions are gone; lesions kept and lost do",
        (
            ("lesions_removed", "gap_closed"),
            ("lesions_removed", "lesions_kept"),
            ("lesions_removed", "lesions_lost"),
            (SECOND, "lesions_kept"),
        ),
        lambda closed, kept, lost, truth: (
            closed > 0.9 and kept < 0.2 and lost > 0.8 and truth > 0.8
        ),
    ),
    Expectation(
        "one invented lesion is found in every patient, and none in the truth",
        (
            ("lesion_invented", "gap_closed"),
            ("lesion_invented", "lesions_invented"),
            (SECOND, "lesions_invented"),
        ),
        lambda closed, invented, truth: closed > 0.9 and invented >= 1.0 and truth < 0.3,
    ),
    _rank(
        "patch_distance",
        (SECOND, "identity", "inverted_image"),
        "without twins, patches of the truth are nearer to target patients than the source's, and "
        "these nearer than inverted ones",
    ),
    _rank(
        "organ_distribution",
        (SECOND, "label_shift", "identity", "inverted_image"),
        "without twins, HU of organs rank the truth, label shift, identity and inversion",
    ),
    _rank(
        "frechet_distance",
        (SECOND, "identity", "inverted_image"),
        "without twins, features of slices rank the truth, identity and inversion",
    ),
    _rank(
        "null_by_source_hu",
        ("label_shift", SECOND, "histogram_matching", "inverted_image"),
        "without twins or labels, the source's HU tell who moves fat and bone",
    ),
    Expectation(
        "the noise of the other scanner is told as taken over, as it is no contrast medium",
        ((SECOND, NOISE_TAKEN_OVER), (OTHER_SCANNER, NOISE_TAKEN_OVER)),
        lambda truth, other: abs(truth) < 0.25 and 0.5 < other < 1.5,
    ),
)


def judge(summary: Summary) -> list[dict[str, Any]]:
    """Return each expectation's `name`, whether it is `met`, and what was `found`.

    Args:
        summary: method -> metric -> figure, as `compare_methods` gives it. An expectation of a
            figure that is not there, or None, is not met.
    """
    judged = []
    for name, figures, holds in EXPECTATIONS:
        values = [summary.get(method, {}).get(metric) for method, metric in figures]
        several = len({metric for _, metric in figures}) > 1
        found = ", ".join(
            f"{words(method)}{' ' + words(metric) if several else ''} {figure(value)}"
            for (method, metric), value in zip(figures, values, strict=True)
        )
        met = None not in values and bool(holds(*values))
        judged.append({"name": name, "met": met, "found": found})
    return judged
