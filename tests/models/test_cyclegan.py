from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.config import CycleGANConfig, parse_model
from medcyclegan.domains import DIRECTIONS, DOMAINS, Direction, Pair
from medcyclegan.intensity import Window
from medcyclegan.losses import total
from medcyclegan.models import make_model
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.networks import Viewed

TINY = {
    "kind": "cyclegan",
    "pool_size": 0,
    "generator": {"kind": "resnet", "filters": 2, "blocks": 1},
    "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
}


class Does(nn.Module):
    """A network that does what a function does."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def with_plain_networks(**options: object) -> CycleGAN:
    """Return a method whose networks are sums one can do by hand."""
    model = CycleGAN(parse_model(TINY | options))
    model.generators["a_to_b"] = Does(lambda x: x + 10)
    model.generators["b_to_a"] = Does(lambda x: x * 3)
    model.discriminators["a"] = Does(lambda x: x * 0.5)
    model.discriminators["b"] = Does(lambda x: x * 0.25)
    return model


REAL = Pair(torch.full((2, 1, 4, 4), 1.0), torch.full((2, 1, 4, 4), 2.0))


def test_who_makes_what_and_who_judges_it() -> None:
    model = with_plain_networks(lambda_cycle={"a": 10, "b": 2}, lambda_identity=5)
    losses, fake = model.generator_losses(REAL)
    assert torch.equal(fake.b, torch.full((2, 1, 4, 4), 11.0))  # a_to_b(real.a)
    assert torch.equal(fake.a, torch.full((2, 1, 4, 4), 6.0))  # b_to_a(real.b)
    assert {name: float(loss) for name, loss in losses.items()} == {
        "adversarial_a": (0.5 * 6 - 1) ** 2,
        "adversarial_b": (0.25 * 11 - 1) ** 2,
        "cycle_a": 10 * abs(3 * 11 - 1),  # b_to_a(fake.b) against real.a
        "cycle_b": 2 * abs(6 + 10 - 2),  # a_to_b(fake.a) against real.b
        "identity_a": 5 * abs(3 * 1 - 1),  # b_to_a(real.a)
        "identity_b": 5 * abs(2 + 10 - 2),  # a_to_b(real.b)
    }


def test_a_price_on_change_is_paid_by_what_was_changed() -> None:
    priced, _ = with_plain_networks(lambda_change=0.5).generator_losses(REAL)
    plain, _ = with_plain_networks().generator_losses(REAL)
    extra = {name: float(loss) for name, loss in priced.items() if name not in plain}
    assert extra == {
        "change_a": 0.5 * abs(3 * 2 - 2),  # b_to_a(real.b) against real.b
        "change_b": 0.5 * abs(1 + 10 - 1),  # a_to_b(real.a) against real.a
    }
    one, _ = with_plain_networks(lambda_change={"a": 0.0, "b": 0.5}).generator_losses(REAL)
    assert "change_a" not in one
    assert float(one["change_b"]) == extra["change_b"]


@pytest.mark.parametrize("balanced", [False, True])
def test_pasted_images_are_kept_where_they_are_of_the_target(balanced: bool) -> None:
    model = with_plain_networks(pasted=0.5, lambda_identity=5, balanced=balanced)
    real = Pair(torch.full((2, 1, 8, 8), 0.2), torch.full((2, 1, 8, 8), 0.6))
    model.generators["a_to_b"] = Does(lambda x: x * 2)
    losses, _ = model.generator_losses(real)
    assert float(losses["identity_a"]) == pytest.approx(5 * 0.4)  # 3 x, where real.a is shown
    assert float(losses["identity_b"]) == pytest.approx(5 * 0.6)  # 2 x, where real.b is shown


def test_rare_levels_weigh_more_in_what_is_kept_and_in_cycles() -> None:
    real = Pair(REAL.a.clone(), REAL.b.clone())
    real.a[:, 0, 0] = -0.5  # a quarter of all pixels
    model = with_plain_networks(balanced=True, lambda_cycle=1, lambda_identity=1)
    losses, _ = model.generator_losses(real)
    assert float(losses["identity_a"]) == pytest.approx((abs(3 * 1 - 1) + abs(-1.5 + 0.5)) / 2)
    assert float(losses["cycle_a"]) == pytest.approx((abs(33 - 1) + abs(28.5 + 0.5)) / 2)


class Remembers(nn.Module):
    """A network that changes nothing and remembers what it saw last."""

    seen = torch.zeros(0)

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return images


def last(network: nn.Module) -> Tensor:
    assert isinstance(network, Remembers)
    return network.seen


def test_cycles_go_through_noise_of_so_many_hu_and_nobody_judges_it() -> None:
    model = CycleGAN(parse_model(TINY | {"cycle_noise_hu": 40}), window=Window(-200, 600))
    for networks in (model.generators, model.discriminators):
        for name in networks:
            networks[name] = Remembers()
    real = Pair(torch.zeros(4, 1, 64, 64), torch.full((4, 1, 64, 64), 0.5))
    losses, fake = model.generator_losses(real)
    for cycle, whole in (("a_to_b", fake.a), ("b_to_a", fake.b)):
        noise = last(model.generators[cycle]) - whole
        assert float(noise.std()) == pytest.approx(40 / 400, rel=0.05)
    assert float(losses["cycle_a"]) < 1e-5  # what changes nothing loses no noise
    assert float(losses["cycle_b"]) < 1e-5
    assert torch.equal(last(model.discriminators["a"]), fake.a)
    with pytest.raises(ValueError, match="the window must be given: noise is told in HU"):
        CycleGAN(parse_model(TINY | {"cycle_noise_hu": 40}))


@pytest.mark.parametrize("enhanced", ["a", "b"])
def test_doses_differ_from_place_to_place_in_the_enhanced_domain_alone(enhanced: str) -> None:
    model = CycleGAN(parse_model(TINY | {"doses": [0.5, 2.0], "enhanced": enhanced}))
    ways = {"a": "b_to_a", "b": "a_to_b"}
    for name in model.generators:
        model.generators[name] = Remembers()
    real = Pair(torch.full((3, 1, 64, 64), 0.1), torch.full((3, 1, 64, 64), 0.3))
    fake = Pair(real.b + 0.2, real.a + 0.2)
    dosed = model._dosed(fake, real)
    plain = "b" if enhanced == "a" else "a"
    assert torch.equal(getattr(dosed, plain), getattr(fake, plain))
    factors = (getattr(dosed, enhanced) - getattr(real, plain)) / 0.2
    assert 0.5 <= float(factors.min()) < 0.8
    assert 1.25 < float(factors.max()) <= 2.0
    assert float(factors.flatten(1).std(dim=1).min()) > 0.1
    assert float(factors.diff(dim=-1).abs().mean()) < 0.1
    model.generators[ways[enhanced]] = Does(lambda images: images + 0.2)
    model.generator_losses(real)
    back = last(model.generators[ways[plain]])
    assert float(back.flatten(1).std(dim=1).min()) > 0.02


def test_a_fake_that_is_good_enough_asks_for_nothing_more() -> None:
    published, _ = with_plain_networks().generator_losses(REAL)
    lenient, _ = with_plain_networks(enough=0.5).generator_losses(REAL)
    assert float(published["adversarial_b"]) == (0.25 * 11 - 1) ** 2
    assert float(lenient["adversarial_b"]) == 0.0  # a score of 2.75


def test_discriminators_are_asked_for_real_ones_of_their_domain() -> None:
    fake = Pair(torch.full((2, 1, 4, 4), 6.0), torch.full((2, 1, 4, 4), 11.0))
    losses = with_plain_networks().discriminator_losses(REAL, fake)
    assert {name: float(loss) for name, loss in losses.items()} == {
        "discriminator_a": 0.5 * ((0.5 * 1 - 1) ** 2 + (0.5 * 6) ** 2),
        "discriminator_b": 0.5 * ((0.25 * 2 - 1) ** 2 + (0.25 * 11) ** 2),
    }


def test_discriminators_see_fakes_out_of_their_own_pool() -> None:
    model = with_plain_networks(pool_size=50)
    model.discriminator_losses(REAL, Pair(REAL.a * 6, REAL.a * 11))
    kept = {domain: model.pools[domain].get_extra_state()["images"] for domain in DOMAINS}
    assert {d: [float(x.mean()) for x in kept[d]] for d in DOMAINS} == {"a": [6, 6], "b": [11, 11]}
    assert CycleGANConfig().pool_size == 50


def test_fakes_give_no_gradient_to_generators_in_the_discriminators_step() -> None:
    model = CycleGAN(parse_model(TINY))
    real = Pair(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16))
    _, fake = model.generator_losses(real)
    total(model.discriminator_losses(real, fake)).backward()
    assert all(parameter.grad is None for parameter in model.generators.parameters())
    assert all(parameter.grad is not None for parameter in model.discriminators.parameters())


def test_translate_gives_the_middle_slice() -> None:
    model = CycleGAN(parse_model(TINY), neighbors=3)
    assert model.generators["a_to_b"](torch.zeros(2, 3, 16, 16)).shape == (2, 3, 16, 16)
    model.generators["a_to_b"] = Does(lambda x: x + 10)
    model.generators["b_to_a"] = Does(lambda x: x * 3)
    stacks = torch.stack([torch.full((2, 4, 4), float(n)) for n in (1, 2, 3)], dim=1)
    assert torch.equal(model.translate(stacks, "a_to_b"), torch.full((2, 1, 4, 4), 12.0))
    assert torch.equal(model.translate(stacks, "b_to_a"), torch.full((2, 1, 4, 4), 6.0))
    with pytest.raises(ValueError, match="no style"):
        model.translate(stacks, "a_to_b", style=torch.zeros(2, 8))


@pytest.mark.parametrize(
    "generator",
    [{"kind": "resnet", "filters": 2, "blocks": 1}, {"kind": "unet", "filters": 2, "depth": 3}],
)
def test_slices_of_the_multiple_it_names_keep_their_shape(generator: dict[str, object]) -> None:
    config = parse_model(TINY | {"generator": generator})
    model = make_model(config)
    assert model.multiple == config.generator.multiple
    side = 3 * model.multiple
    assert model.translate(torch.zeros(1, 1, side, side), "a_to_b").shape == (1, 1, side, side)


def test_the_config_decides_what_is_built() -> None:
    config = parse_model(
        TINY
        | {
            "output": "direct",
            "generator": {
                "kind": "resnet",
                "filters": 3,
                "blocks": 2,
                "norm": "batch",
                "upsampling": "transposed",
            },
            "discriminator": {"filters": 5, "layers": 2, "norm": "none"},
        }
    )
    model = CycleGAN(config, neighbors=3)
    kinds = [type(module).__name__ for module in model.generators["a_to_b"].modules()]
    assert kinds[0] == "DirectOutput"
    assert kinds.count("ResidualBlock") == 2
    assert kinds.count("ConvTranspose2d") == 2
    assert "InstanceNorm2d" not in kinds
    first = model.discriminators["b"].get_submodule("layers.0")
    assert isinstance(first, nn.Conv2d)
    assert (first.in_channels, first.out_channels) == (3, 5)
    judge = [type(module).__name__ for module in model.discriminators["a"].modules()]
    assert (judge.count("Conv2d"), judge.count("InstanceNorm2d")) == (4, 0)


# One whole step of the generators, written again: one image at a time, in double precision.


def reflected(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    pad = weight.shape[-1] // 2
    return functional.conv2d(functional.pad(x, (pad,) * 4, "reflect"), weight, bias, stride)


def normed(x: Tensor) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(dim=(2, 3), keepdim=True) + 1e-5)


def plain_generator(weights: list[Tensor], x: Tensor, *, output: str, upsampling: str) -> Tensor:
    rest: Iterator[Tensor] = iter(weights)
    y = normed(reflected(x, next(rest))).relu()
    for _ in range(2):
        y = normed(reflected(y, next(rest), stride=2)).relu()
    inner = normed(reflected(y, next(rest))).relu()
    y = y + normed(reflected(inner, next(rest)))
    for _ in range(2):
        if upsampling == "resize":
            y = reflected(y.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), next(rest))
        else:
            y = functional.conv_transpose2d(y, next(rest), stride=2, padding=1, output_padding=1)
        y = normed(y).relu()
    y = torch.tanh(reflected(y, next(rest), next(rest)))
    assert next(rest, None) is None
    if output == "direct":
        return y
    image = x + 2 * y
    return image + (image.clamp(-1, 1) - image).detach()


def plain_discriminator(weights: list[Tensor], x: Tensor) -> Tensor:
    first, bias, second, last, last_bias = weights
    y = functional.leaky_relu(functional.conv2d(x, first, bias, 2, 1), 0.2)
    y = functional.leaky_relu(normed(functional.conv2d(y, second, None, 1, 1)), 0.2)
    return functional.conv2d(y, last, last_bias, 1, 1)


@pytest.mark.parametrize("output", ["residual", "direct"])
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_the_gradient_of_a_step_is_that_of_a_plain_one(output: str, upsampling: str) -> None:
    torch.manual_seed(1)
    generator = {"kind": "resnet", "filters": 3, "blocks": 1, "upsampling": upsampling}
    model = CycleGAN(
        parse_model(
            TINY | {"output": output, "generator": generator, "lambda_cycle": {"a": 10, "b": 4}}
        )
    )
    for parameter in model.generators.parameters():
        nn.init.normal_(parameter, 0, 0.2)  # far from the identity: fakes leave the window
    real = Pair(torch.rand(2, 1, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) * 2 - 1)
    losses, fake = model.generator_losses(real)
    total(losses).backward()
    if output == "residual":
        assert 0.01 < float((fake.b.detach().abs() == 1).float().mean()) < 0.9

    def doubled(network: nn.Module) -> list[Tensor]:
        return [p.detach().double().requires_grad_() for p in network.parameters()]

    g = {d: doubled(model.generators[d]) for d in DIRECTIONS}
    d = {domain: doubled(model.discriminators[domain]) for domain in DOMAINS}

    def translated(direction: Direction, x: Tensor) -> Tensor:
        return plain_generator(g[direction], x, output=output, upsampling=upsampling)

    loss = torch.zeros((), dtype=torch.float64)
    for a, b in zip(real.a.double().split(1), real.b.double().split(1), strict=True):
        fake_b, fake_a = translated("a_to_b", a), translated("b_to_a", b)
        loss = loss + (plain_discriminator(d["b"], fake_b) - 1).square().mean()
        loss = loss + (plain_discriminator(d["a"], fake_a) - 1).square().mean()
        loss = loss + 10 * (translated("b_to_a", fake_b) - a).abs().mean()
        loss = loss + 4 * (translated("a_to_b", fake_a) - b).abs().mean()
        loss = loss + 5 * (translated("b_to_a", a) - a).abs().mean()
        loss = loss + 5 * (translated("a_to_b", b) - b).abs().mean()
    (loss / 2).backward()
    assert float(total(losses).detach()) == pytest.approx(float(loss.detach()) / 2, rel=1e-5)
    for direction in DIRECTIONS:
        ours = torch.cat(
            [
                p.grad.flatten()
                for p in model.generators[direction].parameters()
                if p.grad is not None
            ]
        ).double()
        plain = torch.cat([w.grad.flatten() for w in g[direction] if w.grad is not None])
        assert float((ours - plain).norm() / plain.norm()) < 1e-4


def test_all_networks_see_the_views_of_the_window() -> None:
    config = parse_model(TINY | {"views": [{"low_hu": 0.0, "high_hu": 100.0}]})
    model = make_model(config, 3, Window(-100.0, 300.0))
    assert isinstance(model, CycleGAN)
    seen: list[torch.Tensor] = []
    for network in (*model.generators.modules(), *model.discriminators.modules()):
        if isinstance(network, Viewed):
            network.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    stacks = torch.full((1, 3, 48, 48), -0.25)  # 50 HU
    assert model.generators["b_to_a"](stacks).shape == stacks.shape
    model.discriminators["a"](stacks)
    assert [one.shape[1] for one in seen] == [6, 6]
    for one in seen:
        assert torch.equal(one[:, :3], stacks)
        assert torch.allclose(one[:, 3:], torch.zeros_like(stacks), atol=1e-6)


@pytest.mark.parametrize(("enhanced", "signs"), [("a", [-1, 1]), ("b", [1, -1])])
def test_contrast_medium_is_taken_from_the_domain_that_has_it(
    enhanced: str, signs: list[int]
) -> None:
    config = parse_model(TINY | {"output": "enhancement", "enhanced": enhanced})
    model = CycleGAN(config, window=Window(-200, 600))
    outputs = [model.generators[direction] for direction in DIRECTIONS]
    assert [output.sign for output in outputs] == signs
    assert [output.floor for output in outputs] == [-0.5, -0.5]  # 0 HU
    with pytest.raises(ValueError, match="the window must be given"):
        CycleGAN(config)
    with pytest.raises(ValueError, match="from 0 HU or less to over 20, not 10 to 600"):
        CycleGAN(config, window=Window(10, 600))
