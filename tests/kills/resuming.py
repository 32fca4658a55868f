"""Runs that are killed and resumed end where an undisturbed one does, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.kills.folders import differences, logged_steps
from tests.kills.runs import Run, train, write_config
from tests.kills.table import Row, as_one

STEPS = 24
VARIANTS: dict[str, dict[str, Any]] = {
    "no worker": {"workers": 0},
    "1 worker": {"workers": 1},
    "2 workers": {"workers": 2},
    "accumulate 2": {"accumulate": 2},
    "a running average": {"ema": 0.9},
    "validation": {"validation_fraction": 0.2, "validate_every": 5},
    "augmentation": {"augmentation": {"rotation_degrees": 9, "scaling": 0.1}},
    "all of it": {
        "workers": 2,
        "accumulate": 2,
        "ema": 0.9,
        "validation_fraction": 0.2,
        "validate_every": 5,
        "keep_every": 10,
        "augmentation": {"rotation_degrees": 9, "scaling": 0.1, "flip_left_right": True},
        "constant_fraction": 0.5,
    },
}


def resume_equality(
    volumes: Path, folder: Path, *, kills: int, seed: int, variants: list[str]
) -> Iterator[Row]:
    """Kill one run of each variant at random steps, again and again, and compare its end."""
    for name in variants:
        chance = random.Random(f"{seed} {name}")
        options = {"steps": STEPS, "checkpoint_minutes": 0.001} | VARIANTS[name]
        straight, killed = (folder / name.replace(" ", "-") / word for word in ("one", "two"))
        train(write_config(volumes, straight, **options))
        config = write_config(volumes, killed, **options)
        at = sorted(chance.sample(range(1, STEPS), min(kills, STEPS - 1)))
        for number, step in enumerate(at):
            run = Run(config, resume=number > 0)
            run.until(partial(_has_logged, killed, step))
            run.kill()
        train(config, resume=True)
        found = differences(straight, killed)
        yield Row(
            f"equal to an undisturbed run: {name}",
            1,
            as_one("differ", found),
            f"killed after steps {' '.join(map(str, at))}",
        )


def _has_logged(folder: Path, steps: int) -> bool:
    return logged_steps(folder) >= steps
