"""What a run says where nothing can be validated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medcyclegan.config import parse_config
from medcyclegan.errors import InputError
from medcyclegan.train import observing, train


def run(recipe: dict[str, Any], folder: Path, **training: Any) -> list[str]:
    said: list[str] = []
    options = recipe | {"output": str(folder), "training": recipe["training"] | training}
    train(parse_config(options), say=said.append)
    return said


def validated(folder: Path) -> bool:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return any("validation/score" in json.loads(line) for line in lines)


def test_patients_that_cannot_be_compared_do_not_stop_the_run(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("validation: the patients of a domain show no soft tissue")

    monkeypatch.setattr(observing, "Validation", refuse)
    said = run(recipe, tmp_path / "run")
    expected = "warning: no checkpoint is called the best: validation: the patients of a domain"
    assert sum(line.startswith(expected) for line in said) == 1
    assert not validated(tmp_path / "run")
    assert (tmp_path / "run" / "model" / "model.json").exists()


@pytest.mark.parametrize(("held_out", "early_stop"), [(0.0, 1), (0.0, 0), (0.2, 1)])
def test_an_early_stop_that_nothing_can_bring_about_is_told_of(
    recipe: dict[str, Any], tmp_path: Path, held_out: float, early_stop: int
) -> None:
    training = {"validation_fraction": held_out, "early_stop": early_stop}
    said = run(recipe, tmp_path / "run", **training)
    told = any("training.early_stop: nothing is validated" in line for line in said)
    assert told == (not held_out and early_stop > 0)
    assert validated(tmp_path / "run") == (held_out > 0)
