"""CycleGAN with what is tried beside the published losses; what wins moves into the package.

Images are on networks' scale, [-1, 1] for the window; lengths of change are given in HU of a window
of 800 HU, which is 400 HU to the unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.config.cyclegan import CycleGANConfig
from medcyclegan.domains import DOMAINS, Domain, Pair
from medcyclegan.intensity import Window
from medcyclegan.losses import (
    Losses,
    cycle_consistency_loss,
    fooling_loss,
    identity_loss,
)
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.pasting import paste, random_blobs
from tests.ablation.pixel_norm import replace_norms
from tests.ablation.terms import capped, mind_distance, variation

UNIT_HU = 400.0
NEXT = 5  # pixels across: of what is next to one


class Options(NamedTuple):
    """What a variant adds; every default is the shipped method.

    Args:
        transplanted_hu: what is brighter than this in the target is kept, with what is next to it,
            wherever the rest of an identity image comes from: bone, plaque and oral contrast of b
            beside vessels of a; 0: the config's `pasted` alone decides.
        cap_hu: the price on a voxel's change rises no further from about here on; 0: it does.
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

    transplanted_hu: float = 0.0
    cap_hu: float = 0.0
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
        self.bright = 1.0
        if options.transplanted_hu:
            if window is None or not config.pasted:
                raise ValueError("what is transplanted needs a window, and images that are pasted")
            self.bright = float(window.to_unit(np.array(options.transplanted_hu)))
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
        """Return the weighted generator losses on real stacks (B, C, H, W), and the fakes."""
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
                **self._still(domain, fake[i], real[1 - i]),
            }
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
            "change": (
                getattr(self.config.lambda_change, domain),
                capped(change, options.cap_hu / UNIT_HU),
            ),
            "variation": (options.variation, variation(change)),
            "outward": (options.outward, wrong.clamp(min=0).mean()),
        }
        if options.mind:
            terms["mind"] = (options.mind, mind_distance(fake, real))
        return {
            f"{name}_{domain}": weight * term for name, (weight, term) in terms.items() if weight
        }

    def _identity_images(self, real: Pair[Tensor]) -> tuple[Pair[Tensor], Pair[Tensor | float]]:
        """Return identity images (B, C, H, W), and pixels' weights."""
        if not self.options.transplanted_hu:
            return super()._identity_images(real)
        blobs = random_blobs(real.a, self.config.pasted)
        own = Pair(*(blobs | self._bright(images) for images in real))
        shown = paste(real, own)
        return shown, Pair(*(self._weights(shown[i], own[i]) for i in range(2)))

    def _bright(self, images: Tensor) -> Tensor:
        """Return where images (B, C, H, W) have something bright in or next to a pixel."""
        objects = (images > self.bright).any(1, keepdim=True).float()
        return functional.max_pool2d(objects, NEXT, 1, NEXT // 2) > 0


def _judge(discriminators: list[nn.Module], options: Options) -> Judge:
    judge = Judge(discriminators, options.judged_noise_hu)
    if options.spectral:
        for module in judge.modules():
            if isinstance(module, nn.Conv2d):
                nn.utils.parametrizations.spectral_norm(module)
    return judge
