"""Words in pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100
POINTS_AN_INCH = 72


def lettering(
    text: str, height: int, width: int, *, pixels: float = 14.0, upward: bool = False
) -> npt.NDArray[np.uint8]:
    """Return RGB (H, W, 3): `text`, black on white, in the middle; made smaller where it must be.

    Args:
        text: one line; drawn as it stands, never as mathematics.
        height: of the picture, pixels.
        width: of the picture, pixels.
        pixels: size of the font.
        upward: whether the line runs from bottom to top.
    """
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    line = figure.text(
        0.5,
        0.5,
        text,
        fontsize=pixels * POINTS_AN_INCH / DPI,
        fontfamily="DejaVu Sans",  # comes with matplotlib
        rotation=90 if upward else 0,
        ha="center",
        va="center",
        parse_math=False,
    )
    extent = line.get_window_extent(canvas.get_renderer())
    while (extent.width > 0.98 * width or extent.height > 0.98 * height) and pixels > 1:
        pixels *= 0.9
        line.set_fontsize(pixels * POINTS_AN_INCH / DPI)
        extent = line.get_window_extent(canvas.get_renderer())
    canvas.draw()
    rgb: npt.NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return rgb
