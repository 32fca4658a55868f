"""Winograd's 3x3 convolution: a quarter of the multiplications, as plain matrix products.

Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", arXiv:1509.09308. A tile
of 4 x 4 results is A^T [(G w G^T) * (B^T d B)] A of a 6 x 6 tile d of the input: 36 products for
each pair of channels in place of 144, and summed over channels they are 36 matrix products. The
gradients are the transposes of the same steps.

Between the transforms tensors have channels innermost: (36, tiles, B, C), so that gathering tiles
copies long runs and each transform is one product with a small matrix from the left.
"""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from medcyclegan.networks.normed import Source, kept, restored

TILE = 4  # rows and columns of results in a tile
PATCH = TILE + 2  # rows and columns of its input
PLACES = PATCH * PATCH

# F(4, 3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray, section 4.3)
_B_T = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_G = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_A_T = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


PART = 2**21  # numbers in the tiles of a part of the batch: more would leave the cache

_threads = threading.local()


class ReflectedWinograd(torch.autograd.Function):
    """3x3 convolution of (B, C, H, W), stride 1, padded by reflection; H and W from 2.

    Keeps the input and the weights for its backward pass, where the input's tiles are transformed
    anew: that takes less than a tenth of the time, and kept they would take 2.25 times the memory.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, source: Source | None) -> Tensor:
        """Return (B, K, H, W) of images (B, C, H, W) and weights (K, C, 3, 3)."""
        ctx.save_for_backward(kept(images, source), weight)
        ctx.source = source
        transformed = _transformed_weight(weight)
        result = images.new_empty(images.shape[0], weight.shape[0], *images.shape[2:])
        for part in _parts(images, weight):
            products = _scratch("products", (PLACES, _tiles(images[part]), weight.shape[0]), images)
            torch.bmm(_input_tiles(images[part]), transformed.transpose(1, 2), out=products)
            result[part] = _results(products, result[part].shape)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of images and weights, of the gradient (B, K, H, W)."""
        images, weight = ctx.saved_tensors
        of_weight = ctx.needs_input_grad[1]
        if of_weight:
            images = restored(images, ctx.source)
            sums = _scratch("sums", (PLACES, *weight.shape[:2]), weight)
        of_images = torch.empty_like(images) if ctx.needs_input_grad[0] else None
        transformed = _transformed_weight(weight)
        for part in _parts(images, weight):
            products = _result_tiles(gradient[part])
            if of_weight:
                keep = 1.0 if part.start else 0.0  # of what the parts before gave
                sums.baddbmm_(products.transpose(1, 2), _input_tiles(images[part]), beta=keep)
            if of_images is not None:
                tiles = _scratch("tiles", (PLACES, products.shape[1], weight.shape[1]), weight)
                torch.bmm(products, transformed, out=tiles)
                of_images[part] = _folded(tiles, images[part].shape)
        _, g, _ = _matrices(weight.dtype)
        flat = (sums.view(PLACES, -1).t() @ g).view_as(weight) if of_weight else None
        return of_images, flat, None


def _scratch(purpose: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return a tensor that is valid until the next one for the same purpose.

    Fresh memory of this size costs as much as filling it, and leaves holes in the heap.
    """
    name, count = f"{purpose} {like.dtype}", math.prod(shape)
    held: Tensor | None = getattr(_threads, name, None)
    if held is None or held.numel() < count:
        with torch.inference_mode(False):  # made by a validation, it is written to in training
            held = torch.empty(count, dtype=like.dtype)
        setattr(_threads, name, held)
    return held[:count].view(shape)


def _parts(images: Tensor, weight: Tensor) -> list[slice]:
    """Return parts of the batch whose tiles are small enough, an image at least."""
    each = PLACES * _tiles(images[:1]) * max(weight.shape[:2])
    batch = images.shape[0]
    count = min(batch, -(-batch * each // PART))
    step = -(-batch // count)
    return [slice(first, first + step) for first in range(0, batch, step)]


def _tiles(images: Tensor) -> int:
    return images.shape[0] * _count(images.shape[2]) * _count(images.shape[3])


@functools.cache
def _matrices(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return B^T, G and A^T of two dimensions: (36, 36), (36, 9) and (16, 36)."""
    b_t, g, a_t = (torch.tensor(rows, dtype=torch.float64) for rows in (_B_T, _G, _A_T))
    return (
        torch.kron(b_t, b_t).to(dtype),
        torch.kron(g, g).to(dtype),
        torch.kron(a_t, a_t).to(dtype),
    )


@functools.lru_cache(maxsize=64)
def _places(height: int, width: int) -> Tensor:
    """Return which pixel each place of each tile shows, (36 * tiles,), reflected at the rim."""
    rows, columns = (
        torch.arange(PATCH)[:, None] + TILE * torch.arange(_count(length)) - 1  # (6, tiles)
        for length in (height, width)
    )
    rows, columns = (
        (length - 1 - (length - 1 - places.abs()).abs()).clamp(min=0)  # beyond it: any will do
        for places, length in ((rows, height), (columns, width))
    )
    return (rows[:, None, :, None] * width + columns[None, :, None, :]).flatten()


def _count(length: int) -> int:
    """Return how many tiles cover so many rows or columns."""
    return -(-length // TILE)


def _channels_inside(images: Tensor) -> Tensor:
    """Return (H * W, B * C) of (B, C, H, W)."""
    batch, channels, height, width = images.shape
    return images.reshape(batch * channels, height * width).t().contiguous()


def _channels_outside(images: Tensor, batch: int) -> Tensor:
    """Return (B, C, H, W) of (H, W, B * C)."""
    height, width, _ = images.shape
    outside = images.reshape(height * width, -1).t().contiguous()
    return outside.view(batch, -1, height, width)


def _input_tiles(images: Tensor) -> Tensor:
    """Return B^T d B of all tiles of images (B, C, H, W): (36, tiles * B, C)."""
    _, channels, height, width = images.shape
    inside = _channels_inside(images)
    shape = (PLACES, _tiles(images), channels)
    patches = _scratch("patches", shape, images).view(-1, inside.shape[1])
    torch.index_select(inside, 0, _places(height, width), out=patches)
    b_t, _, _ = _matrices(images.dtype)
    tiles = _scratch("tiles", shape, images)
    torch.mm(b_t, patches.view(PLACES, -1), out=tiles.view(PLACES, -1))
    return tiles


def _transformed_weight(weight: Tensor) -> Tensor:
    """Return G w G^T of weights (K, C, 3, 3): (36, K, C)."""
    _, g, _ = _matrices(weight.dtype)
    transformed = _scratch("weights", (PLACES, *weight.shape[:2]), weight)
    torch.mm(g, weight.reshape(-1, 9).t(), out=transformed.view(PLACES, -1))
    return transformed


def _results(products: Tensor, shape: torch.Size) -> Tensor:
    """Return A^T m A of all tiles (36, tiles * B, K), laid side by side: (B, K, H, W)."""
    batch, _, height, width = shape
    down, right = _count(height), _count(width)
    _, _, a_t = _matrices(products.dtype)
    results = (a_t @ products.view(PLACES, -1)).view(TILE, TILE, down, right, -1)
    whole = results.permute(2, 0, 3, 1, 4).reshape(TILE * down, TILE * right, -1)
    return _channels_outside(whole[:height, :width], batch)


def _result_tiles(gradient: Tensor) -> Tensor:
    """Return A g A^T of all tiles of a gradient (B, K, H, W): (36, tiles * B, K)."""
    _, channels, height, width = gradient.shape
    inside = _channels_inside(gradient).view(height, width, -1)
    down, right = TILE * _count(height), TILE * _count(width)
    if (down, right) != (height, width):
        whole = inside.new_zeros(down, right, inside.shape[2])
        whole[:height, :width] = inside
        inside = whole
    tiles = inside.view(_count(height), TILE, _count(width), TILE, -1).permute(1, 3, 0, 2, 4)
    _, _, a_t = _matrices(gradient.dtype)
    products = _scratch("products", (PLACES, _tiles(gradient), channels), gradient)
    torch.mm(a_t.t(), tiles.reshape(TILE * TILE, -1), out=products.view(PLACES, -1))
    return products


def _folded(tiles: Tensor, shape: torch.Size) -> Tensor:
    """Return the images (B, C, H, W) of which `tiles` would be B^T d B, transposed.

    Patches B g B^T are added where they overlap, and the rim is reflected back inside.
    """
    batch, _, height, width = shape
    down, right = _count(height), _count(width)
    b_t, _, _ = _matrices(tiles.dtype)
    patches = _scratch("patches", tiles.shape, tiles).view(PLACES, -1)
    torch.mm(b_t.t(), tiles.view(PLACES, -1), out=patches)
    patches = patches.view(PATCH, PATCH, down, right, -1).permute(2, 0, 3, 1, 4)
    blocks = patches.new_empty(down + 1, TILE, right + 1, TILE, patches.shape[4])
    blocks[-1] = 0.0
    blocks[:, :, -1] = 0.0
    blocks[:-1, :, :-1] = patches[:, :TILE, :, :TILE]
    blocks[:-1, :, 1:, :2] += patches[:, :TILE, :, TILE:]
    blocks[1:, :2, :-1] += patches[:, TILE:, :, :TILE]
    blocks[1:, :2, 1:, :2] += patches[:, TILE:, :, TILE:]
    padded = blocks.view(TILE * (down + 1), TILE * (right + 1), -1)
    padded[2] += padded[0]
    padded[height - 1] += padded[height + 1]
    padded[:, 2] += padded[:, 0]
    padded[:, width - 1] += padded[:, width + 1]
    return _channels_outside(padded[1 : height + 1, 1 : width + 1], batch)
