from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.report.panels import colored, gray, png, sample_panel, tile

WINDOW = Window(-200.0, 600.0)
NAMES = Pair("contrast", "noncontrast")


def decoded(data: bytes) -> npt.NDArray[np.uint8]:
    pixels = matplotlib.image.imread(io.BytesIO(data), format="png")
    return (pixels[..., :3] * 255).round().astype(np.uint8)


def test_greys_run_over_the_soft_tissue_window() -> None:
    rgb = gray(np.array([[-1000.0, -160.0, 80.0, 240.0, 3000.0]]))
    assert rgb.shape == (1, 5, 3)
    assert rgb[0, :, 0].tolist() == [0, 0, 153, 255, 255]
    assert (rgb == rgb[..., :1]).all()


def test_changes_are_blue_where_lower_and_red_where_higher() -> None:
    rgb = colored(np.array([[-500.0, -100.0, 0.0, 100.0, 500.0]])).astype(int)[0]
    lower, none, higher = rgb[1], rgb[2], rgb[3]
    assert lower[2] > lower[0] + 100
    assert higher[0] > higher[2] + 100
    assert none.min() > 250
    assert colored(np.array([[-200.0, 200.0]])).tolist() == [[rgb[0].tolist(), rgb[4].tolist()]]


def test_the_scale_of_colours_may_be_another() -> None:
    change = np.array([[-30.0, 10.0, 60.0]])
    assert colored(change, 50.0).tolist() == colored(4 * change).tolist()
    assert colored(change, 50.0).tolist() != colored(change).tolist()


def test_tiles_lie_in_rows() -> None:
    images = [np.full((2, 3, 3), n, np.uint8) for n in range(4)]
    tiled = tile([images[:2], images[2:]])
    assert tiled.shape == (4, 6, 3)
    assert tiled[::2, ::3, 0].tolist() == [[0, 1], [2, 3]]


def test_a_png_holds_the_pixels_and_nothing_else() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(decoded(png(rgb)), rgb)
    assert png(rgb) == png(rgb)
    assert b"Software" not in png(rgb)
    assert b"matplotlib" not in png(rgb).lower()


class Adds(nn.Module):
    """Adds a number of HU, in the middle of a stack alone."""

    def __init__(self, hu: float) -> None:
        super().__init__()
        self.unit = hu * 2 / WINDOW.width_hu

    def forward(self, stacks: Tensor) -> Tensor:
        return stacks + self.unit


@pytest.mark.parametrize("neighbors", [1, 3])
def test_a_panel_shows_real_translated_cycled_and_difference(neighbors: int) -> None:
    model = CycleGAN(parse_model({"generator": {"filters": 1, "blocks": 1}}), neighbors)
    model.generators["a_to_b"] = Adds(-100.0)
    model.generators["b_to_a"] = Adds(50.0)
    a, b = (
        WINDOW.to_unit(torch.full((2, neighbors, 4, 6), hu)).index_fill(
            1, torch.arange(neighbors // 2), -1.0
        )
        for hu in (40.0, 140.0)
    )
    shown = decoded(sample_panel(model, Pair(a, b), WINDOW, names=NAMES, step=7))
    height, width = 4 * 32 + 2, 6 * 32 + 2  # shown larger by a whole factor, with a white edge
    slices = shown[48:, 24:]  # below two lines of words and beside one
    assert slices.shape == (4 * height, 4 * width, 3)  # two slices of each domain, four pictures
    assert (slices[height - 2 :: height] == 255).all()
    for corner in (0, 127):
        assert np.array_equal(slices[::height, ::width], slices[corner::height, corner::width])
    cells = slices[::height, ::width]
    grays = [[40, -60, -10], [40, -60, -10], [140, 190, 90], [140, 190, 90]]
    assert np.array_equal(cells[:, :3], gray(np.array(grays, float)))
    changes = np.array([[-100.0], [-100.0], [50.0], [50.0]])
    assert np.abs(cells[:, 3:].astype(int) - colored(changes)).max() <= 2


def test_a_panel_leaves_the_networks_as_they_were() -> None:
    torch.manual_seed(0)
    generator = {"kind": "resnet", "filters": 2, "blocks": 1, "norm": "batch"}
    model = CycleGAN(parse_model({"generator": generator}))
    before = {name: value.clone() for name, value in model.generators.state_dict().items()}
    real = Pair(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16))
    for training in (True, False):
        model.generators.train(training)
        sample_panel(model, real, WINDOW, names=NAMES, step=0)
        assert model.generators["a_to_b"].training is training
    after = model.generators.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_panel_says_its_step_and_which_way_each_row_goes() -> None:
    model = CycleGAN(parse_model({"generator": {"filters": 1, "blocks": 1}}))
    real = Pair(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16))

    def panel(names: Pair[str], step: int) -> npt.NDArray[np.uint8]:
        return decoded(sample_panel(model, real, WINDOW, names=names, step=step))

    shown, other = panel(NAMES, 10), panel(NAMES, 11)
    assert not np.array_equal(shown[:24], other[:24])
    assert np.array_equal(shown[24:], other[24:])
    swapped = panel(Pair(*reversed(NAMES)), 10)
    rows = [slice(48, 48 + 194), slice(48 + 194, None)]
    assert np.array_equal(shown[rows[0], :24], swapped[rows[1], :24])
    assert np.array_equal(shown[rows[1], :24], swapped[rows[0], :24])
    assert not np.array_equal(shown[rows[0], :24], shown[rows[1], :24])
