"""Evaluate: translated volumes against all that is known of what they should be, beside rivals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medcyclegan.config.tissues import load_tissues
from medcyclegan.errors import InputError
from medcyclegan.evaluate.comparing import Say, compare_methods
from medcyclegan.evaluate.results import check_out, write_results
from medcyclegan.evaluate.subjects import (
    TRANSLATED,
    CohortSubjects,
    FileSubjects,
    cohort_subjects,
    file_subjects,
    read_targets,
)
from medcyclegan.intensity import Window
from medcyclegan.manifest import check_paths

COMMAND = "medcyclegan evaluate"
TITLES = {TRANSLATED: "the volumes that are evaluated"}
WINDOW = Window(-200.0, 600.0)
NEEDED = (  # option, the one it takes, why
    ("--twins", "--sources", "a cohort has twins of its own"),
    ("--labels", "--sources", "a cohort has labels of its own"),
    ("--labels", "--tissues", "it says what the label values are"),
    ("--tissues", "--labels", "its values are those of labels"),
    ("--target-labels", "--targets", "labels go with volumes"),
)


def evaluate(
    translated: Path,
    out: Path,
    *,
    cohort: Path | None = None,
    sources: Path | None = None,
    twins: Path | None = None,
    labels: Path | None = None,
    tissues: Path | None = None,
    targets: Path | None = None,
    target_labels: Path | None = None,
    window: Window | None = None,
    seed: int = 0,
    say: Say = print,
) -> None:
    """Measure translated volumes beside every baseline that can be fitted, and write it all down.

    Writes to `out` `metrics.json`, `metrics.csv`, `table.txt`, `plots/` and `report.html`; what an
    earlier evaluation wrote there is replaced. Nothing is written before all is measured.

    Args:
        translated: what `augment` wrote, or volumes named like their sources.
        out: folder to write to: new, empty, or an earlier evaluation's.
        cohort: what `medcyclegan phantom` wrote, which knows the sources, labels and twins.
        sources: instead, the volumes that were translated.
        twins: with sources: the same patients in the other domain, on the sources' grids.
        labels: with sources: their label maps.
        tissues: with labels: YAML that says which label values are measured.
        targets: other patients in the other domain: volumes, or a cohort.
        target_labels: with targets: their label maps, with the values of the sources'.
        window: what networks see of the HU scale, the range of PSNR and SSIM; -200 to 600 HU by
            default.
        seed: of the draws behind the intervals.
        say: takes lines for people.

    Raises:
        InputError: an option that does not go with another, a volume without source, twin or
            label map, on another grid or damaged: nothing was written.
        MedCycleGANError: the disk is full.
    """
    given = {
        "--cohort": cohort,
        "--sources": sources,
        "--twins": twins,
        "--labels": labels,
        "--tissues": tissues,
        "--targets": targets,
        "--target-labels": target_labels,
    }
    known = {option: path for option, path in given.items() if path is not None}
    _check_options(known)
    check_paths([translated, *known.values()], out)
    check_out(out, COMMAND)
    named = None if tissues is None else load_tissues(tissues)
    others = [] if targets is None else read_targets(targets, target_labels, say)
    subjects: CohortSubjects | FileSubjects
    if cohort is not None:
        subjects = cohort_subjects(
            translated, cohort, window=window or WINDOW, targets=others, say=say
        )
    else:
        assert sources is not None
        subjects = file_subjects(
            translated,
            sources,
            twins=twins,
            labels=labels,
            tissues=named,
            window=window or WINDOW,
            targets=others,
            say=say,
        )
    found = compare_methods(subjects, TITLES, seed=seed, say=say)
    circumstances = {
        "method": TRANSLATED,
        "targets": len(others),
        "window": {"low_hu": subjects.window.low_hu, "high_hu": subjects.window.high_hu},
        "seed": seed,
    }
    say(write_results(out, COMMAND, found | circumstances))


def _check_options(known: Mapping[str, Path]) -> None:
    """Check that the options that are given go with one another."""
    if ("--cohort" in known) == ("--sources" in known):
        raise InputError("give --cohort, or --sources, and not both")
    for option, other, why in NEEDED:
        if option in known and other not in known:
            raise InputError(f"{option} {known[option]}: give {other}, too: {why}")
