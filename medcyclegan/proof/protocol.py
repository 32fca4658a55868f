"""The segmentation protocol: does augmentation by translation help a network on the other domain?

After Sandfort et al. 2019 (https://doi.org/10.1038/s41598-019-52737-x): a network learns from
labelled scans with contrast medium and is tested on patients without; arms differ in what stands
beside the labelled scans.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medcyclegan import files
from medcyclegan.config.segmentation import (
    TRANSLATING,
    ProtocolConfig,
    decisive,
    load_protocol,
    seeds_of,
)
from medcyclegan.config.segmentation_networks import NnunetConfig
from medcyclegan.errors import ConfigError, InputError
from medcyclegan.proof.arms import ARMS, domains_of, variants_of
from medcyclegan.proof.comparison import compare_arms
from medcyclegan.proof.jobs import (
    Training,
    Work,
    prepare_set,
    prepare_variant,
    test_segmentation,
    train_segmentation,
    train_translation,
    translate_labelled,
)
from medcyclegan.proof.nnunet import export_jobs, export_lines
from medcyclegan.proof.patients import SETS, open_patients
from medcyclegan.proof.workers import Job, cpu_seconds, run_jobs
from medcyclegan.report.protocol_page import make_page
from medcyclegan.report.protocol_tables import tables_markdown, tables_text

CONFIG, SECONDS = "config.yaml", "seconds.json"
PACKAGES = ("medcyclegan", "torch", "monai", "numpy", "scipy")

Say = Callable[[str], None]
_Dice = dict[str, dict[str, float]]  # of an arm, in and out of distribution


def run_protocol(
    config_path: str, overrides: Sequence[str] = (), *, resume: bool = False, say: Say = print
) -> Path:
    """Train and test all arms, compare them, and return the folder that holds it all.

    Writes `results.json`, `table.txt`, `table.md` and `report.html`; beside them what going on
    takes: the patients, translating networks, and each trained network's figures. With the network
    kind `nnunet` nothing is segmented: the arms' training sets are written to `nnunet` instead.

    Args:
        config_path: the protocol's YAML file, as typed, or one of those shipped.
        overrides: KEY=VALUE each.
        resume: go on with what an earlier run began.
        say: takes lines for people.

    Raises:
        ConfigError: a config that cannot be used, or another than the run's that is resumed.
        InputError: scans or networks that cannot be used, or a folder that holds other things.
        MedCycleGANError: training failed, or the disk is full.
    """
    config = load_protocol(config_path, overrides)
    out = Path(config.output)
    _check_folder(out, config, resume=resume)
    with files.locked(out):
        _check_folder(out, config, resume=resume)
        files.remove_temporaries(out)
        if resume and not (out / CONFIG).is_file():
            say(f"{out}: nothing to resume; beginning anew")
        files.write_bytes(out / CONFIG, config.to_yaml().encode())
        _run(config, out, say)
    return out


def _run(config: ProtocolConfig, out: Path, say: Say) -> None:
    say("patients: reading, or making, all of them")
    start = cpu_seconds()
    work = Work(config, out, open_patients(config.data, out / "phantom", config.workers))
    stages = _Stages(out, config.workers, say)
    stages.note("patients", cpu_seconds() - start)
    counts = ", ".join(f"{name} {len(work.patients.sets[name])}" for name in SETS)
    say(f"patients: {counts}")
    stages.run(_translations(work))
    if isinstance(config.network, NnunetConfig):
        stages.run(export_jobs(work))
        for line in export_lines(work):
            say(line)
        return
    stages.run(_preparations(work))
    trained = _train(work, stages, say)
    stages.run(
        [
            Job(f"test {training.title}", test_segmentation, (work, training, trained["steps"]))
            for training in _trainings(config)
        ]
    )
    result = _result(work, trained, stages.seconds)
    files.write_json(out / "results.json", result)
    files.write_bytes(out / "table.txt", tables_text(result).encode())
    files.write_bytes(out / "table.md", tables_markdown(result).encode())
    files.write_bytes(out / "report.html", make_page(result, config.to_yaml()).encode())
    for arm in config.arms:
        for folder in (out / "arms" / arm).glob("*/"):
            shutil.rmtree(folder)  # weights: what they were kept for is done
    say(tables_text(result))
    say(f"the same with pictures: {out / 'report.html'}")


def _result(work: Work, trained: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return all that pages and tables show."""
    config, patients = work.config, work.patients
    records: dict[str, list[list[dict[str, Any]]]] = {}
    for arm in config.arms:
        translations: Sequence[int | None] = (
            config.translation.seeds if arm in TRANSLATING else [None]
        )
        records[arm] = [
            [work.record(Training(arm, first, second)) for second in config.training.seeds]
            for first in translations
        ]
    compared = compare_arms(records, list(patients.organs), config)
    for arm, found in compared["arms"].items():
        own = (f"train {arm} ", f"test {arm} ")
        spent = [value for title, value in seconds.items() if title.startswith(own)]
        found["cpu_seconds"] = round(sum(spent), 1)
    return {
        "patients": {name: len(patients.sets[name]) for name in SETS},
        "data": config.data.kind,
        "organs": list(patients.organs),
        "seeds": {"translation": config.translation.seeds, "segmentation": config.training.seeds},
        "tolerance": config.training.tolerance,
        "margin": config.statistics.margin,
        "least_gap": config.statistics.least_gap,
        **trained,
        **compared,
        "cpu_seconds": dict(seconds),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


class _Stages:
    """Runs jobs, says which are done, and remembers how long each took, whoever began it."""

    def __init__(self, out: Path, workers: int, say: Say) -> None:
        self._path = out / SECONDS
        self._workers = workers
        self._say = say
        known = self._path.is_file()
        self.seconds: dict[str, float] = json.loads(self._path.read_bytes()) if known else {}

    def note(self, title: str, seconds: float) -> None:
        """Add to what a piece of work took."""
        self.seconds[title] = round(self.seconds.get(title, 0.0) + seconds, 2)
        files.write_json(self._path, self.seconds)

    def run(self, jobs: Sequence[Job]) -> None:
        """Do all jobs."""
        for number, done in enumerate(run_jobs(jobs, self._workers), start=1):
            self.note(done.title, done.seconds)
            self._say(f"{number}/{len(jobs)} {done.title}: {done.seconds:.0f} s of CPU time")


def _translations(work: Work) -> list[Job]:
    if not set(work.config.arms) & set(TRANSLATING):
        return []
    return [
        Job(f"translation t{seed}", train_translation, (work, seed))
        for seed in work.config.translation.seeds
    ]


def _preparations(work: Work) -> list[Job]:
    names = ("labelled", "validation", "validation_out")
    jobs = [
        Job(f"prepare {name}", prepare_set, (work, name))
        for name in names
        if work.patients.sets[name]
    ]
    for variant in variants_of(work.config):
        if variant != "translated":
            jobs.append(Job(f"prepare {variant}", prepare_variant, (work, variant)))
            continue
        for seed in work.config.translation.seeds:
            jobs.append(Job(f"prepare translated t{seed}", translate_labelled, (work, seed)))
    return jobs


def _train(work: Work, stages: _Stages, say: Say) -> dict[str, Any]:
    """Train all arms until twice the steps change none, and return at which steps and how much."""
    training = work.config.training
    trainings = _trainings(work.config)
    steps = training.steps
    rounds: list[dict[str, Any]] = []
    while True:
        say(f"round {len(rounds) + 1}: {steps} steps per domain")
        stages.run(
            [Job(f"train {one.title}", train_segmentation, (work, one, steps)) for one in trainings]
        )
        dice: _Dice = {arm: _validation(work, arm, steps) for arm in work.config.arms}
        change = _changes(rounds[-1]["dice"], dice) if rounds else {}
        rounds.append({"steps": steps, "dice": dice, "change": change})
        largest = max((abs(v) for arm in change.values() for v in arm.values()), default=None)
        settled = largest is not None and largest <= training.tolerance
        if largest is not None:
            say(f"round {len(rounds)}: twice the steps changed the mean Dice by {largest:.4f}")
        if settled or 2 * steps > training.most_steps:
            return {"steps": steps, "settled": settled, "rounds": rounds}
        steps *= 2


def _validation(work: Work, arm: str, steps: int) -> dict[str, float]:
    """Return an arm's validation Dice, mean over its trainings, by distribution."""
    records = [
        work.record(Training(arm, *seeds))["validation"][str(steps)]
        for seeds in seeds_of(arm, work.config)
    ]
    return {key: sum(record[key] for record in records) / len(records) for key in records[0]}


def _changes(before: _Dice, after: _Dice) -> _Dice:
    return {
        arm: {key: dice - before[arm][key] for key, dice in scores.items()}
        for arm, scores in after.items()
    }


def _trainings(config: ProtocolConfig) -> list[Training]:
    """Return all networks to train, those that take longest first."""
    arms = sorted(config.arms, key=lambda arm: -domains_of(ARMS[arm]))
    return [Training(arm, *seeds) for arm in arms for seeds in seeds_of(arm, config)]


def _check_folder(out: Path, config: ProtocolConfig, *, resume: bool) -> None:
    """Refuse to write into a folder that holds something else, before anything is read."""
    files.check_can_hold(out)
    names = [path.name for path in out.iterdir()] if out.exists() else []
    if all(name.startswith((files.TEMPORARY_PREFIX, files.LOCK)) for name in names):
        return
    if not (out / CONFIG).is_file():
        raise InputError(f"{out}: holds other things than a protocol; set another output")
    if not resume:
        raise InputError(f"{out}: exists already; go on with --resume, or set another output")
    old, new = decisive(load_protocol(out / CONFIG)), decisive(config)
    for section, value in new.items():
        if value != old[section]:
            raise ConfigError(
                f"{out / CONFIG}: --resume with another {section!r}; use the run's own config, or "
                "set another output"
            )
