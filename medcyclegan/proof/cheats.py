"""Cheats: whether the instruments put every cheat, rival and truth where it belongs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from medcyclegan.cohort import phantom_reference
from medcyclegan.errors import InputError
from medcyclegan.evaluate.comparing import CEILING, SECOND, Subject, compare_methods
from medcyclegan.evaluate.results import check_out, write_results
from medcyclegan.files import write_bytes
from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Hu, Scan, make_scan, slices_like
from medcyclegan.phantom import SETTINGS, PhantomCase, make_patients
from medcyclegan.phantom.ceiling import ceiling_output
from medcyclegan.proof.forgeries import FORGERIES
from medcyclegan.report.evaluate_tables import figure, markdown_table, words

COMMAND = "medcyclegan evaluate cheats"
PATIENTS = 10
LEAST_PATIENTS = 4  # under that, some findings and slopes are not there to be measured
OTHER_SCANNER = "other_scanner"
NOISE_TAKEN_OVER = "noise_taken_over"  # one row of a metric whose others speak of the patients
NOISE = "noise in fat"
TITLES = {name: title for name, (_, title) in FORGERIES.items()} | {
    OTHER_SCANNER: "the truth, acquired on a scanner of the target domain"
}
WINDOW = Window(-200.0, 600.0)
SHOWN = (
    "gap_closed",
    "gap_closed_worst",
    "dose_slope",
    "null_shift",
    "noise_corrected_error",
    "mae",
    "ssim",
    "lesions_kept",
    "lesions_lost",
    "lesions_invented",
    "texture",
    "flicker",
    "patch_distance",
    "organ_distribution",
    "frechet_distance",
    "structure_kept",
    "edges_invented",
)

Say = Callable[[str], None]
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
        "no curve from HU to HU closes as much as is possible",
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
    Expectation(
        "pixel scores take the blurred truth for better than the best that is possible, and than "
        "the truth acquired again",
        (("blurred_truth", "mae"), (CEILING, "mae"), (SECOND, "mae")),
        lambda blurred, ceiling, truth: blurred < min(ceiling, truth),
    ),
    Expectation(
        "texture catches the blurred truth",
        (("blurred_truth", "texture"), (SECOND, "texture")),
        lambda blurred, truth: blurred < 0.5 and 0.75 < truth < 1.25,
    ),
    Expectation(
        "inversion keeps no structure; identity keeps all",
        (("inverted_image", "structure_kept"), ("identity", "structure_kept")),
        lambda inverted, identity: inverted < 0.0 and identity > 0.999,
    ),
    Expectation(
        "organs do not notice that lesions are gone; lesions kept and lost do",
        (
            ("lesions_removed", "gap_closed"),
            ("lesions_removed", "lesions_kept"),
            ("lesions_removed", "lesions_lost"),
            (SECOND, "lesions_kept"),
        ),
        lambda closed, kept, lost, truth: closed > 0.9 and kept < 0.2 and lost > 0.8 < truth,
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
    Expectation(
        "the noise of the other scanner is told as taken over, as it is no contrast medium",
        ((SECOND, NOISE_TAKEN_OVER), (OTHER_SCANNER, NOISE_TAKEN_OVER)),
        lambda truth, other: abs(truth) < 0.25 and 0.5 < other < 1.5,
    ),
)


def cheats(
    out: Path,
    *,
    patients: int = PATIENTS,
    seed: int = 0,
    size: int = 128,
    slices: int = 32,
    say: Say = print,
) -> bool:
    """Measure cheats, rivals and the truth on phantom patients; return whether each is caught.

    Writes to `out` what `evaluate` writes, and the table as Markdown, `cheats.md`.

    Args:
        out: folder to write to: new, empty, or an earlier evaluation's.
        patients: of each domain, with findings and differing populations.
        seed: of the patients, and of the draws behind intervals.
        size: rows and columns of a patient.
        slices: of a patient.
        say: takes lines for people.

    Raises:
        InputError: too few patients, or `out` holds other things.
        MedCycleGANError: the disk is full.
    """
    if patients < LEAST_PATIENTS:
        raise InputError(f"--patients {patients}: must be at least {LEAST_PATIENTS}")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder to write to")
    check_out(out)
    say(f"making {patients} patients with contrast medium and {patients} others without")
    make = partial(make_patients, count=patients, seed=seed, role="test", size=size, slices=slices)
    targets = [make_scan(case.image, case.labels) for case in make("noncontrast")]
    subjects = [_subject(case, targets) for case in make("contrast")]
    result = compare_methods(subjects, TITLES, seed=seed, say=say)
    expectations = judge(_with_noise(result))
    accepted = all(expected["met"] for expected in expectations)
    result |= {
        "method": SECOND,
        "targets": len(targets),
        "window": {"low_hu": WINDOW.low_hu, "high_hu": WINDOW.high_hu},
        "seed": seed,
        "accepted": accepted,
        "expectations": expectations,
    }
    text = write_results(out, COMMAND, result)
    write_bytes(out / "cheats.md", (markdown_table(result, SHOWN) + "\n").encode())
    say(text)
    for expected in expectations:
        said = "holds" if expected["met"] else "FAILS"
        say(f"{said}  {expected['name']} ({expected['found']})")
    return accepted


def _subject(case: PhantomCase, targets: Sequence[Scan]) -> Subject:
    """Return a phantom patient with every forgery."""
    reference = phantom_reference(case, WINDOW, targets=targets)
    outputs: dict[str, Callable[[], Hu]] = {
        name: partial(forge, reference) for name, (forge, _) in FORGERIES.items()
    }
    outputs[OTHER_SCANNER] = partial(slices_like, case.target_twin, case.image)
    outputs[CEILING] = partial(_ceiling, case)
    return Subject(reference, outputs)


def _with_noise(result: Mapping[str, Any]) -> Summary:
    """Return the summary with how much of the target patients' noise each method takes over."""
    rows = result["metrics"]["taken_over"]["rows"]
    noise = rows.get(NOISE, {"methods": {}})["methods"]
    return {
        method: figures | {NOISE_TAKEN_OVER: noise.get(method, {}).get("value")}
        for method, figures in result["summary"].items()
    }


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


def _ceiling(case: PhantomCase) -> Hu:
    output = ceiling_output(
        case.image,
        case.labels,
        case.phase,
        setting=SETTINGS[case.setting],
        twin_phase=case.twin_phase,
        labelled_fat=True,
    )
    return slices_like(output, case.image)
