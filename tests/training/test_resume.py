"""What a stopped run must not lose, beyond what is tested of the loop itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.errors import CheckpointError, Interrupted
from medcyclegan.losses import Losses
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.checkpoint import save_checkpoint
from medcyclegan.training.engine import Engine, EngineOptions
from medcyclegan.training.loop import Loop, Observers, Validated
from medcyclegan.training.schedule import Schedule
from medcyclegan.training.state import FORMAT

SCHEDULE = Schedule(
    steps=4, learning_rate=1e-2, discriminator_learning_rate=1e-2, log_every=1, validate_every=1
)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def tiny() -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(
        parse_model(
            {
                "kind": "cyclegan",
                "generator": {"kind": "resnet", "filters": 2, "blocks": 1},
                "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
            }
        )
    )


def make_loop(
    folder: Path,
    model: TranslationModel | None = None,
    schedule: Schedule = SCHEDULE,
    **observers: Any,
) -> Loop:
    def batches(first: int) -> Generator[Pair[Tensor]]:
        for step in range(first, schedule.steps):
            generator = torch.Generator().manual_seed(step)
            yield Pair(*(torch.rand(2, 1, 16, 16, generator=generator) * 2 - 1 for _ in "ab"))

    folder.mkdir(exist_ok=True)
    chosen = model or tiny()
    engine = Engine(EngineOptions(device="cpu"))
    engine.prepare(chosen)
    asked: dict[str, Any] = {
        "say": lambda line: None,
        "progress": lambda step, losses, seconds: None,
        "draw": lambda step, model: b"\x89PNG\r\n\x1a\n" + bytes(24),
        "export": lambda step, model, name: None,
        "watch": lambda step, losses: (),
        "validate": None,
    }
    observed = Observers(**asked | observers)
    return Loop(chosen, batches, schedule, folder, engine=engine, observers=observed)


def resumed(loop: Loop) -> Loop:
    loop.resume()
    loop.run()
    return loop


class Counting(CycleGAN):
    """A method of one's own with a state that it changes in place."""

    def __init__(self, config: Any, before_the_end: Callable[[], None]) -> None:
        super().__init__(config)
        self.seen: dict[str, list[Tensor]] = {"counts": [torch.zeros(())]}
        self.before_the_end = before_the_end

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> Losses:
        self.seen["counts"][0] += 1
        self.before_the_end()
        return super().discriminator_losses(real, fake)

    def get_extra_state(self) -> dict[str, list[Tensor]]:
        return self.seen

    def set_extra_state(self, state: dict[str, list[Tensor]]) -> None:
        self.seen = state


def test_a_state_that_changes_in_place_is_as_before_a_step_that_was_broken_off(
    tmp_path: Path,
) -> None:
    calls: list[int] = []

    def third() -> None:
        calls.append(1)
        if len(calls) == 3:
            stop()

    with pytest.raises(Interrupted, match="stopped at step 2"):
        make_loop(tmp_path / "run", Counting(tiny().config, third)).run()
    model = Counting(tiny().config, lambda: None)
    resumed(make_loop(tmp_path / "run", model))
    assert model.seen["counts"][0] == SCHEDULE.steps


def test_a_stop_while_the_best_is_written_neither_loses_nor_repeats_it(tmp_path: Path) -> None:
    validated: list[int] = []

    def validate(step: int, model: TranslationModel) -> Validated:
        validated.append(step)
        return Validated({"score": abs(step - 2.0)}, ())

    def export(step: int, model: TranslationModel, name: str) -> None:
        if (step, name) == (2, "model"):
            stop()

    loop = make_loop(tmp_path / "run", validate=validate, export=export)
    with pytest.raises(Interrupted, match="stopped at step 2"):
        loop.run()
    assert loop.state.best == (2, 0.0)
    last = resumed(make_loop(tmp_path / "run", validate=validate))
    assert validated == [1, 2, 3, 4]
    assert (last.state.best, last.state.stale) == ((2, 0.0), 2)


def test_a_validation_that_is_broken_off_is_done_again_and_counted_once(tmp_path: Path) -> None:
    validated: list[int] = []

    def validate(step: int, model: TranslationModel) -> Validated:
        validated.append(step)
        if validated == [1, 2, 3]:
            stop()
        return Validated({"score": float(step)}, ())

    with pytest.raises(Interrupted, match="stopped at step 3"):
        make_loop(tmp_path / "run", validate=validate).run()
    last = resumed(make_loop(tmp_path / "run", validate=validate))
    assert validated == [1, 2, 3, 3, 4]
    assert (last.state.best, last.state.stale) == ((1, 1.0), 3)


def test_what_watches_the_losses_sees_those_before_the_stop_again(tmp_path: Path) -> None:
    runs: list[list[tuple[int, Mapping[str, float]]]] = []

    def make(validate: Callable[[int, TranslationModel], Validated]) -> Loop:
        runs.append([])

        def watch(step: int, losses: Mapping[str, float]) -> Sequence[str]:
            runs[-1].append((step, losses))
            return ()

        return make_loop(tmp_path / "run", watch=watch, validate=validate)

    def stopping(step: int, model: TranslationModel) -> Validated:
        if step == 2:
            stop()
        return Validated({"score": 0.0}, ())

    with pytest.raises(Interrupted):
        make(stopping).run()
    resumed(make(lambda step, model: Validated({"score": 0.0}, ())))
    first, second = runs
    assert [step for step, _ in first] == [1, 2]
    assert [step for step, _ in second] == [1, 2, 3, 4]
    assert second[:2] == first


def test_what_was_saved_and_not_exported_is_exported_by_the_next(tmp_path: Path) -> None:
    class Killed(BaseException):
        """Stands for a kill -9."""

    def killed(step: int, model: TranslationModel, name: str) -> None:
        raise Killed

    exported: list[tuple[int, str]] = []
    with pytest.raises(Killed):
        make_loop(tmp_path / "run", export=killed).run()
    make = lambda step, model, name: exported.append((step, name))  # noqa: E731
    resumed(make_loop(tmp_path / "run", export=make))
    assert exported == [(4, "model-last"), (4, "model")]


def test_what_is_to_be_kept_for_good_is_written_when_it_is_time(tmp_path: Path) -> None:
    make_loop(tmp_path / "run", schedule=replace(SCHEDULE, steps=7, keep_every=3)).run()
    found = (tmp_path / "run" / "checkpoints").iterdir()
    assert sorted(path.name[5:13] for path in found) == ["00000003", "00000006", "00000007"]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"model": {}},
        {"optimizers": {}},
        {"optimizers": {"generators": {}, "discriminators": {}}},
        {"best": {"when": 3}},
        {"best": 3},
    ],
)
def test_a_checkpoint_of_something_else_is_refused_in_one_line(
    tmp_path: Path, spoilt: dict[str, Any]
) -> None:
    loop = make_loop(tmp_path / "run")
    save_checkpoint(tmp_path / "run" / "checkpoints", 3, loop.state.state_dict() | spoilt)
    with pytest.raises(CheckpointError, match="run: its checkpoints are of other networks"):
        loop.resume()


@pytest.mark.parametrize("state", [{}, {"format": FORMAT + 1}, [1, 2]])
def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, state: Any) -> None:
    save_checkpoint(tmp_path / "run" / "checkpoints", 3, state)
    with pytest.raises(CheckpointError, match="another version of medcyclegan"):
        make_loop(tmp_path / "run").resume()
