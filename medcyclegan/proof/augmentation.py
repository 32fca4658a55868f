"""Random changes of training batches: geometry, and grey values as mild or as strong as is usual.

Batches are changed at once, in 2D or 3D, by numbers drawn from one generator, so that equal
seeds give equal trainings. Geometry and mild intensity follow what is usual for CT; the strong set
is the intensity part of nnU-Net's augmentation (Isensee et al. 2021, Nat Methods 18:203-211) with
random non-linear curves (Zhou et al. 2021, Models Genesis, Med Image Anal 67:101840).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

AIR_HU = -1000.0
MOST_ROTATION = math.radians(12.0)
SCALES = (0.88, 1.14)
MOST_SHIFT = 0.06  # of half the field of view
CURVE_POINTS = 64

Intensity = Callable[[Tensor, torch.Generator], Tensor]


def move(hu: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return samples turned, scaled and shifted at random in the slice, images and labels alike.

    Nothing is mirrored: the liver lies on one side.

    Args:
        hu: (B, S, H, W), HU; air comes in from outside.
        labels: the same shape, whole numbers.
        generator: of the random numbers, one movement for each sample.
    """
    count = len(hu)
    angle = _uniform(count, -MOST_ROTATION, MOST_ROTATION, generator)
    scale = _uniform(count, *SCALES, generator)
    shift = _uniform(2 * count, -MOST_SHIFT, MOST_SHIFT, generator).reshape(count, 2)
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    columns = torch.stack([cosine, -sine, shift[:, 0]], 1)
    rows = torch.stack([sine, cosine, shift[:, 1]], 1)
    grid = functional.affine_grid(
        torch.stack([columns, rows], 1), list(hu.shape), align_corners=False
    )
    moved = functional.grid_sample(hu - AIR_HU, grid, mode="bilinear", align_corners=False)
    nearest = functional.grid_sample(labels.float(), grid, mode="nearest", align_corners=False)
    return moved + AIR_HU, nearest.round().to(labels.dtype)


def mild(unit: Tensor, generator: torch.Generator) -> Tensor:
    """Return images in [-1, 1] with a little noise, and brightness and contrast changed a little.

    Args:
        unit: (B, 1, ...), windowed.
        generator: of the random numbers.
    """
    unit = _noise(unit, 0.03, 0.5, generator)
    unit = _scaled(unit, (0.9, 1.1), 0.5, generator)
    return _gamma(unit, (0.85, 1.2), 0.3, generator).clip(-1, 1)


def strong(unit: Tensor, generator: torch.Generator) -> Tensor:
    """Return images in [-1, 1] changed as hard as is usual.

    Noise, resolution, contrast, brightness, gamma of the image and of its negative, and random
    curves of grey values.

    Args:
        unit: (B, 1, ...), windowed.
        generator: of the random numbers.
    """
    unit = _noise(unit, 0.1, 0.3, generator)
    unit = _coarse(unit, 0.3, generator)
    unit = _scaled(unit, (0.7, 1.3), 0.4, generator)
    unit = _shifted(unit, 0.3, 0.4, generator)
    unit = _gamma(unit, (0.7, 1.5), 0.3, generator)
    unit = -_gamma(-unit, (0.7, 1.5), 0.15, generator)
    return _curved(unit, 0.5, generator).clip(-1, 1)


INTENSITIES: dict[str, Intensity] = {"mild": mild, "strong": strong}


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _some(unit: Tensor, changed: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return `changed` for each image that is drawn with `probability`, `unit` for the others."""
    drawn = torch.rand(len(unit), generator=generator) < probability
    return torch.where(_beside(drawn, unit), changed, unit)


def _beside(values: Tensor, unit: Tensor) -> Tensor:
    """Return one value for each image, (B,), in a shape that meets the batch's."""
    return values.reshape(-1, *[1] * (unit.ndim - 1))


def _noise(unit: Tensor, most: float, probability: float, generator: torch.Generator) -> Tensor:
    sigma = _beside(_uniform(len(unit), 0.0, most, generator), unit)
    grain = torch.randn(unit.shape, generator=generator)
    return _some(unit, unit + sigma * grain, probability, generator)


def _scaled(
    unit: Tensor, factors: tuple[float, float], probability: float, generator: torch.Generator
) -> Tensor:
    """Return images with contrast about their own mean scaled."""
    mean = unit.mean(dim=list(range(1, unit.ndim)), keepdim=True)
    factor = _beside(_uniform(len(unit), *factors, generator), unit)
    return _some(unit, mean + (unit - mean) * factor, probability, generator)


def _shifted(unit: Tensor, most: float, probability: float, generator: torch.Generator) -> Tensor:
    shift = _beside(_uniform(len(unit), -most, most, generator), unit)
    return _some(unit, unit + shift, probability, generator)


def _gamma(
    unit: Tensor, powers: tuple[float, float], probability: float, generator: torch.Generator
) -> Tensor:
    power = _beside(_uniform(len(unit), *powers, generator), unit)
    share = ((unit + 1) / 2).clip(0, 1)
    return _some(unit, share**power * 2 - 1, probability, generator)


def _coarse(unit: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return images at half their resolution in the slice, on the same grid."""
    flat = unit.reshape(-1, 1, *unit.shape[-2:])
    small = functional.avg_pool2d(flat, 2)
    large = functional.interpolate(
        small, size=list(unit.shape[-2:]), mode="bilinear", align_corners=False
    )
    return _some(unit, large.reshape(unit.shape), probability, generator)


def _curved(unit: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return images sent through random Bezier curves of grey values, half of them falling.

    The curve's ends are (-1, -1) and (1, 1), or (-1, 1) and (1, -1); its two inner points are
    drawn from the square between, so that it always has one value for each grey.
    """
    count = len(unit)
    inner = torch.rand(count, 2, 2, generator=generator) * 2 - 1
    inner[:, :, 0] = inner[:, :, 0].sort(dim=1).values
    inner[:, :, 1] = inner[:, :, 1].sort(dim=1).values
    falling = torch.rand(count, generator=generator) < 0.5
    along = torch.linspace(0, 1, CURVE_POINTS)
    first, second, third, fourth = (
        (1 - along) ** 3,
        3 * (1 - along) ** 2 * along,
        3 * (1 - along) * along**2,
        along**3,
    )
    greys, values = (
        -first + inner[:, :1, axis] * second + inner[:, 1:, axis] * third + fourth
        for axis in (0, 1)
    )
    values = torch.where(falling[:, None], -values, values)
    curved = torch.stack(
        [_interpolate(image, *curve) for image, *curve in zip(unit, greys, values, strict=True)]
    )
    return _some(unit, curved, probability, generator)


def _interpolate(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Return the value at each `x` of the polyline through growing `places`, 1-D."""
    x = x.clip(float(places[0]), float(places[-1])).contiguous()
    after = torch.searchsorted(places, x).clip(1, len(places) - 1)
    left, right = places[after - 1], places[after]
    share = (x - left) / (right - left).clamp_min(1e-6)
    return values[after - 1] + share * (values[after] - values[after - 1])
