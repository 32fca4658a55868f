from __future__ import annotations

import doctest
import io
import math

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcyclegan.report import run_curves
from medcyclegan.report.evaluate_plots import COLORS
from medcyclegan.report.run_curves import draw_figures, draw_score
from medcyclegan.report.series import Series

DOMAINS = ("contrast", "noncontrast")


def series(*values: float) -> Series:
    made = Series()
    for number, value in enumerate(values, start=1):
        made.add(10 * number, value)
    return made


def decoded(data: bytes) -> npt.NDArray[np.float64]:
    assert b"matplotlib" not in data.lower()
    pixels = matplotlib.image.imread(io.BytesIO(data), format="png")
    return np.asarray(pixels[..., :3], float)


def near(pixels: npt.NDArray[np.float64], color: str) -> int:
    rgb = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return int((np.abs(pixels - rgb).max(axis=-1) < 0.08).sum())


def test_the_examples_hold() -> None:
    assert doctest.testmod(run_curves).failed == 0


def test_domains_share_a_plot_in_two_colours() -> None:
    both = {"cycle_a": series(1, 2, 3), "cycle_b": series(3, 2, 1)}
    pixels = decoded(draw_figures(both, DOMAINS))
    assert near(pixels, COLORS[0]) > 100
    assert near(pixels, COLORS[1]) > 100
    alone = decoded(draw_figures({"cycle_b": series(3, 2, 1)}, DOMAINS))
    assert near(alone, COLORS[0]) == 0
    assert near(alone, COLORS[1]) > 100


def test_more_figures_take_more_rows() -> None:
    three = decoded(draw_figures({f"figure {n}": series(1, 2) for n in range(3)}, DOMAINS))
    four = decoded(draw_figures({f"figure {n}": series(1, 2) for n in range(4)}, DOMAINS))
    many = decoded(draw_figures({f"figure {n}": series(1, 2) for n in range(90)}, DOMAINS))
    assert four.shape[0] > three.shape[0] + 100
    assert many.shape[0] < 3000


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes that are drawn."""
    found: list[Axes] = []
    whole = run_curves._png

    def keep(figure: Figure) -> bytes:
        found.extend(figure.axes)
        return whole(figure)

    monkeypatch.setattr(run_curves, "_png", keep)
    return found


def test_a_falling_loss_is_logarithmic_where_that_is_asked_for(drawn: list[Axes]) -> None:
    falling = {"cycle_a": series(*(100 * math.exp(-n / 10) for n in range(60)))}
    draw_figures(falling, DOMAINS, log={"cycle_a"})
    draw_figures(falling, DOMAINS)
    draw_figures({"cycle_a": series(-1.0, 100.0)}, DOMAINS, log={"cycle_a"})
    draw_figures({"cycle_a": series(0.9, 1.0)}, DOMAINS, log={"cycle_a"})
    assert [axes.get_yscale() for axes in drawn] == ["log", "linear", "linear", "linear"]


def test_rounding_noise_does_not_fill_a_plot(drawn: list[Axes]) -> None:
    draw_figures({"x": series(0.97, 0.97 + 1e-9), "y": series(0.0, 0.0)}, DOMAINS)
    for axes, middle in zip(drawn, (0.97, 0.0), strict=True):
        low, high = axes.get_ylim()
        assert low < middle < high
        assert high - low > 0.01


def test_rejected_scores_lie_at_the_edge_and_do_not_press_the_others_together(
    drawn: list[Axes],
) -> None:
    scores = series(8000.0, 50.0, 20.0, 8001.0, 30.0)
    draw_score(scores, 30, {"changing nothing": 60.0, "matching": 1052.0})
    low, high = drawn[0].get_ylim()
    assert low < 20
    assert 60 < high < 80
    _, labels = drawn[0].get_legend_handles_labels()
    assert labels == [
        "accepted",
        "rejected",
        "changing nothing: 60.00",
        "matching: 1052.00 (rejected)",
        "chosen: 30",
    ]
    rejected = next(line for line in drawn[0].lines if line.get_label() == "rejected")
    points = rejected.get_xydata()
    assert isinstance(points, np.ndarray)
    assert points[:, 0].tolist() == [10, 40]
    assert ((points[:, 1] > 60) & (points[:, 1] < high)).all()


@pytest.mark.parametrize("score", [20.0, 1020.0])
def test_one_alone_is_drawn_too_even_if_rejected(drawn: list[Axes], score: float) -> None:
    draw_score(series(score), 10, {})
    low, high = drawn[0].get_ylim()
    assert low < score < high < score + 5


def test_where_all_were_rejected_they_are_shown_alone(drawn: list[Axes]) -> None:
    draw_score(series(1020.0, 1009.0), 20, {"changing nothing": 1014.0, "real patients": 6.0})
    low, high = drawn[0].get_ylim()
    assert 1000 < low < 1009
    assert 1020 < high < 1030
    assert drawn[0].get_legend_handles_labels()[1] == [
        "rejected",
        "changing nothing: 1014.00 (rejected)",
        "chosen: 20",
    ]
