"""Convolutions padded by reflection, and the ways in which they can be computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from medcyclegan.networks.normed import EPSILON, NormedRelu, Source, kept, restored
from medcyclegan.networks.thin import ReflectedToThin
from medcyclegan.networks.winograd import ReflectedWinograd

Algorithm = Literal["plain", "lean", "winograd"]
PadMode = Literal["reflect", "replicate"]

THIN = 16  # times fewer channels out than in: `ReflectedToThin` pays
JOINED = 2**20  # numbers in a tensor from which keeping it weighs more than making it again
WINOGRAD_CHANNELS = 64  # with fewer, the transforms cost more than is saved


class Convolution(nn.Conv2d):
    """A convolution padded by reflection, so that height and width stay, or halve at stride 2.

    `algorithm` says how it is computed; the mathematics is the same:

    - "plain": torch's own padding and convolution, on any device and in any precision;
    - "lean": the same, but the padded copy of the input is not kept for the backward pass;
      and where few channels come of many it is a matrix product (`ReflectedToThin`);
    - "winograd": `ReflectedWinograd`, for kernel 3 and stride 1.

    Under autocast, in half precision and off the CPU the last two do what "plain" does. On one
    thread of a CPU with AVX-512 a whole training step at 128 x 128 was 1.66 times as fast as the
    plain step with "winograd" (`tests/benchmarks/bench_training_step.py`); at 256 x 256 it took
    2067 MB and the plain step 4433 MB (`tests/benchmarks/bench_memory.py`). Not measured on a GPU.

    Args:
        channels: of the input.
        new_channels: of the result.
        kernel: height and width of the kernel, odd.
        stride: 1 or 2.
        bias: whether a bias is added.
    """

    def __init__(
        self, channels: int, new_channels: int, kernel: int, *, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(
            channels,
            new_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            padding_mode="reflect",
            bias=bias,
        )
        self.algorithm: Algorithm = "plain"
        self._thin = stride == 1 and THIN * new_channels <= channels

    def forward(self, images: Tensor, source: Source | None = None) -> Tensor:
        """Return (B, K, H / stride, W / stride) of images (B, C, H, W)."""
        if self.algorithm == "plain" or not _computed_here(images):
            return super().forward(images)
        if self.algorithm == "lean" and not self._thin:
            return _lean(images, self.weight, self.bias, self.stride[0], "reflect", source)
        function = ReflectedToThin if self._thin else ReflectedWinograd
        result: Tensor = function.apply(images, self.weight, source)  # type: ignore[no-untyped-call]
        return result if self.bias is None else result + self.bias.view(-1, 1, 1)


class UpsampledConvolution(Convolution):
    """A 3x3 convolution of the image at twice its height and width, by nearest neighbour.

    Odena et al. 2016, "Deconvolution and checkerboard artifacts". Other than "plain" never builds
    the large image: each of the four pixels that come of one sees 2x2 pixels of the small image,
    with sums of the weights, in 4/9 of the multiplications (Shi et al. 2016, arXiv:1609.07009,
    for the equivalence). Reflected at the rim, the large image shows the small one's rim again.

    Args:
        channels: of the input.
        new_channels: of the result.
        bias: whether a bias is added.
    """

    def __init__(self, channels: int, new_channels: int, *, bias: bool = True) -> None:
        super().__init__(channels, new_channels, 3, bias=bias)

    def forward(self, images: Tensor, source: Source | None = None) -> Tensor:
        """Return (B, K, 2 H, 2 W) of images (B, C, H, W)."""
        if self.algorithm == "plain" or not _computed_here(images):
            return super().forward(functional.interpolate(images, scale_factor=2.0, mode="nearest"))
        phases = _lean(images, self._phase_weights(), None, 1, "replicate", source)
        result: Tensor = _Interleaved.apply(phases)  # type: ignore[no-untyped-call]
        return result if self.bias is None else result + self.bias.view(-1, 1, 1)

    def _phase_weights(self) -> Tensor:
        """Return the kernels (4 K, C, 2, 2) of the four pixels that come of one."""
        sums = self.weight.new_tensor(
            [[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
        )  # pixel, place in the small image, place in the kernel
        weights = torch.einsum("pia,qjb,kcab->pqkcij", sums, sums, self.weight)
        return weights.reshape(-1, self.in_channels, 2, 2)


class Layers(nn.Sequential):
    """Layers, one after the other; what a convolution after norm and ReLU is given is not kept.

    Instance norm, ReLU and a `Convolution` that is not "plain" pass on through `NormedRelu`, where
    the tensors are large; the results are the same.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return what the layers make of `images`."""
        waiting = list(self)
        while waiting:
            layer = waiting.pop(0)
            if _made_again(layer, waiting, images):
                source = Source(images)
                images = NormedRelu.apply(images, source)  # type: ignore[no-untyped-call]
                images = waiting[1](images, source)
                del waiting[:2]
            else:
                images = layer(images)
        return images


def choose_convolutions(network: nn.Module, algorithm: Algorithm) -> None:
    """Set how each `Convolution` below `network` is computed; other layers are left alone.

    Args:
        network: any module.
        algorithm: "winograd" is taken where it pays, and "lean" by the others.
    """
    for layer in network.modules():
        if isinstance(layer, Convolution):
            pays = algorithm != "winograd" or _winograd_pays(layer)
            layer.algorithm = algorithm if pays else "lean"


def _lean(  # noqa: PLR0917 - as the function it calls
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    mode: PadMode,
    source: Source | None,
) -> Tensor:
    """Return a convolution of padded images (B, C, H, W), of which no padded copy is kept."""
    result: Tensor = _LeanConvolution.apply(  # type: ignore[no-untyped-call]
        images, weight, bias, stride, mode, source
    )
    return result


class _LeanConvolution(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions have no keyword arguments
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        mode: PadMode,
        source: Source | None,
    ) -> Tensor:
        ctx.save_for_backward(kept(images, source), weight)
        ctx.stride, ctx.mode, ctx.source = stride, mode, source
        return functional.conv2d(_padded(images, weight, mode), weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        with torch.enable_grad():
            images = restored(images, ctx.source).detach().requires_grad_(wanted[0])
            padded = _padded(images, weight, ctx.mode)
        of_padded, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient,
            padded.detach(),
            weight,
            [weight.shape[0]] if wanted[2] else None,
            [ctx.stride] * 2,
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            1,
            list(wanted[:3]),
        )
        of_images = torch.autograd.grad(padded, images, of_padded)[0] if wanted[0] else None
        return of_images, of_weight, of_bias, None, None, None


class _Interleaved(torch.autograd.Function):
    """(B, 4 K, H + 1, W + 1), four phases one pixel apart, to (B, K, 2 H, 2 W)."""

    @staticmethod
    def forward(ctx: Any, phases: Tensor) -> Tensor:
        batch, channels, height, width = phases.shape
        ctx.shape = phases.shape
        result = phases.new_empty(batch, channels // 4, 2 * height - 2, 2 * width - 2)
        for whole, part in _pairs(result, phases):
            whole.copy_(part)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        of_phases = gradient.new_zeros(ctx.shape)
        for whole, part in _pairs(gradient, of_phases):
            part.copy_(whole)
        return of_phases


def _pairs(whole: Tensor, phases: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, phase by phase, the same pixels of (B, K, 2 H, 2 W) and (B, 4 K, H + 1, W + 1)."""
    height, width = whole.shape[2] // 2, whole.shape[3] // 2
    for phase, part in enumerate(phases.chunk(4, dim=1)):
        row, column = divmod(phase, 2)
        yield (
            whole[:, :, row::2, column::2],
            part[:, :, row : row + height, column : column + width],
        )


def _padded(images: Tensor, weight: Tensor, mode: PadMode) -> Tensor:
    return functional.pad(images, [weight.shape[2] // 2] * 4, mode=mode)


def _winograd_pays(layer: Convolution) -> bool:
    return (
        layer.kernel_size == (3, 3)
        and layer.stride == (1, 1)
        and min(layer.in_channels, layer.out_channels) >= WINOGRAD_CHANNELS
    )


def _made_again(layer: nn.Module, following: list[nn.Module], images: Tensor) -> bool:
    """Return whether `layer` and the two after it are norm, ReLU and convolution, to be joined."""
    if not (isinstance(layer, nn.InstanceNorm2d) and len(following) >= 2):
        return False
    relu, convolution = following[:2]
    return (
        images.numel() >= JOINED
        and not layer.affine
        and layer.eps == EPSILON
        and isinstance(relu, nn.ReLU)
        and isinstance(convolution, Convolution)
        and convolution.algorithm != "plain"
        and torch.is_grad_enabled()
        and _computed_here(images)
    )


def _computed_here(images: Tensor) -> bool:
    """Return whether the ways that were measured and checked apply: full precision on a CPU."""
    return (
        images.device.type == "cpu"
        and images.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )
