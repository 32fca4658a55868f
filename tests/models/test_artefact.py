from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from medcyclegan.config import parse_model
from medcyclegan.domains import DIRECTIONS, Pair
from medcyclegan.errors import CheckpointError, MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.models import TranslationModel, make_model
from medcyclegan.models.artefact import CARD, WEIGHTS, ModelCard, load_model, save_model

MODEL: dict[str, Any] = {
    "kind": "cyclegan",
    "lambda_cycle": {"a": 10.0, "b": 2.0},
    "generator": {"kind": "resnet", "filters": 2, "blocks": 1, "norm": "batch"},
    "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
}
MODEL = parse_model(MODEL).model_dump(mode="json")  # as train.py puts it into the card

MADE = ModelCard(
    model=MODEL,
    window=Window(-200.0, 600.0),
    spacing_mm=1.5,
    size=64,
    neighbors=3,
    domains=Pair("contrast", "noncontrast"),
    versions={"medcyclegan": "0"},
)


def made(seed: int = 0) -> TranslationModel:
    torch.manual_seed(seed)
    model = make_model(parse_model(MODEL), 3)
    for network in model.generators.values():
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)  # running statistics are part of the model
        for parameter in network.get_submodule("network.head").parameters():
            torch.nn.init.normal_(parameter, 0, 0.05)
    model.generators.eval()
    return model


def test_a_model_translates_the_same_after_a_round_trip(tmp_path: Path) -> None:
    model = made()
    save_model(tmp_path / "model", model, MADE)
    loaded, card, digest = load_model(tmp_path / "model")
    loaded.generators.eval()
    stacks = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.inference_mode():
        for direction in DIRECTIONS:
            translated = model.translate(stacks, direction)
            assert torch.equal(loaded.translate(stacks, direction), translated)
            assert float((translated - stacks[:, 1:2]).abs().max()) > 0.01
    assert card == MADE
    save_model(tmp_path / "again", made(), MADE)
    assert load_model(tmp_path / "again")[2] == digest
    save_model(tmp_path / "other", made(), replace(MADE, window=Window(-200, 601)))
    assert load_model(tmp_path / "other")[2] != digest, "another window translates otherwise"
    save_model(tmp_path / "newer", made(), replace(MADE, versions={"torch": "99"}))
    assert load_model(tmp_path / "newer")[2] == digest


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_model(tmp_path / name, made(), MADE)
    for file in (WEIGHTS, CARD):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [CARD, WEIGHTS]


def test_only_generators_are_handed_on(tmp_path: Path) -> None:
    model = made()
    fake = torch.rand(1, 3, 16, 16)
    model.discriminator_losses(Pair(fake, fake), Pair(fake, fake))  # fills the image pools
    save_model(tmp_path, model, MADE)
    names = set(safetensors.torch.load_file(tmp_path / WEIGHTS))
    assert names == set(model.generators.state_dict())
    assert all(name.startswith(DIRECTIONS) for name in names)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_written(tmp_path: Path, value: float) -> None:
    save_model(tmp_path, made(), MADE)
    before = (tmp_path / WEIGHTS).read_bytes()
    model = made(1)
    next(model.generators["b_to_a"].parameters()).data[0] = value
    with pytest.raises(MedCycleGANError, match=r"b_to_a\.\S+ is not finite"):
        save_model(tmp_path, model, MADE)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_weights_that_are_not_finite_are_not_read(tmp_path: Path) -> None:
    save_model(tmp_path, made(), MADE)
    weights = safetensors.torch.load_file(tmp_path / WEIGHTS)
    name = next(name for name in weights if name.endswith("weight"))
    weights[name][0] = float("nan")
    safetensors.torch.save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match="is not finite"):
        load_model(tmp_path)


def test_a_card_beside_other_weights_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "one", made(0), MADE)
    save_model(tmp_path / "two", made(1), MADE)
    (tmp_path / "one" / WEIGHTS).write_bytes((tmp_path / "two" / WEIGHTS).read_bytes())
    with pytest.raises(CheckpointError, match=r"does not belong to model\.json"):
        load_model(tmp_path / "one")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    wider = MODEL | {"generator": MODEL["generator"] | {"filters": 3}}
    save_model(tmp_path, made(), replace(MADE, model=wider))
    with pytest.raises(CheckpointError, match="does not fit the networks"):
        load_model(tmp_path)


def test_a_method_that_is_not_known_here_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, made(), replace(MADE, model={"kind": "MyOwn"}))
    with pytest.raises(CheckpointError, match=r"'MyOwn', which is no method of medcyclegan"):
        load_model(tmp_path)


@pytest.mark.parametrize("file", [WEIGHTS, CARD])
@pytest.mark.parametrize("damage", ["missing", "truncated", "nonsense"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, file: str, damage: str) -> None:
    save_model(tmp_path, made(), MADE)
    path = tmp_path / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "truncated" else b"\x80\x02c\xff")
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"window": {"low_hu": 600, "high_hu": -200}},
        {"window": {"low": 0}},
        {"window": "wide"},
        {"window": {"low_hu": -1e400, "high_hu": 600}},
        {"domains": {"a": "x"}},
        {"domains": {"a": "x", "b": "x"}},
        {"domains": {"a": "x", "b": "../x"}},
        {"domains": {"a": 1, "b": 2}},
        {"neighbors": None},
        {"neighbors": 0},
        {"spacing_mm": 0},
        {"spacing_mm": -1.0},
        {"spacing_mm": float("nan")},
        {"size": -5},
        {"size": 10**9},
        {"model": {"kind": "cyclegan", "outptu": "direct"}},
    ],
)
def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    save_model(tmp_path, made(), MADE)
    card = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card | change))
    with pytest.raises(CheckpointError, match=re.escape(CARD)) as caught:
        load_model(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize("change", [{"window": {"low_hu": -201.0, "high_hu": 600.0}}, {"size": 65}])
def test_a_card_that_makes_sense_but_was_changed_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    save_model(tmp_path, made(), MADE)
    card = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card))
    load_model(tmp_path)  # another layout says the same
    (tmp_path / CARD).write_text(json.dumps(card | change))
    with pytest.raises(CheckpointError, match="or one of them changed"):
        load_model(tmp_path)


@pytest.mark.parametrize("versions", [{"medcyclegan": "0"}, {"medcyclegan": "1"}])
def test_a_save_that_is_killed_anywhere_leaves_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]
) -> None:
    class Killed(BaseException):
        """Stands for a kill -9 before a file takes its place."""

    replace_file, left = os.replace, 0

    def replaced(old: str, new: str) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        replace_file(old, new)

    monkeypatch.setattr(os, "replace", replaced)
    digests = []
    for moment in range(4):
        left = 2  # the first model is written whole
        save_model(tmp_path / str(moment), made(0), MADE)
        left = moment
        with contextlib.suppress(Killed):
            save_model(tmp_path / str(moment), made(1), replace(MADE, versions=versions))
        digests.append(load_model(tmp_path / str(moment))[2])
    old, new = digests[0], digests[-1]
    assert digests == [old, old, new, new]
    assert old != new


def test_a_model_with_views_means_the_same_hu_after_a_round_trip(tmp_path: Path) -> None:
    described = MODEL | {"views": [{"low_hu": 0.0, "high_hu": 100.0}]}
    window = Window(-100.0, 900.0)
    model = make_model(parse_model(described), 3, window)
    for network in model.generators.values():
        for parameter in network.get_submodule("network.head").parameters():
            torch.nn.init.normal_(parameter, 0, 0.05)
    save_model(tmp_path / "model", model, replace(MADE, model=described, window=window))
    loaded, _, _ = load_model(tmp_path / "model")
    stacks = torch.rand(1, 3, 16, 16) * 2 - 1
    for one in (model, loaded):
        one.generators.eval()
    with torch.inference_mode():
        wanted, found = (one.generators["a_to_b"](stacks) for one in (model, loaded))
    assert torch.equal(found, wanted)
    assert not torch.equal(wanted, stacks)


@pytest.mark.parametrize(
    "view",
    [
        {"low_hu": 700.0, "high_hu": 900.0},
        {"low_hu": -900.0, "high_hu": 900.0},
        {"low_hu": 0.0, "high_hu": 1e-300},
        {"low_hu": 0.0},
    ],
)
def test_a_card_with_a_view_that_shows_nothing_is_refused(
    tmp_path: Path, view: dict[str, float]
) -> None:
    save_model(tmp_path / "model", made(), replace(MADE, model=MODEL | {"views": [view]}))
    with pytest.raises(CheckpointError, match=r"model\.json: .*(views|part of the window)"):
        load_model(tmp_path / "model")


def test_views_without_a_window_are_refused() -> None:
    described = MODEL | {"views": [{"low_hu": 0.0, "high_hu": 100.0}]}
    with pytest.raises(ValueError, match="the window must be given"):
        make_model(parse_model(described))
