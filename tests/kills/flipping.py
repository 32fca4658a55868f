"""Flipped bits in what a run wrote are noticed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from medcyclegan.errors import CheckpointError
from medcyclegan.models.artefact import CARD, WEIGHTS, load_model
from medcyclegan.training.checkpoint import load_newest
from tests.kills.folders import newest_step
from tests.kills.runs import Run, train, write_config
from tests.kills.table import Row, as_one

COMMANDS = 3  # whole runs that are resumed from a damaged checkpoint


def flipped_bits(volumes: Path, folder: Path, *, flips: int, seed: int) -> Iterator[Row]:
    """Flip one bit of a checkpoint, of a model's weights, of its card, and read them back."""
    chance, run_folder = random.Random(seed), folder / "run"
    config = write_config(volumes, run_folder, steps=6)
    train(config)
    newest = max((run_folder / "checkpoints").iterdir())
    said: list[str] = []
    failures = []
    for number in range(flips):
        with_bit = _flip(newest, chance)
        said.clear()
        found = load_newest(newest.parent, said.append)
        if (
            found is None
            or found[0] != 5
            or said != [f"{newest.name}: damaged; trying the one before"]
        ):
            failures.append(f"flip {number}: {found and found[0]}, {said}")
        newest.write_bytes(with_bit)
    yield Row("a flipped bit of a checkpoint: the one before is used, and said so", flips, failures)
    yield _resumed(volumes, run_folder, chance)
    for name in (WEIGHTS, CARD):
        yield _of_model(folder / "model", run_folder / "model", name, flips, chance)


def _resumed(volumes: Path, folder: Path, chance: random.Random) -> Row:
    """Resume a run whose newest checkpoint is damaged by the command."""
    failures: list[str] = []
    for steps in range(7, 7 + COMMANDS):
        before = newest_step(folder)
        _flip(max((folder / "checkpoints").iterdir()), chance)
        run = Run(write_config(volumes, folder, steps=steps), resume=True)
        code = run.wait()
        words = ("damaged; trying the one before", f"going on from step {before - 1}")
        found = [f"did not say {word!r}" for word in words if word not in run.said]
        found += [f"exit code {code}: {run.complaints}"] if code else []
        failures += as_one(f"at step {before}", found)
    return Row("... and the command --resume goes on from it", COMMANDS, failures)


def _of_model(folder: Path, whole: Path, name: str, flips: int, chance: random.Random) -> Row:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    _, card, digest = load_model(folder)
    failures, harmless = [], 0
    for number in range(flips):
        good = _flip(folder / name, chance)
        try:
            _, read, read_digest = load_model(folder)
        except CheckpointError:
            pass
        else:
            same = (read, read_digest) == (card, digest)
            harmless += same
            failures += [] if same else [f"flip {number}"]
        (folder / name).write_bytes(good)
    note = f"{harmless} of them say the same" if harmless else ""
    return Row(f"a flipped bit of {name}: refused", flips, failures, note)


def _flip(path: Path, chance: random.Random) -> bytes:
    """Flip one bit of a file; return what it held before."""
    data = path.read_bytes()
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(changed)
    return data
