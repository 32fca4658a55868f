"""Window: the part of the HU scale that networks see, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import ConfigError, InputError

MOST_STRENGTH = 2.0  # beyond it, what networks ask for leaves anything they were shown

Array = TypeVar("Array", bound=Any)  # a numpy array or a torch tensor: both know * + and clip


@dataclass(frozen=True)
class Window:
    """A range of HU mapped linearly to [-1, 1]: `low_hu` to -1, `high_hu` to +1.

    Args:
        low_hu: lower end, HU.
        high_hu: upper end, HU, above `low_hu`.

    Raises:
        ConfigError: the range is empty.
    """

    low_hu: float
    high_hu: float

    def __post_init__(self) -> None:
        if not self.low_hu < self.high_hu:
            raise ConfigError(
                f"window: low_hu {self.low_hu:g} must be below high_hu {self.high_hu:g}"
            )

    @property
    def width_hu(self) -> float:
        """Width of the range, HU."""
        return self.high_hu - self.low_hu

    def to_unit(self, hu: Array) -> Array:
        """Return HU clipped to the window and mapped to [-1, 1]; floating point in, same out."""
        clipped = hu.clip(self.low_hu, self.high_hu)
        return ((clipped - self.low_hu) * (2.0 / self.width_hu) - 1.0).clip(-1.0, 1.0)

    def to_hu(self, unit: Array) -> Array:
        """Return HU of values in [-1, 1]: the inverse of `to_unit` inside the window."""
        return (unit + 1.0) * (self.width_hu / 2.0) + self.low_hu

    def change_to_hu(self, unit: Array) -> Array:
        """Return a difference on the [-1, 1] scale as a difference in HU."""
        return unit * (self.width_hu / 2.0)


def check_strength(strength: float) -> None:
    """Check that `strength` is a share of a change that can be applied: from 0 to 2.

    Raises:
        InputError: it is not.
    """
    if not 0 <= strength <= MOST_STRENGTH:
        raise InputError(f"--strength {strength:g}: must be from 0 to {MOST_STRENGTH:g}; 1 is all")


def apply_change(
    hu: npt.NDArray[np.float32],
    change_hu: npt.NDArray[np.float32],
    window: Window,
    strength: float = 1.0,
) -> npt.NDArray[np.float32]:
    """Return `hu` plus what the network asks for, exact below the window and smooth above it.

    The network saw `clip(hu, window)`. Below the window voxels keep their value, and the change
    fades in over the lowest twentieth of the window. Above it the network saw only `high_hu`:
    where it leaves that alone (bone, metal) the voxel keeps its HU; where it pulls that down
    (an opacified vessel) the excess over `high_hu` comes off, too. In between, from a tenth to
    four tenths of the window's width, it comes off by degrees: less than that is what networks
    leave of bone they mean to keep, more is what no bone loses.

    Args:
        hu: original voxels, HU, any shape.
        change_hu: the asked change, HU, same shape.
        window: the window the network was trained with.
        strength: share of what comes of it that is applied.

    Returns:
        New voxels, HU, float32; where `change_hu` is 0, those of `hu` bit for bit.
    """
    fade_in = _smoothstep((hu - window.low_hu) / (0.05 * window.width_hu))
    excess = np.maximum(hu - window.high_hu, 0.0)
    pulled_down = _smoothstep((-change_hu / window.width_hu - 0.1) / 0.3)
    change = change_hu * fade_in - excess * pulled_down
    return (hu + change * np.float32(strength)).astype(np.float32)


def _smoothstep(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
