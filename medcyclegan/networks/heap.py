"""Memory that is free within the process, given back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from torch import Tensor

LARGE = 2**16  # pixels of a batch from which holes in the heap matter: a slice of 256 x 256


def give_back(images: Tensor) -> None:
    """Give holes in the heap back to the system, now and when the gradient of `images` is known.

    Done in training on a CPU alone, with images so large. Activations that stay lie between
    temporary ones that went; the holes cannot hold the larger tensors of other layers, and would
    add a quarter to the peak memory of a step. It is glibc's `malloc_trim`; elsewhere nothing is
    done.
    """
    if images.requires_grad and images.device.type == "cpu" and images.numel() >= LARGE:
        _trim()(0)
        images.register_hook(_trim_then)


def _trim_then(_gradient: Tensor) -> None:
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # no glibc
        return lambda _: None
    return trim
