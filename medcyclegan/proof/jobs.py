"""The work a protocol hands to processes: one translating or one segmenting network at a time.

Each job leaves its result in the protocol's folder, whole or not at all, and does nothing where
the result is there already.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from medcyclegan import files
from medcyclegan.cases import Case
from medcyclegan.config import load_config, parse_config
from medcyclegan.config.segmentation import ProtocolConfig
from medcyclegan.config.segmentation_networks import NnunetConfig, PatchNetwork
from medcyclegan.errors import MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.proof.arms import ARMS, Variant, domains_of
from medcyclegan.proof.grids import NetworkGrid
from medcyclegan.proof.networks import predict
from medcyclegan.proof.patients import Patients, read_labelled
from medcyclegan.proof.sampling import OnTheFly, Sampler
from medcyclegan.proof.scores import mean_dice, score_organs
from medcyclegan.proof.segmenter import Segmenter
from medcyclegan.proof.training_sets import make_change, open_set, prepare
from medcyclegan.train import train
from medcyclegan.translator import Translator

LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
VALIDATION = {"in": "validation", "out": "validation_out"}
TEST = {"in": "test_in", "out": "test_out"}

Check = Callable[[], None]


class Training(NamedTuple):
    """One segmentation network to train.

    Args:
        arm: a key of `ARMS`.
        translation_seed: of the translating network; None in arms without one.
        seed: of the segmentation network.
    """

    arm: str
    translation_seed: int | None
    seed: int

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.arm} {self.seeds}"

    @property
    def seeds(self) -> str:
        """Its seeds, as in file names."""
        first = "" if self.translation_seed is None else f"t{self.translation_seed}-"
        return f"{first}s{self.seed}"


@dataclass(frozen=True)
class Work:
    """What every job of a protocol is told.

    Args:
        config: of the protocol.
        out: its folder.
        patients: all of them.
    """

    config: ProtocolConfig
    out: Path
    patients: Patients

    @property
    def network(self) -> PatchNetwork:
        """The network that is trained here."""
        assert not isinstance(self.config.network, NnunetConfig)
        return self.config.network

    @property
    def window(self) -> Window:
        """What segmentation networks see."""
        return Window(self.config.window.low_hu, self.config.window.high_hu)

    @property
    def prepared(self) -> Path:
        """Where sets lie as arrays."""
        return self.out / "prepared"

    def run_of(self, translation_seed: int) -> Path:
        """Return the run folder of a translating network, given or to be trained here."""
        given, seeds = self.config.translation.runs, self.config.translation.seeds
        if given is not None:
            return Path(given[seeds.index(translation_seed)])
        return self.out / "translation" / f"t{translation_seed}"

    def record_path(self, training: Training) -> Path:
        """Return where the figures of one network are kept."""
        return self.out / "arms" / training.arm / f"{training.seeds}.json"

    def record(self, training: Training) -> dict[str, Any]:
        """Return those figures as far as they are known."""
        path = self.record_path(training)
        if path.is_file():
            known: dict[str, Any] = json.loads(path.read_bytes())
            return known
        return {**training._asdict(), "validation": {}}


def prepare_set(work: Work, name: str, check: Check) -> None:
    """Write a set of labelled patients as arrays on the network's grid.

    Raises:
        VolumeError: a scan cannot be read right.
    """
    check()
    prepare(work.prepared / name, work.patients, work.patients.sets[name], work.network)


def prepare_variant(work: Work, variant: Variant, check: Check) -> None:
    """Write a variant of the labelled patients that needs no translating network.

    Raises:
        InputError: it cannot be made of these patients.
        VolumeError: a scan cannot be read right.
    """
    check()
    change = make_change(variant, work.patients)
    cases = work.patients.sets["labelled"]
    prepare(work.prepared / variant, work.patients, cases, work.network, change=change)


def train_translation(work: Work, translation_seed: int, check: Check) -> None:
    """Train a translating network on labelled and unpaired scans, without their labels.

    Raises:
        InputError: a run given is none, or the config cannot be used.
        MedCycleGANError: training failed.
    """
    check()
    folder = work.run_of(translation_seed)
    if work.config.translation.runs is None and not (folder / "finished.json").is_file():
        given = work.config.translation
        data = load_config(given.config, given.overrides).model_dump(mode="json")
        for domain, name in (("a", "labelled"), ("b", "unpaired")):
            scans = [str(case.source.path) for case in work.patients.sets[name]]
            data["domains"][domain]["volumes"] = scans
        data["output"] = str(folder)
        data["training"] |= {"seed": translation_seed, "threads": 1}
        train(parse_config(data), resume=(folder / "config.yaml").is_file(), say=lambda line: None)


def translate_labelled(work: Work, translation_seed: int, check: Check) -> None:
    """Write the labelled patients as a trained network translates them.

    Raises:
        CheckpointError: no such network.
        VolumeError: a scan cannot be translated.
    """
    check()
    translator = Translator.load(work.run_of(translation_seed))
    prepare(
        work.prepared / f"translated-t{translation_seed}",
        work.patients,
        work.patients.sets["labelled"],
        work.network,
        change=lambda case, volume, labels: translator.translate(volume, "a_to_b"),
    )


def train_segmentation(work: Work, training: Training, steps: int, check: Check) -> None:
    """Train a network until `steps` steps per domain, and record its validation Dice.

    Raises:
        MedCycleGANError: training failed.
    """
    check()
    record = work.record(training)
    if str(steps) in record["validation"]:
        return
    segmenter = _segmenter(work, training)
    try:
        segmenter.train(steps, _sampler(work, training).batch, check)
    finally:
        segmenter.save()
    organs = len(work.patients.organs)
    record["validation"][str(steps)] = {
        domain: _validation_dice(work, segmenter, name, organs)
        for domain, name in VALIDATION.items()
        if work.patients.sets[name]
    }
    files.write_json(work.record_path(training), record)


def test_segmentation(work: Work, training: Training, steps: int, check: Check) -> None:
    """Record how a network trained for `steps` steps per domain does on test patients.

    Raises:
        MedCycleGANError: the network is not there.
        VolumeError: a scan cannot be read right.
    """
    record = work.record(training)
    if record.get("tested_at") == steps:
        return
    segmenter = _segmenter(work, training)
    if segmenter.step != steps:
        path = work.record_path(training)
        raise MedCycleGANError(f"{path}: its network is gone; remove this file and resume")
    record["test"] = {}
    for domain, name in TEST.items():
        record["test"][domain] = {}
        for case in work.patients.sets[name]:
            check()
            record["test"][domain][str(case.name)] = _scores(work, segmenter, case)
    record["tested_at"] = steps
    files.write_json(work.record_path(training), record)


def _segmenter(work: Work, training: Training) -> Segmenter:
    segmenter = Segmenter(
        work.network,
        work.config.training,
        classes=len(work.patients.organs) + 1,
        domains=domains_of(ARMS[training.arm]),
        seed=training.seed,
        folder=work.record_path(training).with_suffix(""),
    )
    segmenter.load()
    return segmenter


def _sampler(work: Work, training: Training) -> Sampler:
    arm, translation_seed = ARMS[training.arm], training.translation_seed
    variant: str | None = None
    on_the_fly = None
    if arm.second == "on_the_fly":
        assert translation_seed is not None
        low, high = work.config.translation.strength
        translator = Translator.load(work.run_of(translation_seed), "cpu")
        on_the_fly = OnTheFly(translator, "a_to_b", (low, high))
    elif arm.second == "translated":
        variant = f"translated-t{translation_seed}"
    else:
        variant = arm.second
    count = len(work.patients.sets["labelled"])
    return Sampler(
        open_set(work.prepared, "labelled", variant, count),
        arm,
        work.network,
        work.window,
        batch_size=work.config.training.batch_size,
        seed=training.seed,
        on_the_fly=on_the_fly,
    )


def _validation_dice(work: Work, segmenter: Segmenter, name: str, organs: int) -> float:
    """Return the mean Dice over organs, then patients, on the network's own grid."""
    data = open_set(work.prepared, name, None, len(work.patients.sets[name]))
    dice = []
    for image, labels in zip(data.images, data.labels, strict=True):
        scores = predict(segmenter.average, image.astype("float32"), work.window, work.network)
        dice.append(mean_dice(scores.argmax(0), labels, organs))
    return float(sum(dice) / len(dice))


def _scores(work: Work, segmenter: Segmenter, case: Case) -> dict[str, Any]:
    """Return the scores of one test patient on his own grid, by organ."""
    volume, labels = read_labelled(case)
    grid = NetworkGrid(volume, work.network.across_mm, work.network.spacing_mm)
    hu = grid.image(volume, LOWEST_HU, HIGHEST_HU)
    predicted = grid.back(predict(segmenter.average, hu, work.window, work.network))
    true = work.patients.organ_map(labels)
    organs = list(work.patients.organs)
    scores = score_organs(predicted, true, len(organs), volume.spacing_mm)
    return {
        organ: score._asdict()
        for organ, score in zip(organs, scores, strict=True)
        if score is not None
    }
