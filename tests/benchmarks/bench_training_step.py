"""Time one training step against the plain step, and show that the two are the same.

    python tests/benchmarks/bench_training_step.py [--size 128] [--batch 1] [--rounds 10]

One thread, CPU seconds, A B A B ..., median and range. The plain step is written here from the
paper with torch's own layers: one forward per image, discriminators frozen in the generator step,
nothing computed twice. The peak of convolutions is measured in between, so that nobody wins
against a slow reference.

Both begin from equal weights and see equal slices. At the published learning rate weights and
Adam's averages are made equal again before each step, and the losses of each step must be equal to
1e-4. Left alone the losses drift apart, as those of the plain step in float32 and in float64 do:
Adam's first steps move every weight by the whole rate, however small its gradient, so rounding
grows from step to step. How far they drift at a hundredth of the rate is printed, too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.models import make_model
from medcyclegan.training.engine import Engine, EngineOptions
from medcyclegan.training.loop import Loop, Observers
from medcyclegan.training.schedule import Schedule

RATE, SMALL_RATE = 2e-4, 2e-6
EQUAL = 1e-4
FASTER = 1.6
OF_PEAK = 0.5


class Shape(NamedTuple):
    size: int
    batch: int
    filters: int
    blocks: int


class Losses(NamedTuple):
    generators: float
    discriminators: float


def reflected(channels: int, new_channels: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(channels, new_channels, kernel, stride=stride),
        nn.InstanceNorm2d(new_channels),
    ]


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *reflected(channels, channels, 3), nn.ReLU(), *reflected(channels, channels, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def reference_generator(f: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        *reflected(1, f, 7),
        nn.ReLU(),
        *reflected(f, 2 * f, 3, 2),
        nn.ReLU(),
        *reflected(2 * f, 4 * f, 3, 2),
        nn.ReLU(),
        *[Block(4 * f) for _ in range(blocks)],
        nn.Upsample(scale_factor=2),
        *reflected(4 * f, 2 * f, 3),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        *reflected(2 * f, f, 3),
        nn.ReLU(),
        nn.ReflectionPad2d(3),
        nn.Conv2d(f, 1, 7),
        nn.Tanh(),
    )


def reference_discriminator(f: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, f, 4, 2, 1), nn.LeakyReLU(0.2)]
    for width, wider, stride in ((f, 2 * f, 2), (2 * f, 4 * f, 2), (4 * f, 8 * f, 1)):
        layers += [
            nn.Conv2d(width, wider, 4, stride, 1),
            nn.InstanceNorm2d(wider),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * f, 1, 4, 1, 1))


class Reference:
    """The plain step: Zhu et al. 2017, lambda 10, identity 5, no image pool."""

    def __init__(self, shape: Shape, rate: float) -> None:
        self.g = nn.ModuleDict(
            {name: reference_generator(*shape[2:]) for name in ("a_to_b", "b_to_a")}
        )
        self.d = nn.ModuleDict({name: reference_discriminator(shape.filters) for name in "ab"})
        self.g_optimizer = torch.optim.Adam(self.g.parameters(), rate, (0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(self.d.parameters(), rate, (0.5, 0.999))

    def step(self, real: Pair[Tensor]) -> Losses:
        a, b = real
        self.d.requires_grad_(False)
        fake_b, fake_a = self.g["a_to_b"](a), self.g["b_to_a"](b)
        loss = ((self.d["b"](fake_b) - 1) ** 2).mean() + ((self.d["a"](fake_a) - 1) ** 2).mean()
        loss = loss + 10 * functional.l1_loss(self.g["b_to_a"](fake_b), a)
        loss = loss + 10 * functional.l1_loss(self.g["a_to_b"](fake_a), b)
        loss = loss + 5 * functional.l1_loss(self.g["b_to_a"](a), a)
        loss = loss + 5 * functional.l1_loss(self.g["a_to_b"](b), b)
        self.g_optimizer.zero_grad()
        loss.backward()
        self.g_optimizer.step()
        self.d.requires_grad_(True)
        judged = torch.stack(
            [
                0.5 * (((d(image) - 1) ** 2).mean() + (d(fake.detach()) ** 2).mean())
                for d, image, fake in ((self.d["a"], a, fake_a), (self.d["b"], b, fake_b))
            ]
        ).sum()
        self.d_optimizer.zero_grad()
        judged.backward()
        self.d_optimizer.step()
        return Losses(loss.item(), judged.item())


class Ours:
    """The step of the library's own loop, as it trains on a CPU, without image pool."""

    def __init__(self, shape: Shape, rate: float, *, checkpointing: bool = False) -> None:
        options = {
            "kind": "cyclegan",
            "output": "direct",
            "pool_size": 0,
            "generator": {"kind": "resnet", "filters": shape.filters, "blocks": shape.blocks},
            "discriminator": {"kind": "patchgan", "filters": shape.filters},
        }
        self.model = make_model(parse_model(options))
        engine = Engine(
            EngineOptions(device="cpu", threads=1, activation_checkpointing=checkpointing)
        )
        engine.prepare(self.model)
        schedule = Schedule(
            steps=10**6, learning_rate=rate, discriminator_learning_rate=rate, constant_fraction=1.0
        )
        observers = Observers(
            say=print,
            progress=lambda *_: None,
            draw=lambda *_: b"",
            export=lambda *_: None,
            watch=lambda *_: (),
            validate=None,
        )
        self.loop = Loop(self.model, nothing, schedule, Path(), engine=engine, observers=observers)

    def step(self, real: Pair[Tensor]) -> Losses:
        values = self.loop.train_step(real)
        judged = sum(value for name, value in values.items() if name.startswith("discriminator"))
        made = sum(value for name, value in values.items() if name != "learning_rate") - judged
        return Losses(made, judged)


def nothing(_step: int) -> Generator[Pair[Tensor], None, None]:
    yield from ()


def make_slices(shape: Shape, seed: int) -> Tensor:
    """Return (batch, 1, size, size) in [-1, 1]: bodies with organs in air, with grain."""
    draw = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, shape.size)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    slices = torch.full((shape.batch, 1, shape.size, shape.size), -1.0)
    for image in slices[:, 0]:
        image[(columns / 0.8) ** 2 + (rows / 0.6) ** 2 < 1] = -0.3
        for x, y, radius, value in torch.rand(8, 4, generator=draw).tolist():
            distance = (columns - 1.2 * x + 0.6) ** 2 + (rows - 0.8 * y + 0.4) ** 2
            image[distance < (0.05 + 0.2 * radius) ** 2] = 1.2 * value - 0.6
    return (slices + 0.05 * torch.randn(slices.shape, generator=draw)).clamp(-1, 1)


def twins(ours: nn.ModuleDict, plain: nn.ModuleDict) -> Iterator[tuple[Tensor | None, Tensor]]:
    """Yield our parameters and the reference's, in order; it has biases that we lack."""
    for mine, theirs in zip(
        [m for m in ours.modules() if isinstance(m, nn.Conv2d)],
        [m for m in plain.modules() if isinstance(m, nn.Conv2d)],
        strict=True,
    ):
        assert theirs.bias is not None
        yield from ((mine.weight, theirs.weight), (mine.bias, theirs.bias))


def make_equal(ours: Ours, plain: Reference) -> None:
    """Give the reference our weights and Adam's averages; biases before a norm become 0."""
    mine, theirs = ours.loop.state.optimizers, (plain.g_optimizer, plain.d_optimizer)
    networks = ((ours.model.generators, plain.g), (ours.model.discriminators, plain.d))
    for (model, reference), m, t in zip(networks, mine, theirs, strict=True):
        for our, their in twins(model, reference):
            their.data.copy_(torch.zeros_like(their) if our is None else our.data)
            for name, value in (m.state[our] if our is not None else {}).items():
                t.state[their][name] = value.clone()


class Times(NamedTuple):
    ours: list[float]
    plain: list[float]
    peak: list[float]  # GFLOP/s


def cpu_seconds(work: Callable[[], Losses]) -> tuple[float, Losses]:
    begin = time.process_time()
    losses = work()
    return time.process_time() - begin, losses


def convolution_peak(batch: int) -> float:
    """Return GFLOP/s of a 256-channel 3x3 convolution, forward and backward, the best of two."""
    best = 0.0
    for size in (32, 64):
        images = torch.randn(batch, 256, size + 2, size + 2, requires_grad=True)
        weight = torch.randn(256, 256, 3, 3, requires_grad=True)
        begin = time.process_time()
        functional.conv2d(images, weight).sum().backward()
        flops = 3 * 2 * batch * 256 * 256 * 9 * size**2
        best = max(best, flops / (time.process_time() - begin) / 1e9)
    return best


def compare(shape: Shape, rate: float, rounds: int, *, equal_again: bool, times: Times) -> float:
    """Run both for so many steps, note their times; return by how much losses differ at most."""
    torch.manual_seed(0)
    ours, plain = Ours(shape, rate), Reference(shape, rate)
    make_equal(ours, plain)
    worst = 0.0
    for round_ in range(rounds):
        real = Pair(make_slices(shape, 2 * round_), make_slices(shape, 2 * round_ + 1))
        if equal_again and round_:
            make_equal(ours, plain)
        our_seconds, our_losses = cpu_seconds(lambda real=real: ours.step(real))  # type: ignore[misc]
        plain_seconds, plain_losses = cpu_seconds(lambda real=real: plain.step(real))  # type: ignore[misc]
        differences = [abs(a / b - 1) for a, b in zip(our_losses, plain_losses, strict=True)]
        worst = max(worst, *differences)
        if round_:  # the first round warms up
            times.ours.append(our_seconds)
            times.plain.append(plain_seconds)
            times.peak.append(convolution_peak(shape.batch))
    return worst


def count_flops(shape: Shape) -> int:
    with FlopCounterMode(display=False) as counter:
        Reference(shape, RATE).step(Pair(make_slices(shape, 0), make_slices(shape, 1)))
    return int(counter.get_total_flops())


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):8.3f}  [{min(values):.3f} - {max(values):.3f}]"


def alone(shape: Shape, name: str) -> None:
    """Take two steps of one kind and print the peak memory of this process, in MB."""
    one = (
        Reference(shape, RATE)
        if name == "plain"
        else Ours(shape, RATE, checkpointing=name == "checkpointing")
    )
    for seed in (0, 2):
        one.step(Pair(make_slices(shape, seed), make_slices(shape, seed + 1)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--alone", choices=["plain", "medcyclegan", "checkpointing"])
    options = parser.parse_args()
    shape = Shape(options.size, options.batch, options.filters, options.blocks)
    torch.set_num_threads(1)
    if options.alone:
        alone(shape, options.alone)
        return
    times = Times([], [], [])
    free = compare(shape, SMALL_RATE, options.rounds, equal_again=False, times=times)
    stepwise = compare(shape, RATE, options.rounds, equal_again=True, times=times)
    print(
        f"one training step, {shape.size}x{shape.size}, batch {shape.batch}, {shape.filters} "
        f"filters, {shape.blocks} blocks, one thread, CPU seconds, {len(times.ours)} rounds in turn"
    )
    print(f"  medcyclegan {spread(times.ours)}\n  plain step  {spread(times.plain)}")
    ratios = [plain / ours for ours, plain in zip(times.ours, times.plain, strict=True)]
    print(f"  ratio       {spread(ratios)}   target {FASTER}")
    reached = count_flops(shape) / statistics.median(times.plain) / 1e9
    peak = statistics.median(times.peak)
    print(
        f"  the plain step reaches {reached:.0f} of {peak:.0f} GFLOP/s, the peak of convolutions "
        f"measured in between: {reached / peak:.0%}, at least {OF_PEAK:.0%} is asked"
    )
    print(
        f"  losses differ by at most {stepwise:.1e} in each of {options.rounds} steps from equal "
        f"weights at rate {RATE:.0e}; {EQUAL:.0e} is asked\n"
        f"  left alone for {options.rounds} steps at rate {SMALL_RATE:.0e} they drift by {free:.1e}"
    )


if __name__ == "__main__":
    main()
