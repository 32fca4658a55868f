"""The segmentation networks: MONAI's U-Nets, on slices or on patches of volumes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers.utils import sliding_window_inference
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

from medcyclegan.config.segmentation_networks import PatchNetwork
from medcyclegan.intensity import Window

Hu = npt.NDArray[np.float32]
SLICES_AT_ONCE = 16


def make_network(config: PatchNetwork, classes: int) -> nn.Module:
    """Return a U-Net (Ronneberger et al. 2015) with instance norm and weights drawn by torch.

    Instance norm takes its statistics from each image alone, so that batches of two domains in
    turn do not leave running statistics that fit neither.

    Args:
        config: dimensions and size.
        classes: organs and what is none of them.
    """
    dimensions = 3 if config.is_3d else 2
    channels = [config.filters * 2**level for level in range(config.levels)]
    strides = [1, *[2] * (config.levels - 2)]
    return UNet(
        dimensions,
        in_channels=1,
        out_channels=classes,
        channels=channels,
        strides=strides,
        num_res_units=config.residual_units,
    )


def predict(network: nn.Module, hu: Hu, window: Window, config: PatchNetwork) -> Hu:
    """Return scores of each class for a volume on the network's grid, (C, S, H, W).

    Whole slices go through a 2D network, padded to what it can halve; overlapping patches through
    a 3D one, blended with a Gaussian weight.

    Args:
        network: in evaluation mode.
        hu: (S, H, W).
        window: what the network sees of the HU scale.
        config: of the network.
    """
    unit = torch.from_numpy(window.to_unit(hu)).to(next(network.parameters()).device)
    with torch.inference_mode():
        if config.is_3d:
            scores = sliding_window_inference(
                unit[None, None], config.patch, 1, network, overlap=0.5, mode="gaussian"
            )
            return scores[0].cpu().numpy()
        batches = unit[:, None].split(SLICES_AT_ONCE)
        return (
            torch.cat([_padded(network, batch) for batch in batches]).transpose(0, 1).cpu().numpy()
        )


def _padded(network: nn.Module, slices: Tensor, multiple: int = 32) -> Tensor:
    """Return what the network makes of slices (B, 1, H, W) of any size."""
    rows, columns = slices.shape[-2:]
    missing = (0, -columns % multiple, 0, -rows % multiple)
    return network(functional.pad(slices, missing, value=-1.0))[..., :rows, :columns]
