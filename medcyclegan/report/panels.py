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
from medcyclegan.report.lettering import lettering

SHOWN_HU = (-160.0, 240.0)  # the soft-tissue window of abdominal reading
CHANGE_HU = 200.0  # the colours of a translation's change reach this far both ways
COLUMNS = ("real", "translated", "cycled", "translated less real")  # of a panel of samples
LEAST_PIXELS = 192  # height and width, about, of a slice in it
LABEL_PIXELS = 24  # height of a line of words
EDGE_PIXELS = 2  # white, between slices


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
    """Return RGB images, laid out in rows, where they are of one height, side by side."""
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)


def png(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Return an RGB image (H, W, 3) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    unsigned: dict[str, Any] = {"Software": None}  # the bytes depend on the picture alone
    matplotlib.image.imsave(buffer, rgb, format="png", metadata=unsigned)
    return buffer.getvalue()


def sample_panel(
    model: TranslationModel,
    real: Pair[Tensor],
    window: Window,
    *,
    names: Pair[str],
    step: int,
) -> bytes:
    """Return a PNG of real slices, translated, cycled and the difference, a row for each slice.

    Above it stand the step and what greys and colours mean, beside each row the direction. Small
    slices are shown larger, by a whole factor.

    Args:
        model: its generators are used as at inference.
        real: stacks (B, C, H, W) of each domain.
        window: turns [-1, 1] into HU.
        names: of the two domains.
        step: how many steps the model was trained.
    """
    rows, directions = [], []
    with evaluating(model):
        for stacks, direction, back in zip(real, DIRECTIONS, reversed(DIRECTIONS), strict=True):
            fake = model.translate(stacks, direction)
            cycled = model.translate(fake.expand_as(stacks), back)
            middle = stacks.shape[1] // 2
            for images in zip(stacks[:, middle], fake[:, 0], cycled[:, 0], strict=True):
                source, translated, again = (window.to_hu(x).cpu().numpy() for x in images)
                change = colored(translated - source)
                rows.append([gray(source), gray(translated), gray(again), change])
                directions.append(names if direction == "a_to_b" else Pair(*reversed(names)))
    return png(_labelled(rows, [f"{source} to {into}" for source, into in directions], step))


def _labelled(
    rows: Sequence[Sequence[npt.NDArray[np.uint8]]], titles: Sequence[str], step: int
) -> npt.NDArray[np.uint8]:
    """Return RGB images in rows with a title beside each, titles of columns and a line on top."""
    factor = max(1, round(LEAST_PIXELS / max(rows[0][0].shape[:2])))
    edge = ((0, EDGE_PIXELS), (0, EDGE_PIXELS), (0, 0))
    large = [
        [np.pad(x.repeat(factor, 0).repeat(factor, 1), edge, constant_values=255) for x in row]
        for row in rows
    ]
    height, width = large[0][0].shape[:2]
    low, high = SHOWN_HU
    line = (
        f"step {step}; greys from {low:.0f} to {high:.0f} HU; "
        f"difference: blue lower, red higher, full at {CHANGE_HU:.0f} HU"
    )
    above = [lettering(title, LABEL_PIXELS, width) for title in COLUMNS]
    corner = np.full((LABEL_PIXELS, LABEL_PIXELS, 3), 255, np.uint8)
    beside = [lettering(title, height, LABEL_PIXELS, upward=True) for title in titles]
    grid = tile(
        [[corner, *above], *([title, *row] for title, row in zip(beside, large, strict=True))]
    )
    return np.concatenate([lettering(line, LABEL_PIXELS, grid.shape[1]), grid])
