"""Pictures of slices: greys for HU, colours for change."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt
from torch import Tensor

from medcyclegan.domains import DIRECTIONS, Pair
from medcyclegan.intensity import Window
from medcyclegan.models.evaluating import evaluating
from medcyclegan.models.protocol import TranslationModel

SHOWN_HU = (-160.0, 240.0)  # the soft-tissue window of abdominal reading
CHANGE_HU = 200.0  # the colours of a translation's change reach this far both ways


def gray(hu: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Return HU (H, W) as RGB (H, W, 3), -160 HU black and 240 HU white."""
    low, high = SHOWN_HU
    level = ((hu.clip(low, high) - low) * (255 / (high - low))).round().astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=-1)


def colored(
    change_hu: npt.NDArray[np.floating], scale_hu: float = CHANGE_HU
) -> npt.NDArray[np.uint8]:
    """Return a difference (H, W) as RGB (H, W, 3): blue lower, white none, red higher.

    Args:
        change_hu: the difference, HU.
        scale_hu: the difference, either way, from which on the colour is full, HU.
    """
    level = (change_hu / scale_hu).clip(-1.0, 1.0) / 2 + 0.5
    rgb: npt.NDArray[np.uint8] = mpl.colormaps["seismic"](level, bytes=True)[..., :3]
    return rgb


def tile(rows: Sequence[Sequence[npt.NDArray[np.uint8]]]) -> npt.NDArray[np.uint8]:
    """Return RGB images of one size, laid out in rows."""
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)


def png(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Return an RGB image (H, W, 3) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    unsigned: dict[str, Any] = {"Software": None}  # the bytes depend on the picture alone
    matplotlib.image.imsave(buffer, rgb, format="png", metadata=unsigned)
    return buffer.getvalue()


def sample_panel(model: TranslationModel, real: Pair[Tensor], window: Window) -> bytes:
    """Return a PNG of real slices, translated, cycled and the difference, a row for each slice.

    Args:
        model: its generators are used as at inference.
        real: stacks (B, C, H, W) of each domain.
        window: turns [-1, 1] into HU.
    """
    rows = []
    with evaluating(model):
        for stacks, direction, back in zip(real, DIRECTIONS, reversed(DIRECTIONS), strict=True):
            fake = model.translate(stacks, direction)
            cycled = model.translate(fake.expand_as(stacks), back)
            middle = stacks.shape[1] // 2
            for images in zip(stacks[:, middle], fake[:, 0], cycled[:, 0], strict=True):
                source, translated, again = (window.to_hu(x).cpu().numpy() for x in images)
                change = colored(translated - source)
                rows.append([gray(source), gray(translated), gray(again), change])
    return png(tile(rows))
