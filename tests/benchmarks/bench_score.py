"""Whether the score finds the best checkpoint: `python tests/benchmarks/bench_score.py [OUT]`.

Two runs of the demo's recipe that differ in their seed are trained on a phantom cohort, in which no
patient is seen in both domains; a quarter of the patients is held out. Five checkpoints of each,
one that changes nothing, one that inverts the image and one that has collapsed to a single slice
are scored without pairs, as in training, and held to the exact twins of test patients whom neither
has seen. Printed are a table in the order of the score, the rank correlation of score and twin
error (Spearman), and how far the error of the chosen checkpoint lies above the smallest: of all,
and in each run beside that of its last checkpoint.

The guards' figures stand beside the scores, and below the table what their limits were set by: the
edges that real contrast medium makes and takes away, and the losses of healthy discriminators.

The twin error is `noise_corrected_error` over the whole body. Beside it stand its two sides, means
over tissues of `organ_error` and of `null_shift`. OUT, a new folder, keeps cohort and runs; without
it they are temporary. About 15 CPU minutes.

With `--differing` the patients of the two domains differ in scanners, findings, build and field of
view, too, and cohort and runs have other seeds: nothing was tuned on these. With `--constant` the
rate of learning never falls, too, again with other seeds, and the last checkpoint of a third run
stands beside each of the two: overtrained, twice as long and without a price on change.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from medcyclegan.cohort import phantom_reference
from medcyclegan.config import Config, load_config, parse_config, shipped_configs
from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import DIRECTIONS, Direction, Pair
from medcyclegan.intensity import Window
from medcyclegan.io import write_volume
from medcyclegan.metrics import METRICS
from medcyclegan.metrics.metric import WHOLE
from medcyclegan.metrics.reference import Reference, make_scan, slices_like
from medcyclegan.metrics.table import measure
from medcyclegan.models import TranslationModel, make_model
from medcyclegan.phantom import DIFFERING, PLAIN, PhantomCase, make_cohort
from medcyclegan.train import train
from medcyclegan.train.opening import open_data
from medcyclegan.training.checkpoint import load_newest
from medcyclegan.translator import Translator
from medcyclegan.validation import Acquisition, Scored, Validation
from medcyclegan.validation.cycles import Cycles
from medcyclegan.validation.watching import LINES

PATIENTS = 32  # of each domain, for training and validation
TEST_PATIENTS = 8
HELD_OUT = 0.25
EVERY = 60
STEPS = (60, 120, 240, 480, 720)
PRICE = 3.0  # on change, less than the demo's: checkpoints that drift are what is to be told
TWIN_ERROR = "noise_corrected_error"
TWIN = (TWIN_ERROR, "organ_error", "null_shift")
SHOWN = {
    "score": "score",
    "patch_distance": "patches",
    "edges_invented": "edges",
    "null_by_source_hu_fat": "fat",
    "null_by_source_hu_bone": "bone",
    "soft_tissue_changed": "changed",
    "structure_kept": "kept",
}


class Checkpoint(NamedTuple):
    name: str
    scored: Scored
    errors: Mapping[str, float]


class Cohort(NamedTuple):
    """Who is trained on, and how: seeds of runs and of patients, and what differs.

    Args:
        seeds: of the two runs.
        patients: seed of the patients.
        differing: whether domains differ in more than contrast medium.
        overtrained: seed of a run for twice as long; with it, rates stay where they begin.
    """

    seeds: Sequence[int]
    patients: int
    differing: bool = True
    overtrained: int | None = None


PLAIN_COHORT = Cohort((0, 1), 0, differing=False)
DIFFERING_COHORT = Cohort((2, 3), 7)
CONSTANT_COHORT = Cohort((4, 5), 11, overtrained=6)
OVERTRAINED = "overtrained"


class Collapsed:
    """Returns the first slice that it was ever shown, whatever it is shown."""

    def __init__(self) -> None:
        self.only: Tensor | None = None

    def __call__(self, slices: Tensor) -> Tensor:
        if self.only is None or self.only.shape[1:] != slices.shape[1:]:
            self.only = slices[len(slices) // 2 :][:1].clone()
        return self.only.expand_as(slices)


PLANTED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda slices: slices,
    "inverted": lambda slices: -slices,
    "collapsed": Collapsed(),
}


class Planted(nn.Module):
    """A method that does to what networks see what a function does, and is never trained."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.generators = nn.ModuleDict({name: nn.Identity() for name in DIRECTIONS})
        self.discriminators = nn.ModuleDict()
        self.multiple = 1
        self.function = function

    def generator_losses(self, real: Pair[Tensor]) -> tuple[dict[str, Tensor], Pair[Tensor]]:
        raise AssertionError("is never trained")

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> dict[str, Tensor]:
        raise AssertionError("is never trained")

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        return self.function(slices)


def main() -> None:
    """Make the cohort, train, score, measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, nargs="?")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--differing", dest="cohort", action="store_const", const=DIFFERING_COHORT)
    kinds.add_argument("--constant", dest="cohort", action="store_const", const=CONSTANT_COHORT)
    parser.set_defaults(cohort=PLAIN_COHORT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        cohort: Cohort = options.cohort
        test = _write_cohort(out, cohort)
        _print(_checkpoints(out, cohort, test))
        window = _config(out, cohort, cohort.seeds[0]).window
        _print_limits(out, cohort.seeds, test, Window(window.low_hu, window.high_hu))


def _checkpoints(out: Path, cohort: Cohort, test: Sequence[PhantomCase]) -> list[Checkpoint]:
    """Train, and return every checkpoint with what was found of it."""
    configs = {f"seed {seed}": _config(out, cohort, seed) for seed in cohort.seeds}
    config = next(iter(configs.values()))
    translators = {
        name: _translator(config, Planted(function)) for name, function in PLANTED.items()
    }
    if cohort.overtrained is not None:
        longer = _overtrained(_config(out, cohort, cohort.overtrained))
        translators[OVERTRAINED] = _kept(longer, train(longer), longer.training.steps)
    for name, own in configs.items():
        run = train(own)
        translators |= {f"{name}, step {step}": _kept(own, run, step) for step in STEPS}
    data = open_data(config, print)
    validation = Validation(
        _acquisitions(data.held_out.a),
        [*_acquisitions(data.held_out.b), *_acquisitions(data.trained.b)],
        translator=translators["identity"],
    )
    print(f"scores of rivals: {validation.candidates}")
    return [
        Checkpoint(name, validation.score(translator), _twin_errors(translator, test))
        for name, translator in translators.items()
    ]


def _write_cohort(out: Path, chosen: Cohort) -> Sequence[PhantomCase]:
    """Write the patients of both domains; return those for testing."""
    cohort = make_cohort(
        chosen.patients,
        train_contrast=PATIENTS,
        train_noncontrast=PATIENTS,
        test=TEST_PATIENTS,
        populations=DIFFERING if chosen.differing else PLAIN,
    )
    for domain in ("contrast", "noncontrast"):
        for number, case in enumerate(getattr(cohort, domain)):
            write_volume(case.image, out / domain / f"{number:02d}.nii.gz")
    return cohort.test


def _overtrained(config: Config) -> Config:
    """Return the config of training for twice as long with nothing that holds tissue still."""
    data = config.model_dump(mode="json")
    data["model"]["lambda_change"] = 0.0
    data["training"]["steps"] *= 2
    return parse_config(data)


def _config(out: Path, cohort: Cohort, seed: int) -> Config:
    data = load_config(shipped_configs()["demo.yaml"]).model_dump(mode="json")
    for domain in data["domains"].values():
        domain["volumes"] = str(out / domain["name"])
    data["output"] = str(out / f"run-{seed}")
    data["model"]["lambda_change"] = PRICE
    if cohort.overtrained is not None:
        data["training"]["constant_fraction"] = 1.0
    data["training"] |= {
        "seed": seed,
        "validation_fraction": HELD_OUT,
        "validate_every": EVERY,
        "keep_every": EVERY,
        "log_every": 10,
        "threads": 1,
    }
    return parse_config(data)


def _kept(config: Config, run: Path, step: int) -> Translator:
    """Return the translator that a run had after a step, from the checkpoint it kept."""
    window = Window(config.window.low_hu, config.window.high_hu)
    model = make_model(config.model, config.slices.neighbors, window)
    with tempfile.TemporaryDirectory() as folder:
        for path in (run / "checkpoints").glob(f"step-{step:08d}-*.pt"):
            shutil.copy(path, folder)
        found = load_newest(Path(folder), print)
    assert found is not None
    model.generators.load_state_dict(found[1]["average"])
    return _translator(config, model)


def _translator(config: Config, model: TranslationModel) -> Translator:
    return Translator(
        model,
        window=Window(config.window.low_hu, config.window.high_hu),
        spacing_mm=config.slices.spacing_mm,
        neighbors=config.slices.neighbors,
        domains=Pair(config.domains.a.name, config.domains.b.name),
        size=config.slices.size,
    )


def _acquisitions(volumes: Sequence[StoredVolume]) -> list[Acquisition]:
    return [Acquisition(x.facts.patient, x.source) for x in volumes if x.source is not None]


def _twin_errors(translator: Translator, test: Sequence[PhantomCase]) -> dict[str, float]:
    """Return each metric of `TWIN` against the exact twins, mean over tissues."""
    parts: dict[str, dict[str, list[tuple[float, ...]]]] = {name: {} for name in TWIN}
    for case in test:
        reference = phantom_reference(case, translator.window)
        output = slices_like(translator.translate(case.image, "a_to_b"), case.image)
        found = measure(reference, output, {name: METRICS[name] for name in TWIN}).parts
        for name, rows in found.items():
            for row, values in rows.items():
                if row not in reference.tissues.aside:
                    parts[name].setdefault(row, []).append(values)
    return {
        name: float(np.mean([METRICS[name].combine(np.array(row)) for row in rows.values()]))
        for name, rows in parts.items()
    }


def _excess(figures: Mapping[str, float]) -> float:
    return Cycles(figures["cycle_error"], figures["cycle_error_with_noise"]).excess


def _print_limits(
    out: Path, seeds: Sequence[int], test: Sequence[PhantomCase], window: Window
) -> None:
    """Print what nothing must be warned of: true twins, and discriminators of these runs."""
    metric = METRICS["edges_invented"]
    for title, pairs in (
        ("taken away", [(case.image, case.second_twin) for case in test]),
        ("put in", [(case.second_twin, case.image) for case in test]),
    ):
        references = [(Reference("", make_scan(one), window), other) for one, other in pairs]
        parts = [
            metric.measure(reference, make_scan(other).hu)[WHOLE] for reference, other in references
        ]
        print(
            f"edges invented, contrast medium truly {title}: {metric.combine(np.array(parts)):.4f}"
        )
    for path in (out / f"run-{seed}" / "metrics.jsonl" for seed in seeds):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for name in ("discriminator_a", "discriminator_b"):
            losses = np.array([line[name] for line in lines if name in line])
            ten = np.lib.stride_tricks.sliding_window_view(losses, LINES)
            print(
                f"{path.parent.name}, {name} over {LINES} lines: smallest maximum "
                f"{ten.max(axis=1).min():.3f}, smallest range {np.ptp(ten, axis=1).min():.4f}"
            )


def _print(checkpoints: Sequence[Checkpoint]) -> None:
    ordered = sorted(checkpoints, key=lambda one: one.scored.figures["score"])
    print("checkpoint".ljust(18), *(f"{title:>8}" for title in (*SHOWN.values(), "excess", *TWIN)))
    for name, scored, errors in ordered:
        figures = [scored.figures.get(figure, float("nan")) for figure in SHOWN]
        own = [f"{value:8.3f}" for value in (*figures, _excess(scored.figures))]
        theirs = [f"{errors[title]:{max(8, len(title))}.2f}" for title in TWIN]
        print(name.ljust(18), *own, *theirs)
    within = ordered[0].scored.figures["target_patients_distance"]
    print(f"patches of target patients, each held against the others: {within:.3f}")
    scores = [one.scored.figures["score"] for one in ordered]
    for title in TWIN[:2]:
        of_twins = [one.errors[title] for one in ordered]
        rank = spearmanr(scores, of_twins).statistic
        above = of_twins[0] / min(of_twins) - 1
        print(f"{title}: Spearman {rank:.2f}; {ordered[0].name} is chosen, {above:.1%} above best")
        _print_runs(ordered, title)


def _print_runs(ordered: Sequence[Checkpoint], title: str) -> None:
    """Print what is chosen in each run, planted ones beside it, and what its last checkpoint is."""
    planted = [one for one in ordered if one.name in (*PLANTED, OVERTRAINED)]
    for run in sorted({one.name.partition(",")[0] for one in ordered if one not in planted}):
        own = [one for one in ordered if one in planted or one.name.startswith(f"{run},")]
        last = next(one for one in own if one.name == f"{run}, step {STEPS[-1]}")
        print(
            f"  {run}: chosen {own[0].name} {own[0].errors[title]:.2f}, last "
            f"{last.errors[title]:.2f}, best {min(one.errors[title] for one in own):.2f}"
        )


if __name__ == "__main__":
    main()
