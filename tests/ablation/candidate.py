"""CycleGAN with what is tried beside the published losses; what wins moves into the package.

Images are on networks' scale, [-1, 1] for the window; lengths of change are given in HU of a window
of 800 HU, which is 400 HU to the unit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.config.cyclegan import CycleGANConfig
from medcyclegan.domains import DOMAINS, Domain, Pair
from medcyclegan.intensity import Window
from medcyclegan.losses import Losses
from medcyclegan.models.cyclegan import CycleGAN
from tests.ablation.pixel_norm import replace_norms
from tests.ablation.terms import mind_distance, variation

UNIT_HU = 400.0


class Options(NamedTuple):
    """What a variant adds; every default is the shipped method.

    Args:
        variation: weight of the total variation of the change.
        mind: weight of the distance of MIND descriptors of source and fake.
        outward: weight of change that contrast medium cannot make: brighter in b, darker in a.
        r1: weight of the squared gradient of discriminators' mean score on a real image, not halved
            (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
        spectral: whether discriminators' convolutions have spectral norm 1 (Miyato et al. 2018,
            arXiv:1802.05957).
        scales: resolutions at which images are judged, each half of the one before (Wang et al.
            2018, arXiv:1711.11585, section 3.2).
        judged_noise_hu: greatest noise on all that discriminators see (Sonderby et al. 2017,
            arXiv:1610.04490).
        pixel_norm: whether generators have it in place of batch norm.
    """

    variation: float = 0.0
    mind: float = 0.0
    outward: float = 0.0
    r1: float = 0.0
    spectral: bool = False
    scales: int = 1
    judged_noise_hu: float = 0.0
    pixel_norm: bool = False


class Judge(nn.Module):
    """Discriminators of one architecture at several resolutions; scores are side by side."""

    def __init__(self, discriminators: list[nn.Module], noise_hu: float) -> None:
        super().__init__()
        self.scales = nn.ModuleList(discriminators)
        self.noise = noise_hu / UNIT_HU

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, 1, 1, N) of images (B, C, H, W)."""
        if self.noise:
            strength = torch.rand(len(images), 1, 1, 1, device=images.device)
            images = images + self.noise * strength * torch.randn_like(images)
        scores = []
        for judge in self.scales:
            scores.append(judge(images).flatten(1))
            images = functional.avg_pool2d(images, 2)
        return torch.cat(scores, dim=1)[:, None, None]


class Candidate(CycleGAN):
    """CycleGAN with the options of a variant.

    Args:
        config: the method's options.
        neighbors: slices in a stack.
        window: HU that [-1, 1] stands for.
        options: what is tried.
    """

    def __init__(
        self, config: CycleGANConfig, neighbors: int, window: Window | None, options: Options
    ) -> None:
        super().__init__(config, neighbors, window)
        self.options = options
        if options.pixel_norm:
            replace_norms(self.generators)
        methods = [self, *(CycleGAN(config, neighbors, window) for _ in range(1, options.scales))]
        self.discriminators = nn.ModuleDict(
            {
                name: _judge([one.discriminators[name] for one in methods], options)
                for name in DOMAINS
            }
        )

    def generator_losses(self, real: Pair[Tensor]) -> tuple[Losses, Pair[Tensor]]:
        """Return the method's losses on real stacks (B, C, H, W) with what is tried, and fakes."""
        losses, fake = super().generator_losses(real)
        for i, domain in enumerate(DOMAINS):
            losses |= self._still(domain, fake[i], real[1 - i])
        return losses, fake

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> Losses:
        """Return the discriminators' losses, and the price on their gradients."""
        losses = super().discriminator_losses(real, fake)
        if self.options.r1:
            for domain in DOMAINS:
                images = getattr(real, domain).detach().requires_grad_()
                scores = self.discriminators[domain](images).flatten(1).mean(1).sum()
                (slope,) = torch.autograd.grad(scores, images, create_graph=True)
                steep = slope.flatten(1).square().sum(1).mean()
                losses[f"r1_{domain}"] = self.options.r1 * steep
        return losses

    def _still(self, domain: Domain, fake: Tensor, real: Tensor) -> Losses:
        """Return the terms that hold a fake, made of a real stack of the other domain, to it."""
        options, change = self.options, fake - real
        wrong = change if domain == "b" else -change
        terms = {
            "variation": (options.variation, variation(change)),
            "outward": (options.outward, wrong.clamp(min=0).mean()),
        }
        if options.mind:
            terms["mind"] = (options.mind, mind_distance(fake, real))
        return {
            f"{name}_{domain}": weight * term for name, (weight, term) in terms.items() if weight
        }


def _judge(discriminators: list[nn.Module], options: Options) -> Judge:
    judge = Judge(discriminators, options.judged_noise_hu)
    if options.spectral:
        for module in judge.modules():
            if isinstance(module, nn.Conv2d):
                nn.utils.parametrizations.spectral_norm(module)
    return judge
