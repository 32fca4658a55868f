from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.report.lettering import lettering


def ink(rgb: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    rows, columns = np.nonzero(rgb.min(axis=-1) < 250)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_words_are_black_on_white_and_in_the_middle() -> None:
    rgb = lettering("step 100", 24, 200)
    assert rgb.shape == (24, 200, 3)
    assert rgb.dtype == np.uint8
    assert (rgb[0] == 255).all()
    rows, columns = ink(rgb)
    assert abs((columns.start + columns.stop) / 2 - 100) < 3
    assert 8 <= rows.stop - rows.start <= 18


@pytest.mark.parametrize("text", ["x" * 32, "a_b$^{2}$ noncontrast"])
def test_long_words_are_made_smaller_and_nothing_is_mathematics(text: str) -> None:
    rows, columns = ink(lettering(text, 24, 120))
    assert 90 < columns.stop - columns.start < 120
    assert rows.stop - rows.start < 24


def test_words_can_run_upward() -> None:
    level, upward = lettering("contrast", 24, 150), lettering("contrast", 150, 24, upward=True)
    assert upward.shape == (150, 24, 3)
    turned = np.rot90(level)  # from bottom to top
    assert np.abs(turned.astype(int) - upward).mean() < 6
    assert np.abs(np.rot90(level, -1).astype(int) - upward).mean() > 6
