from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.errors import CheckpointError, ConfigError, Interrupted, MedCycleGANError
from medcyclegan.losses import Losses
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.checkpoint import load_newest, save_checkpoint
from medcyclegan.training.engine import Engine, EngineOptions
from medcyclegan.training.loop import Loop, Observers, Validated
from medcyclegan.training.schedule import Schedule

STEPS = 6
SCHEDULE = Schedule(
    steps=STEPS,
    learning_rate=1e-2,
    discriminator_learning_rate=5e-3,
    constant_fraction=0.5,
    seed=3,
    ema=0.0,
    log_every=1,
    sample_every=1000,
    checkpoint_minutes=5,
)
EVERY_STEP = replace(SCHEDULE, checkpoint_minutes=0)  # a checkpoint after each step


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(24)  # stands for one


class Crash(Exception):
    """Stands for a kill -9."""


def tiny(seed: int = 0, norm: str = "batch", pool_size: int = 3) -> CycleGAN:
    torch.manual_seed(seed)
    generator = {"kind": "resnet", "filters": 2, "blocks": 1, "norm": norm}
    return CycleGAN(
        parse_model(
            {
                "kind": "cyclegan",
                "pool_size": pool_size,
                "generator": generator,
                "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
            }
        )
    )


def batch(step: int) -> Pair[Tensor]:
    generator = torch.Generator().manual_seed(step)
    a, b = (torch.rand(2, 1, 16, 16, generator=generator) * 2 - 1 for _ in range(2))
    return Pair(a, b)


def make_loop(
    folder: Path,
    model: TranslationModel | None = None,
    schedule: Schedule = SCHEDULE,
    **options: Any,
) -> Loop:
    folder.mkdir(exist_ok=True)
    asked: dict[str, Any] = {
        "draw": lambda step, model: PICTURE,
        "export": lambda step, model, name: None,
        "say": lambda line: None,
        "progress": lambda step, losses, seconds: None,
        "watch": lambda step, losses: (),
        "validate": None,
    }
    source: Callable[[int], Pair[Tensor]] = options.pop("batch", batch)

    def batches(first: int) -> Generator[Pair[Tensor]]:
        yield from map(source, range(first, schedule.steps))

    engine = Engine(EngineOptions(device="cpu"))
    chosen = model or tiny()
    engine.prepare(chosen)
    observers = Observers(**asked | options)
    return Loop(chosen, batches, schedule, folder, engine=engine, observers=observers)


def flat(state: Any, name: str = "") -> dict[str, Any]:
    """Return all that a state holds by its dotted name."""
    if isinstance(state, dict):
        return {k: v for key, x in state.items() for k, v in flat(x, f"{name}.{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for i, x in enumerate(state) for k, v in flat(x, f"{name}.{i}").items()}
    return {name: state.tolist() if isinstance(state, Tensor) else state}


def whole_state(loop: Loop) -> dict[str, Any]:
    return flat(loop.state.state_dict())


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def checkpoint_step(folder: Path) -> int:
    found = load_newest(folder / "checkpoints", pytest.fail)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("stop", [1, 3, STEPS])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_resumed_run_ends_bit_for_bit_where_an_undisturbed_one_does(
    tmp_path: Path, stop: int, ema: float
) -> None:
    schedule = replace(EVERY_STEP, ema=ema)
    straight = make_loop(tmp_path / "straight", schedule=schedule)
    straight.run()

    def until(step: int) -> Pair[Tensor]:
        if step == stop:
            raise Crash
        return batch(step)

    killed = make_loop(tmp_path / "killed", schedule=schedule, batch=until)
    if stop < STEPS:
        with pytest.raises(Crash):
            killed.run()
    else:
        killed.run()
    torch.manual_seed(99)
    resumed = make_loop(tmp_path / "killed", tiny(seed=1), schedule)
    resumed.resume()
    assert resumed.state.step == stop
    resumed.run()
    expected, found = whole_state(straight), whole_state(resumed)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert any("pools.b._extra_state.images.2" in name for name in expected)
    assert (tmp_path / "killed/metrics.jsonl").read_bytes() == (
        tmp_path / "straight/metrics.jsonl"
    ).read_bytes()
    assert [line["step"] for line in metrics(tmp_path / "killed")] == list(range(1, STEPS + 1))


def test_draws_depend_on_the_seed(tmp_path: Path) -> None:
    class Draws(CycleGAN):
        """Remembers what it draws."""

        def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
            drawn.append(torch.rand(()).item())
            return super().generator_losses(real)

    runs: list[list[float]] = []
    for seed in (3, 3, 4):
        drawn: list[float] = []
        model = Draws(tiny().config)
        make_loop(tmp_path / str(len(runs)), model, replace(SCHEDULE, steps=2, seed=seed)).run()
        runs.append(drawn)
    assert runs[0] == runs[1] != runs[2]
    assert runs[0][0] != runs[0][1]


def test_without_a_checkpoint_it_begins_at_step_0_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    loop = make_loop(tmp_path / "run", say=said.append)
    loop.resume()
    assert loop.state.step == 0
    assert said == [f"{tmp_path / 'run'}: no complete checkpoint; beginning at step 0"]


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_loop(folder, schedule=EVERY_STEP).run()
    damaged = max((folder / "checkpoints").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    said: list[str] = []
    loop = make_loop(folder, say=said.append)
    loop.resume()
    assert loop.state.step == STEPS - 1
    assert said[0].startswith(damaged.name)
    assert said[1].endswith(f"going on from step {STEPS - 1}")


@pytest.mark.parametrize("domain", ["a", "b"])
def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(tmp_path: Path, domain: str) -> None:
    class Fails(CycleGAN):
        """Gives a cycle loss that is not a number in the third step."""

        def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
            losses, fake = super().generator_losses(real)
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 3:
                losses[f"cycle_{domain}"] = losses[f"cycle_{domain}"] * float("nan")
            return losses, fake

    model = Fails(tiny().config)
    loop = make_loop(tmp_path / "run", model, EVERY_STEP)
    with pytest.raises(MedCycleGANError, match=f"loss cycle_{domain} is nan at step 3") as caught:
        loop.run()
    assert caught.value.exit_code == 1
    assert checkpoint_step(tmp_path / "run") == 2
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2]
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_no_checkpoint_holds_a_weight_that_is_not_finite(tmp_path: Path) -> None:
    model = tiny()

    def spoil(step: int, losses: dict[str, float], seconds: float) -> None:
        if step == 3:
            next(model.discriminators["b"].parameters()).data[0] = float("inf")

    loop = make_loop(tmp_path / "run", model, EVERY_STEP, progress=spoil)
    with pytest.raises(MedCycleGANError, match=r"weight b\.\S+ is not finite at step 3"):
        loop.run()
    assert checkpoint_step(tmp_path / "run") == 2


def test_discriminators_get_no_gradient_from_the_generators_step(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watched(CycleGAN):
        """Looks at gradients between the two updates."""

        def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
            assert not any(p.requires_grad for p in self.discriminators.parameters())
            seen.append("generators")
            return super().generator_losses(real)

        def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> Losses:
            assert all(p.requires_grad for p in self.discriminators.parameters())
            assert all(p.grad is None for p in self.discriminators.parameters())
            assert all(p.grad is not None for p in self.generators.parameters())
            assert not fake.a.requires_grad
            seen.append("discriminators")
            return super().discriminator_losses(real, fake)

    model = Watched(tiny().config)
    before = {
        name: value.clone() for name, value in model.state_dict().items() if "pools" not in name
    }
    make_loop(tmp_path / "run", model, replace(SCHEDULE, steps=1)).run()
    assert seen == ["generators", "discriminators"]
    trained = {name for name, parameter in model.named_parameters()}
    after = model.state_dict()
    assert [name for name in trained if torch.equal(before[name], after[name])] == []


def test_the_average_follows_the_generators_and_is_what_is_exported(tmp_path: Path) -> None:
    model = tiny()
    name = next(key for key in model.generators.state_dict() if key.endswith("weight"))
    weights: list[Tensor] = [model.generators.state_dict()[name].clone()]
    exported: list[TranslationModel] = []
    loop = make_loop(
        tmp_path / "run",
        model,
        replace(SCHEDULE, ema=0.3, steps=4),
        progress=lambda *_: weights.append(model.generators.state_dict()[name].clone()),
        export=lambda step, current, kept: exported.append(current),
    )
    loop.run()
    expected = weights[0]
    for step, weight in enumerate(weights[1:]):
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    assert exported == [loop.state.average] * 2
    averaged = loop.state.average.generators.state_dict()
    torch.testing.assert_close(averaged[name], expected)
    assert not torch.equal(averaged[name], weights[-1])
    counted = next(key for key in averaged if key.endswith("num_batches_tracked"))
    assert torch.equal(averaged[counted], model.generators.state_dict()[counted])


def test_without_an_average_the_generators_themselves_are_exported(tmp_path: Path) -> None:
    model = tiny()
    exported: list[tuple[int, TranslationModel, str]] = []
    make_loop(tmp_path / "run", model, export=lambda *kept: exported.append(kept)).run()
    assert exported == [(STEPS, model, "model-last"), (STEPS, model, "model")]


def test_what_is_logged_drawn_and_reported(tmp_path: Path) -> None:
    drawn: list[int] = []
    shown: list[int] = []

    def draw(step: int, model: TranslationModel) -> bytes:
        drawn.append(step)
        return PICTURE

    make_loop(
        tmp_path / "run",
        schedule=replace(SCHEDULE, steps=5, log_every=2, sample_every=2, constant_fraction=0.2),
        draw=draw,
        progress=lambda step, losses, seconds: shown.append(step),
    ).run()
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert drawn == [2, 4, 5]
    assert shown == [1, 2, 3, 4, 5]
    kinds = ("adversarial", "cycle", "identity", "discriminator")
    names = {f"{kind}_{domain}" for kind in kinds for domain in "ab"}
    assert set(lines[0]) == names | {"step", "learning_rate"}
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-2, 5e-3, 2.5e-3])


def test_each_optimiser_has_its_learning_rate(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "run")
    loop.run()
    for optimizer, rate in zip(loop.state.optimizers, (1e-2, 5e-3), strict=True):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(rate / 3)  # 3 constant steps, then 1, 2/3, 1/3
        assert group["betas"] == (0.5, 0.999)


def test_the_device_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    make_loop(tmp_path / "run", say=said.append).run()
    assert len(said) == 1
    assert said[0].startswith("training on cpu, ")
    assert said[0].endswith(f", {STEPS} steps")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    def signalled(step: int) -> Pair[Tensor]:
        if step == 2:
            os.kill(os.getpid(), number)
        return batch(step)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped at step 2; go on with --resume") as caught:
        make_loop(tmp_path / "run", batch=signalled).run()
    assert caught.value.exit_code == 75
    assert checkpoint_step(tmp_path / "run") == 2
    assert signal.getsignal(number) is before


def test_ctrl_c_stops_with_a_checkpoint(tmp_path: Path) -> None:
    def signalled(step: int) -> Pair[Tensor]:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return batch(step)

    with pytest.raises(KeyboardInterrupt, match="run: stopped at step 1; go on with --resume"):
        make_loop(tmp_path / "run", batch=signalled).run()
    assert checkpoint_step(tmp_path / "run") == 1


def test_it_trains_outside_the_main_thread(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "run", schedule=replace(SCHEDULE, steps=1))
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join()
    assert checkpoint_step(tmp_path / "run") == 1


class Watched(CycleGAN):
    """Asks to be stopped in the middle of its third step, after fakes and statistics were made."""

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> Losses:
        losses = super().discriminator_losses(real, fake)
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses


def test_a_step_that_is_broken_off_left_no_trace(tmp_path: Path) -> None:
    """Image pools and running statistics are as before it, so a resumed run draws it again."""
    straight = make_loop(tmp_path / "straight")
    straight.run()
    config = tiny().config
    torch.manual_seed(0)
    with pytest.raises(Interrupted, match="stopped at step 2"):
        make_loop(tmp_path / "stopped", Watched(config)).run()
    resumed = make_loop(tmp_path / "stopped", tiny(seed=1))
    resumed.resume()
    resumed.run()
    assert whole_state(resumed) == whole_state(straight)


def scored(*scores: float) -> Callable[[int, TranslationModel], Validated]:
    """Return a validation that finds these scores, one after the other."""
    left = iter(scores)
    return lambda step, model: Validated({"score": next(left), "edges": 0.5}, ())


def test_the_best_model_is_kept_and_the_last_one_too(tmp_path: Path) -> None:
    exported: list[tuple[int, str]] = []
    loop = make_loop(
        tmp_path / "run",
        schedule=replace(SCHEDULE, validate_every=2),
        validate=scored(3.0, 1.0, 2.0),
        export=lambda step, model, name: exported.append((step, name)),
    )
    loop.run()
    assert [step for step, name in exported if name == "model"] == [2, 4]
    assert exported[-1] == (STEPS, "model-last")
    assert loop.state.best == (4, 1.0)
    lines = [line for line in metrics(tmp_path / "run") if "validation/score" in line]
    assert [(line["step"], line["validation/score"]) for line in lines] == [(2, 3), (4, 1), (6, 2)]
    assert lines[0]["validation/edges"] == 0.5
    kept = sorted(path.name[:13] for path in (tmp_path / "run/checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000006"]


def test_training_ends_where_validations_get_no_better(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, steps=20, validate_every=2, early_stop=2)
    loop = make_loop(tmp_path / "run", schedule=schedule, validate=scored(3, 1, 2, 1, 9, 9))
    loop.run()
    assert loop.state.step == 8
    assert checkpoint_step(tmp_path / "run") == 8


def test_a_stop_within_a_validation_is_made_up_for(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, validate_every=3)
    straight = make_loop(tmp_path / "straight", schedule=schedule, validate=scored(2, 1))
    straight.run()

    def stopped(step: int, model: TranslationModel) -> Validated:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("goes on")

    with pytest.raises(Interrupted, match="stopped at step 3"):
        make_loop(tmp_path / "run", schedule=schedule, validate=stopped).run()
    resumed = make_loop(tmp_path / "run", tiny(seed=1), schedule, validate=scored(2, 1))
    resumed.resume()
    resumed.run()
    assert whole_state(resumed) == whole_state(straight)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "straight")


def test_warnings_are_said_and_kept(tmp_path: Path) -> None:
    said: list[str] = []
    make_loop(
        tmp_path / "run",
        say=said.append,
        watch=lambda step, losses: ["odd"] if step == 2 else [],
        validate=lambda step, model: Validated({"score": 1.0}, ["inverted"]),
    ).run()
    lines = (tmp_path / "run/warnings.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 2, "warning": "odd"},
        {"step": STEPS, "warning": "inverted"},
    ]
    assert said[1:] == ["warning: step 2: odd", f"warning: step {STEPS}: inverted"]


def test_a_batch_in_parts_gives_the_same_gradients(tmp_path: Path) -> None:
    """With instance norm, whose statistics are those of each slice alone, and no chance."""
    loops = [
        make_loop(
            tmp_path / str(parts),
            tiny(norm="instance", pool_size=0),
            replace(SCHEDULE, accumulate=parts, learning_rate=1e-4),
        )
        for parts in (1, 2)
    ]
    for loop in loops:
        loop.run()
    first, second = (metrics(loop.folder) for loop in loops)
    for whole, parted in zip(first, second, strict=True):
        assert parted == pytest.approx(whole, rel=1e-3)


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "run", schedule=replace(SCHEDULE, accumulate=3))
    with pytest.raises(ConfigError, match=r"training\.accumulate: 2 slices .* into 3 parts"):
        loop.run()


def test_memory_that_is_short_is_said_with_the_batch(tmp_path: Path) -> None:
    class Greedy(CycleGAN):
        """Asks for more memory than there is."""

        def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
            torch.empty(1 << 60)
            raise AssertionError("got it")

    loop = make_loop(tmp_path / "run", Greedy(tiny().config))
    with pytest.raises(MedCycleGANError, match="out of memory with 2 slices of 16 x 16") as caught:
        loop.run()
    assert "training.accumulate" in str(caught.value)


def test_checkpoints_are_kept_by_policy(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "run", schedule=replace(EVERY_STEP, keep_every=2))
    loop.run()
    kept = sorted(int(path.name[5:13]) for path in (tmp_path / "run/checkpoints").iterdir())
    assert kept == [2, 4, 5, 6]


def test_checkpoints_of_another_version_are_not_taken_for_none(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run" / "checkpoints", 4, {"model": {}})
    with pytest.raises(CheckpointError, match="another version of medcyclegan"):
        make_loop(tmp_path / "run").resume()
