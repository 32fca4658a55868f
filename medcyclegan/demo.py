"""Demo: the whole story on the built-in phantom, and whether it reaches the figures it must."""

from __future__ import annotations

import importlib.metadata
import operator
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from medcyclegan import files
from medcyclegan.augment import augment
from medcyclegan.cohort import phantom_reference
from medcyclegan.config import Config, load_config, parse_config, shipped_configs
from medcyclegan.errors import InputError
from medcyclegan.intensity import Window
from medcyclegan.io import read_volume, write_labels, write_volume
from medcyclegan.metrics.baselines import MOST_SHIFT_HU
from medcyclegan.metrics.best_curve import fit_best_curve
from medcyclegan.metrics.compare import compare
from medcyclegan.metrics.curves import fit_histogram_matching, fit_least_squares_curve
from medcyclegan.metrics.reference import Hu, Reference, make_scan, slices_like
from medcyclegan.phantom import Cohort, PhantomCase, make_cohort
from medcyclegan.report.demo_page import make_page
from medcyclegan.report.demo_pictures import ShownCase
from medcyclegan.report.demo_tables import number, tables_text, words
from medcyclegan.train import train
from medcyclegan.volume import Volume

CONFIG = "demo.yaml"
COHORT_SEED = 0
TRAINING_PATIENTS = 32  # in each domain
TEST_PATIENTS = 8
SHOWN_PATIENTS = 3
WORKERS = 2  # processes that make the cohort

LEAST_GAP_WORST = 0.50
LEAST_GAP_MEDIAN = 0.75
HISTOGRAM_MATCHING = "histogram matching"
LEAST_SQUARES_CURVE = "least-squares curve"
BEST_CURVE = "best growing curve"

MARK = "medcyclegan-demo.json"  # tells a demo's folder from any other
PARTS = ("phantom", "run", "augmented", "report.html", "metrics.json")
PACKAGES = ("medcyclegan", "torch", "monai", "numpy")
RELATIONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le}

Say = Callable[[str], None]


class Criterion(NamedTuple):
    """One figure of merit and what it must reach.

    Args:
        name: what is measured.
        value: what it is; None where it cannot be said.
        relation: one of `RELATIONS`, between value and limit.
        limit: what it is held against.
        note: what to know beside it.
    """

    name: str
    value: float | None
    relation: str
    limit: float | None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the value is known and good enough."""
        if self.value is None or self.limit is None:
            return False
        return bool(RELATIONS[self.relation](self.value, self.limit))


def demo(out: Path, *, say: Say = print) -> bool:
    """Train, augment and measure on a phantom cohort made here; return whether it is accepted.

    Writes to `out` the cohort (`phantom`), the run (`run`), the translated test patients with
    their labels (`augmented`), `metrics.json` and `report.html`. What an earlier demo wrote there
    is replaced.

    Args:
        out: folder to write to: new, empty, or an earlier demo's.
        say: takes lines for people.

    Raises:
        InputError: `out` is a file, or holds other things.
        MedCycleGANError: training failed, or the disk is full.
        Interrupted: a signal asked to stop.
    """
    _check_out(out)
    config = _config(out)
    _begin(out)
    seconds: dict[str, float] = {}
    with _stage(
        "phantom", f"making {2 * TRAINING_PATIENTS + TEST_PATIENTS} patients", seconds, say
    ):
        cohort = make_cohort(
            COHORT_SEED,
            train_contrast=TRAINING_PATIENTS,
            train_noncontrast=TRAINING_PATIENTS,
            test=TEST_PATIENTS,
            workers=min(WORKERS, os.cpu_count() or 1),
        )
        _write_cohort(cohort, out / "phantom")
    with _stage("train", "from patients of whom none was seen in both domains", seconds, say):
        run = train(config, say=say)
    with _stage("augment", "translating the test patients, with their labels", seconds, say):
        domain = config.domains.b.name
        augment(
            out / "phantom" / "test",
            out / "augmented",
            checkpoint=run,
            to=domain,
            labels=out / "phantom" / "labels",
            say=say,
        )
        names = _names("test", len(cohort.test))
        translated = [read_volume(out / "augmented" / f"{name}_{domain}.nii.gz") for name in names]
    with _stage("measure", "against the true twins", seconds, say):
        window = Window(config.window.low_hu, config.window.high_hu)
        table = _measure(cohort, translated, window)
    criteria = judge(table)
    accepted = all(criterion.met for criterion in criteria)
    result = {
        "accepted": accepted,
        "criteria": [{**criterion._asdict(), "met": criterion.met} for criterion in criteria],
        **table,
        **_circumstances(cohort, config),
        "seconds": seconds,
    }
    with _stage("report", "drawing the page", seconds, say):
        page = make_page(result, _shown(cohort, translated), _config(Path()).to_yaml())
        files.write_bytes(out / "report.html", page.encode())
    files.write_json(out / "metrics.json", result)
    say(tables_text(result, color=sys.stdout.isatty()))
    say(f"the same with pictures: {out / 'report.html'}")
    return accepted


def judge(table: Mapping[str, Any]) -> list[Criterion]:
    """Return the criteria of acceptance with what was reached.

    Args:
        table: as `compare` returns it for all organs and all tissues that must not move,
            histogram matching among its baselines.
    """
    summary = table["summary"]
    largest = words(summary["largest_shift_in"] or "not known")
    return [
        Criterion("gap closed in the worst organ", summary["worst"], ">=", LEAST_GAP_WORST),
        Criterion("gap closed in the median organ", summary["median"], ">=", LEAST_GAP_MEDIAN),
        Criterion(
            "gap closed, mean over organs, against histogram matching",
            summary["mean"],
            ">",
            summary["baselines"][HISTOGRAM_MATCHING]["mean"],
        ),
        Criterion(
            "shift of tissue that must not move, mean, HU",
            summary["mean_shift_hu"],
            "<=",
            MOST_SHIFT_HU,
            f"largest: {largest}, {number(summary['largest_shift_hu'])} HU",
        ),
    ]


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder to write to")
    if not out.is_dir() or (out / MARK).is_file():
        return
    if any(not path.name.startswith(files.TEMPORARY_PREFIX) for path in out.iterdir()):
        raise InputError(f"{out}: is not empty and no earlier demo's; give another folder")


def _begin(out: Path) -> None:
    """Make `out` a demo's folder, rid of what an earlier demo wrote and of nothing else."""
    files.write_json(out / MARK, {"made_by": "medcyclegan demo", "parts": list(PARTS)})
    for leftover in [*out.glob(files.TEMPORARY_PREFIX + "*"), *(out / part for part in PARTS)]:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def _config(out: Path) -> Config:
    """Return the demo's recipe for the cohort below `out`."""
    data = load_config(shipped_configs()[CONFIG]).model_dump(mode="json")
    for domain in data["domains"].values():
        domain["volumes"] = str(out / "phantom" / domain["name"])
    data["output"] = str(out / "run")
    return parse_config(data)


@contextmanager
def _stage(name: str, doing: str, seconds: dict[str, float], say: Say) -> Iterator[None]:
    say(f"{name}: {doing}")
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 2)
    say(f"{name}: done in {seconds[name]:.1f} s")


def _names(role: str, count: int) -> list[str]:
    return [f"{role}-{number:02d}" for number in range(count)]


def _write_cohort(cohort: Cohort, folder: Path) -> None:
    """Write what training and augmenting read, and the truth, which neither does."""
    roles = {"contrast": cohort.contrast, "noncontrast": cohort.noncontrast, "test": cohort.test}
    for role, cases in roles.items():
        for name, case in zip(_names(role, len(cases)), cases, strict=True):
            write_volume(case.image, folder / role / f"{name}.nii.gz")
    for name, case in zip(_names("test", len(cohort.test)), cohort.test, strict=True):
        write_labels(case.labels, folder / "labels" / f"{name}.nii.gz", like=case.image)
        write_volume(case.clean_twin, folder / "twins" / f"{name}.nii.gz")


def _measure(cohort: Cohort, translated: Sequence[Volume], window: Window) -> dict[str, Any]:
    """Return the table of all test patients beside the baselines, and each patient's own HU."""
    cases = cohort.test
    references = [phantom_reference(case, window) for case in cases]
    outputs = [
        slices_like(output, case.image) for output, case in zip(translated, cases, strict=True)
    ]
    sources, targets = (
        (make_scan(case.image) for case in of) for of in (cohort.contrast, cohort.noncontrast)
    )
    curves = {
        HISTOGRAM_MATCHING: fit_histogram_matching(sources, targets),
        LEAST_SQUARES_CURVE: fit_least_squares_curve(references),
        BEST_CURVE: fit_best_curve(references, most_shift_hu=MOST_SHIFT_HU),
    }
    baselines = {
        name: [curve.at(reference.source.hu) for reference in references]
        for name, curve in curves.items()
    }
    measured = zip(cases, references, outputs, strict=True)
    own = [_measure_alone(case, reference, output) for case, reference, output in measured]
    return {
        **compare(references, outputs, baselines),
        "cases": dict(zip(_names("test", len(cases)), own, strict=True)),
    }


def _measure_alone(case: PhantomCase, reference: Reference, output: Hu) -> dict[str, Any]:
    organs = compare([reference], [output], {})["organs"]
    measured = ("input_hu", "output_hu", "twin_hu")
    return {
        "phase": case.phase,
        "dose": round(case.dose, 4),
        "scanner": case.scanner,
        "organs": {name: {key: row[key] for key in measured} for name, row in organs.items()},
    }


def _circumstances(cohort: Cohort, config: Config) -> dict[str, Any]:
    """Return what it takes to get the same again, whoever and wherever it was made by."""
    return {
        "command": "medcyclegan demo",
        "cohort": {
            "contrast": len(cohort.contrast),
            "noncontrast": len(cohort.noncontrast),
            "test": len(cohort.test),
        },
        "steps": config.training.steps,
        "seeds": {"phantom": COHORT_SEED, "training": config.training.seed},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
    }


def _shown(cohort: Cohort, translated: Sequence[Volume]) -> list[ShownCase]:
    """Return the first test patients for pictures, an arterial one among them if there is one."""
    numbers = list(range(len(cohort.test)))
    arterial = [number for number in numbers if cohort.test[number].phase == "arterial"][:1]
    others = [number for number in numbers if number not in arterial]
    chosen = sorted((arterial + others)[:SHOWN_PATIENTS])
    names = _names("test", len(cohort.test))
    return [
        ShownCase(
            names[number],
            cohort.test[number].image,
            translated[number],
            cohort.test[number].clean_twin,
            cohort.test[number].labels,
        )
        for number in chosen
    ]
