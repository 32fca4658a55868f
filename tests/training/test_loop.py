from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.errors import Interrupted, MedCycleGANError
from medcyclegan.losses import Losses
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.protocol import TranslationModel
from medcyclegan.training.checkpoint import load_newest
from medcyclegan.training.loop import Loop, Schedule

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


class Crash(Exception):
    """Stands for a kill -9."""


def tiny(seed: int = 0, norm: str = "batch") -> CycleGAN:
    torch.manual_seed(seed)
    generator = {"kind": "resnet", "filters": 2, "blocks": 1, "norm": norm}
    return CycleGAN(
        parse_model(
            {
                "kind": "cyclegan",
                "pool_size": 3,
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
        "device": torch.device("cpu"),
        "draw": lambda step, model: None,
        "export": lambda step, model: None,
        "say": lambda line: None,
        "progress": lambda step, losses: None,
    }
    source: Callable[[int], Pair[Tensor]] = options.pop("batch", batch)
    return Loop(model or tiny(), source, schedule, folder, **asked | options)


def flat(state: Any, name: str = "") -> dict[str, Any]:
    """Return all that a state holds by its dotted name."""
    if isinstance(state, dict):
        return {k: v for key, x in state.items() for k, v in flat(x, f"{name}.{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for i, x in enumerate(state) for k, v in flat(x, f"{name}.{i}").items()}
    return {name: state.tolist() if isinstance(state, Tensor) else state}


def whole_state(loop: Loop) -> dict[str, Any]:
    return flat(
        {
            "model": loop.model.state_dict(),
            "average": loop.average.generators.state_dict(),
            "optimizers": {name: one.state_dict() for name, one in loop.optimizers.items()},
        }
    )


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
    assert resumed.step == stop
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
    assert loop.step == 0
    assert said == [f"{tmp_path / 'run'}: no complete checkpoint; beginning at step 0"]


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_loop(folder, schedule=EVERY_STEP).run()
    damaged = max((folder / "checkpoints").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    said: list[str] = []
    loop = make_loop(folder, say=said.append)
    loop.resume()
    assert loop.step == STEPS - 1
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
    with pytest.raises(MedCycleGANError, match=f"loss cycle_{domain} is nan at step 2") as caught:
        loop.run()
    assert caught.value.exit_code == 1
    assert checkpoint_step(tmp_path / "run") == 2
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2]
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_no_checkpoint_holds_a_weight_that_is_not_finite(tmp_path: Path) -> None:
    model = tiny()

    def spoil(step: int, losses: dict[str, float]) -> None:
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
    name = "a_to_b.network.head.1.weight"
    weights: list[Tensor] = [model.generators.state_dict()[name].clone()]
    exported: list[TranslationModel] = []
    loop = make_loop(
        tmp_path / "run",
        model,
        replace(SCHEDULE, ema=0.3, steps=4),
        progress=lambda step, losses: weights.append(model.generators.state_dict()[name].clone()),
        export=lambda step, current: exported.append(current),
    )
    loop.run()
    expected = weights[0]
    for step, weight in enumerate(weights[1:]):
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    assert exported == [loop.average]
    averaged = loop.average.generators.state_dict()
    torch.testing.assert_close(averaged[name], expected)
    assert not torch.equal(averaged[name], weights[-1])
    counted = next(key for key in averaged if key.endswith("num_batches_tracked"))
    assert torch.equal(averaged[counted], model.generators.state_dict()[counted])


def test_without_an_average_the_generators_themselves_are_exported(tmp_path: Path) -> None:
    model = tiny()
    exported: list[tuple[int, TranslationModel]] = []
    make_loop(
        tmp_path / "run", model, export=lambda step, current: exported.append((step, current))
    ).run()
    assert exported == [(STEPS, model)]


def test_what_is_logged_drawn_and_reported(tmp_path: Path) -> None:
    drawn: list[int] = []
    shown: list[int] = []
    make_loop(
        tmp_path / "run",
        schedule=replace(SCHEDULE, steps=5, log_every=2, sample_every=2, constant_fraction=0.2),
        draw=lambda step, model: drawn.append(step),
        progress=lambda step, losses: shown.append(step),
    ).run()
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert drawn == [2, 4]
    assert shown == [1, 2, 3, 4, 5]
    kinds = ("adversarial", "cycle", "identity", "discriminator")
    names = {f"{kind}_{domain}" for kind in kinds for domain in "ab"}
    assert set(lines[0]) == names | {"step", "learning_rate"}
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-2, 5e-3, 2.5e-3])


def test_each_optimiser_has_its_learning_rate(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "run")
    loop.run()
    for optimizer, rate in zip(loop.optimizers.values(), (1e-2, 5e-3), strict=True):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(rate / 3)  # 3 constant steps, then 1, 2/3, 1/3
        assert group["betas"] == (0.5, 0.999)


def test_the_device_is_named_and_the_end_projected(tmp_path: Path) -> None:
    said: list[str] = []
    schedule = replace(SCHEDULE, steps=12)
    make_loop(tmp_path / "run", schedule=schedule, say=said.append).run()
    assert len(said) == 2
    assert said[0].startswith("training on cpu, ")
    assert said[0].endswith("threads, 12 steps")
    assert "s a step, done about" in said[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    def signalled(step: int) -> Pair[Tensor]:
        if step == 2:
            os.kill(os.getpid(), number)
        return batch(step)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped at step 3; go on with --resume") as caught:
        make_loop(tmp_path / "run", batch=signalled).run()
    assert caught.value.exit_code == 75
    assert checkpoint_step(tmp_path / "run") == 3
    assert signal.getsignal(number) is before


def test_ctrl_c_stops_with_a_checkpoint(tmp_path: Path) -> None:
    def signalled(step: int) -> Pair[Tensor]:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return batch(step)

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        make_loop(tmp_path / "run", batch=signalled, say=said.append).run()
    assert checkpoint_step(tmp_path / "run") == 2
    assert said[-1] == f"{tmp_path / 'run'}: stopped at step 2; go on with --resume"


def test_it_trains_outside_the_main_thread(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "run", schedule=replace(SCHEDULE, steps=1))
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join()
    assert checkpoint_step(tmp_path / "run") == 1
