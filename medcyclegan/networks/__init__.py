"""Generators and discriminators: nn.Modules with plain keyword arguments."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from medcyclegan.networks.enhancement import EnhancementOutput
from medcyclegan.networks.light import LightGenerator
from medcyclegan.networks.output import DirectOutput, ResidualOutput
from medcyclegan.networks.patchgan import PatchDiscriminator
from medcyclegan.networks.resnet import ResnetGenerator
from medcyclegan.networks.unet import UnetGenerator
from medcyclegan.networks.views import View, Viewed

Generator = ResnetGenerator | UnetGenerator | LightGenerator

GENERATORS: dict[str, Callable[..., Generator]] = {
    "resnet": ResnetGenerator,
    "unet": UnetGenerator,
    "light": LightGenerator,
}
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {"patchgan": PatchDiscriminator}
OUTPUTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "residual": ResidualOutput,
    "direct": DirectOutput,
}

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "OUTPUTS",
    "DirectOutput",
    "EnhancementOutput",
    "LightGenerator",
    "PatchDiscriminator",
    "ResidualOutput",
    "ResnetGenerator",
    "UnetGenerator",
    "View",
    "Viewed",
]
