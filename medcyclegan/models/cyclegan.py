"""CycleGAN: Zhu et al. 2017, arXiv:1703.10593."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from medcyclegan.config.cyclegan import FLOOR_HU, RAMP_HU, CycleGANConfig
from medcyclegan.domains import DIRECTIONS, DOMAINS, Direction, Domain, Pair
from medcyclegan.intensity import Window
from medcyclegan.losses import (
    Losses,
    adversarial_loss,
    change_loss,
    cycle_consistency_loss,
    fooling_loss,
    identity_loss,
    level_weights,
)
from medcyclegan.models.image_pool import ImagePool
from medcyclegan.models.pasting import paste, random_blobs, random_field
from medcyclegan.models.whole_batch import normal_draws
from medcyclegan.networks import (
    DISCRIMINATORS,
    GENERATORS,
    OUTPUTS,
    EnhancementOutput,
    View,
    Viewed,
)


class CycleGAN(nn.Module):
    """Two generators that undo each other, each against a discriminator of its target domain.

    Stacks of neighbouring slices are translated and judged as a whole, as channels; `translate`
    gives the middle one.

    Args:
        config: the method's options.
        neighbors: slices in a stack.
        window: HU that [-1, 1] stands for; networks with views must know it.

    Raises:
        ValueError: a view is no part of the window, or views, the output or noise need a window
            and there is none, or one that does not fit.
    """

    def __init__(
        self, config: CycleGANConfig, neighbors: int = 1, window: Window | None = None
    ) -> None:
        super().__init__()
        self.config = config
        views = _views(config, window)
        channels = neighbors * (1 + len(views))
        generator = config.generator.model_dump(exclude={"kind"}) | {"out_channels": neighbors}
        network = GENERATORS[config.generator.kind]
        networks = {direction: network(channels, **generator) for direction in DIRECTIONS}
        self.generators = nn.ModuleDict(
            {d: _with_output(_viewed(networks[d], views), d, config, window) for d in DIRECTIONS}
        )
        self.cycle_noise = _cycle_noise(config, window)
        self.multiple = networks["a_to_b"].multiple
        judge = DISCRIMINATORS[config.discriminator.kind]
        discriminator = config.discriminator.model_dump(exclude={"kind"})
        self.discriminators = nn.ModuleDict(
            {domain: _viewed(judge(channels, **discriminator), views) for domain in DOMAINS}
        )
        self.pools = nn.ModuleDict({domain: ImagePool(config.pool_size) for domain in DOMAINS})

    def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
        """Return the weighted generator losses on real stacks (B, C, H, W), and the fakes.

        Each generator translates its source and keeps its target in one call.
        """
        a_to_b, b_to_a = self.generators["a_to_b"], self.generators["b_to_a"]
        shown, identity_weights = self._identity_images(real)
        fake_b, identity_b = a_to_b(torch.cat([real.a, shown.b])).chunk(2)
        identity_a, fake_a = b_to_a(torch.cat([shown.a, real.b])).chunk(2)
        fake, identity = Pair(fake_a, fake_b), Pair(identity_a, identity_b)
        dosed = self._dosed(fake, real)
        noisy_b, wanted_a = self._noisy(dosed.b, real.a)
        noisy_a, wanted_b = self._noisy(dosed.a, real.b)
        cycled, wanted = Pair(b_to_a(noisy_b), a_to_b(noisy_a)), Pair(wanted_a, wanted_b)
        losses: Losses = {}
        for i, domain in enumerate(DOMAINS):
            scores = self.discriminators[domain](fake[i])
            cycle = cycle_consistency_loss(cycled[i], wanted[i], self._weights(real[i]))
            kept = identity_loss(identity[i], shown[i], identity_weights[i])
            losses |= {
                f"adversarial_{domain}": fooling_loss(scores, self.config.enough),
                f"cycle_{domain}": getattr(self.config.lambda_cycle, domain) * cycle,
                f"identity_{domain}": self.config.lambda_identity * kept,
            }
            if price := getattr(self.config.lambda_change, domain):
                change = change_loss(fake[i], real[1 - i])  # a fake is made from the other domain
                losses[f"change_{domain}"] = price * change
        return losses, fake

    def _identity_images(self, real: Pair[Tensor]) -> tuple[Pair[Tensor], Pair[Tensor | float]]:
        """Return what each generator of a domain must keep, (B, C, H, W), and pixels' weights.

        Where images are pasted, outlines are drawn from torch's global random state.
        """
        if not self.config.pasted:
            return real, Pair(*map(self._weights, real))
        blobs = random_blobs(real.a, self.config.pasted)
        own = Pair(blobs, blobs)
        shown = paste(real, own)
        return shown, Pair(*(self._weights(shown[i], own[i]) for i in range(2)))

    def _dosed(self, fake: Pair[Tensor], real: Pair[Tensor]) -> Pair[Tensor]:
        """Return the fakes, with random doses of contrast medium in that which was given it.

        Fields of doses are drawn from torch's global random state.
        """
        low, high = self.config.doses
        if low == high:
            return fake
        enhanced, source = (fake.a, real.b) if self.config.enhanced == "a" else (fake.b, real.a)
        factor = low * (high / low) ** torch.special.ndtr(random_field(source))
        dosed = (source + factor * (enhanced - source)).clamp(-1.0, 1.0)
        return fake._replace(**{self.config.enhanced: dosed})

    def _noisy(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return a fake with the noise of cycles, and what is to come of it: with it, too.

        A translation keeps the noise of its source. If all of it had to go, it would outweigh all
        else in the loss, and what was wrong by less than it would hardly count. It is drawn from
        torch's global random state.
        """
        if not self.cycle_noise:
            return fake, real
        noise = self.cycle_noise * normal_draws(real.shape, real.device)
        return fake + noise, (real + noise).clamp(-1.0, 1.0)

    def _weights(self, images: Tensor, counted: Tensor | None = None) -> Tensor | float:
        """Return the weights of pixels in a mask, (B, 1, H, W), or of all; 0 elsewhere."""
        if self.config.balanced:
            return level_weights(images, counted)
        return 1.0 if counted is None else counted / counted.float().mean()

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> Losses:
        """Return the discriminators' losses, halved (section 7.1), on real and pooled fakes."""
        return {
            f"discriminator_{domain}": self._discriminator_loss(
                domain, getattr(real, domain), getattr(fake, domain)
            )
            for domain in DOMAINS
        }

    def _discriminator_loss(self, domain: Domain, real: Tensor, fake: Tensor) -> Tensor:
        pool = self.pools[domain]
        assert isinstance(pool, ImagePool)
        pooled = pool.exchange(fake.detach())
        of_real, of_fake = self.discriminators[domain](torch.cat([real, pooled])).chunk(2)
        return 0.5 * (adversarial_loss(of_real, real=True) + adversarial_loss(of_fake, real=False))

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        """Return the middle slices (B, 1, H, W), translated, of stacks (B, C, H, W) in [-1, 1].

        Raises:
            ValueError: a style was given: this method has none.
        """
        if style is not None:
            raise ValueError("CycleGAN has one translation of an image: no style")
        middle = slices.shape[1] // 2
        translated: Tensor = self.generators[direction](slices)
        return translated[:, middle : middle + 1]


def _views(config: CycleGANConfig, window: Window | None) -> list[View]:
    """Return the config's views on the scale of [-1, 1]."""
    if not config.views:
        return []
    if window is None:
        raise ValueError("the window must be given: views are parts of it")
    config.check_views(window.low_hu, window.high_hu)
    ends = [np.array([view.low_hu, view.high_hu]) for view in config.views]
    return [(float(low), float(high)) for low, high in map(window.to_unit, ends)]


def _cycle_noise(config: CycleGANConfig, window: Window | None) -> float:
    """Return the standard deviation of the noise in cycles on the scale of [-1, 1]."""
    if not config.cycle_noise_hu:
        return 0.0
    if window is None:
        raise ValueError("the window must be given: noise is told in HU")
    return 2.0 * config.cycle_noise_hu / (window.high_hu - window.low_hu)


def _with_output(
    network: nn.Module, direction: Direction, config: CycleGANConfig, window: Window | None
) -> nn.Module:
    if config.output != "enhancement":
        return OUTPUTS[config.output](network)
    if window is None:
        raise ValueError("the window must be given: what contrast medium can do is told in HU")
    config.check_floor(window.low_hu, window.high_hu)
    floor, ramp_end = map(float, window.to_unit(np.array([FLOOR_HU, FLOOR_HU + RAMP_HU])))
    takes_out = direction.startswith(config.enhanced)
    return EnhancementOutput(
        network, floor=floor, ramp=ramp_end - floor, sign=-1 if takes_out else 1
    )


def _viewed(network: nn.Module, views: Sequence[View]) -> nn.Module:
    return Viewed(network, views) if views else network
