"""Cheats: whether the instruments put every cheat, rival and truth where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from medcyclegan.cohort import phantom_reference
from medcyclegan.errors import InputError
from medcyclegan.evaluate import WINDOW
from medcyclegan.evaluate.comparing import CEILING, SECOND, Subject, compare_methods
from medcyclegan.evaluate.results import check_out, write_results
from medcyclegan.files import write_bytes
from medcyclegan.metrics.reference import Hu, Scan, make_scan, slices_like
from medcyclegan.phantom import SETTINGS, PhantomCase, make_patients
from medcyclegan.phantom.ceiling import ceiling_output
from medcyclegan.proof.expectations import NOISE_TAKEN_OVER, OTHER_SCANNER, Summary, judge
from medcyclegan.proof.forgeries import FORGERIES
from medcyclegan.report.evaluate_tables import markdown_table

COMMAND = "medcyclegan evaluate cheats"
PATIENTS = 10
LEAST_PATIENTS = 4  # under that, some findings and slopes are not there to be measured
NOISE = "noise in fat"
TITLES = {name: title for name, (_, title) in FORGERIES.items()} | {
    OTHER_SCANNER: "the truth, acquired on a scanner of the target domain"
}
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
    check_out(out, COMMAND)
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
    outputs[CEILING] = partial(ceiling_of, case)
    return Subject(reference, outputs)


def _with_noise(result: Mapping[str, Any]) -> Summary:
    """Return the summary with how much of the target patients' noise each method takes over."""
    rows = result["metrics"]["taken_over"]["rows"]
    noise = rows.get(NOISE, {"methods": {}})["methods"]
    return {
        method: figures | {NOISE_TAKEN_OVER: noise.get(method, {}).get("value")}
        for method, figures in result["summary"].items()
    }


def ceiling_of(case: PhantomCase) -> Hu:
    """Return the best that can be expected for a patient with findings, slices (S, H, W), HU."""
    output = ceiling_output(
        case.image,
        case.labels,
        case.phase,
        setting=SETTINGS[case.setting],
        twin_phase=case.twin_phase,
        labelled_fat=True,
    )
    return slices_like(output, case.image)
