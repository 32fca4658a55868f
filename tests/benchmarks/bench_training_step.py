"""Time one training step against a plain reference step, interleaved in one process.

    python tests/benchmarks/bench_training_step.py [--size 128] [--filters 64] [--blocks 9]

One thread, CPU seconds, A B A B ..., median and range. The reference is written here from the
paper with torch's own layers: one forward per image, discriminators frozen in the generator step.
Both begin from equal weights and see equal images; their losses must agree.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.models import make_model
from medcyclegan.training.loop import Loop, Schedule


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

    def __init__(self, filters: int, blocks: int) -> None:
        self.g = nn.ModuleDict(
            {name: reference_generator(filters, blocks) for name in ("a_to_b", "b_to_a")}
        )
        self.d = nn.ModuleDict({name: reference_discriminator(filters) for name in ("a", "b")})
        self.g_optimizer = torch.optim.Adam(self.g.parameters(), 2e-4, (0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(self.d.parameters(), 2e-4, (0.5, 0.999))

    def step(self, real: Pair[Tensor]) -> float:
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
        judged = sum(
            0.5 * (((d(real_image) - 1) ** 2).mean() + (d(fake.detach()) ** 2).mean())
            for d, real_image, fake in (
                (self.d["a"], a, fake_a),
                (self.d["b"], b, fake_b),
            )
        )
        self.d_optimizer.zero_grad()
        judged.backward()
        self.d_optimizer.step()
        return loss.item() + judged.item()


class Ours:
    """The step of the library's own loop, without image pool."""

    def __init__(self, filters: int, blocks: int, steps: int) -> None:
        self.real: Pair[Tensor] | None = None
        options = {
            "kind": "cyclegan",
            "output": "direct",
            "pool_size": 0,
            "generator": {"kind": "resnet", "filters": filters, "blocks": blocks},
            "discriminator": {"kind": "patchgan", "filters": filters},
        }
        self.model = make_model(parse_model(options))
        self.loop = Loop(
            self.model,
            lambda _: self.real or Pair(torch.empty(0), torch.empty(0)),
            Schedule(
                steps=steps,
                learning_rate=2e-4,
                discriminator_learning_rate=2e-4,
                constant_fraction=1.0,
                seed=0,
                ema=0.0,
                log_every=steps,
                sample_every=steps,
                checkpoint_minutes=5,
            ),
            Path(),
            device=torch.device("cpu"),
            draw=lambda *_: None,
            export=lambda *_: None,
            say=print,
            progress=lambda *_: None,
        )

    def step(self, real: Pair[Tensor]) -> float:
        self.real = real
        values = self.loop.train_step()
        return sum(value for name, value in values.items() if name != "learning_rate")


def copy_weights(ours: nn.ModuleDict, plain: nn.ModuleDict) -> None:
    """Give the reference our convolution weights, in order; its extra biases become 0."""
    for mine, theirs in zip(
        [m for m in ours.modules() if isinstance(m, nn.Conv2d)],
        [m for m in plain.modules() if isinstance(m, nn.Conv2d)],
        strict=True,
    ):
        theirs.weight.data.copy_(mine.weight.data)
        assert theirs.bias is not None
        theirs.bias.data.copy_(0 * theirs.bias if mine.bias is None else mine.bias.data)


def timed(step: Callable[[Pair[Tensor]], float], real: Pair[Tensor]) -> tuple[float, float]:
    begin = time.process_time()
    loss = step(real)
    return time.process_time() - begin, loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours = Ours(options.filters, options.blocks, options.rounds + 1)
    plain = Reference(options.filters, options.blocks)
    copy_weights(ours.model.generators, plain.g)
    copy_weights(ours.model.discriminators, plain.d)
    seconds: dict[str, list[float]] = {"medcyclegan": [], "reference": []}
    worst = 0.0
    for round_ in range(options.rounds + 1):
        real = Pair(*(torch.rand(1, 1, options.size, options.size) * 2 - 1 for _ in "ab"))
        our_seconds, our_loss = timed(ours.step, real)
        plain_seconds, plain_loss = timed(plain.step, real)
        worst = max(worst, abs(our_loss / plain_loss - 1))
        if round_:  # the first round warms up
            seconds["medcyclegan"].append(our_seconds)
            seconds["reference"].append(plain_seconds)
    print(
        f"one training step, {options.size}x{options.size}, batch 1, {options.filters} filters, "
        f"{options.blocks} blocks, one thread, CPU seconds, {options.rounds} rounds interleaved"
    )
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"  {name:12} {middle:7.3f}  [{min(times):.3f} - {max(times):.3f}]")
    ratios = [r / o for r, o in zip(seconds["reference"], seconds["medcyclegan"], strict=True)]
    print(
        f"  reference / medcyclegan {statistics.median(ratios):.2f} "
        f"[{min(ratios):.2f} - {max(ratios):.2f}]; losses differ by at most {worst:.1e}"
    )


if __name__ == "__main__":
    main()
