from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.proof.grids import NetworkGrid
from medcyclegan.volume import Volume

AFFINES = st.permutations([0, 1, 2]).flatmap(
    lambda order: st.tuples(st.just(order), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
)


def volume_of(order: list[int], signs: tuple[float, ...]) -> Volume:
    """A volume whose foot-head axis has 5 mm, and a block that is neither even nor central."""
    array = np.full((24, 20, 10), -100, np.int16)
    array[4:13, 6:17, 3:8] = 60
    lengths = np.array([2.0, 2.0, 5.0])
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.array(signs) * lengths)
    affine = affine[:, [*order, 3]]
    return Volume(np.ascontiguousarray(array.transpose(order)), affine)


@given(AFFINES)
def test_labels_come_back_in_any_orientation(drawn: tuple[list[int], tuple[float, ...]]) -> None:
    volume = volume_of(*drawn)
    labels = (volume.array > 0).astype(np.uint8)
    grid = NetworkGrid(volume, None, 2.0)
    organs = grid.labels(labels)
    assert organs.shape == grid.shape == (10, 20, 24)
    hu = grid.image(volume, -1000, 1000)
    np.testing.assert_array_equal(hu > 0, organs == 1)
    scores = np.stack([1.0 - organs, organs]).astype(np.float32)
    np.testing.assert_array_equal(grid.back(scores), labels)


@pytest.mark.parametrize(("across", "plane"), [(None, 4.0), (2.5, 1.5), (7.0, 3.0)])
def test_another_spacing_keeps_place_and_size(across: float | None, plane: float) -> None:
    volume = volume_of([0, 1, 2], (-1.0, -1.0, 1.0))
    grid = NetworkGrid(volume, across, plane)
    assert grid.spacing_mm == (across or 5.0, plane, plane)
    organs = grid.labels((volume.array > 0).astype(np.uint8))
    hu = grid.image(volume, -1000, 1000)
    assert organs.shape == hu.shape == grid.shape
    own = np.prod([9, 11, 5]) * 2.0 * 2.0 * 5.0
    assert organs.sum() * np.prod(grid.spacing_mm) == pytest.approx(own, rel=0.4)
    back = grid.back(np.stack([np.full(grid.shape, -20.0), hu]).astype(np.float32))
    middle = [np.argwhere(a).mean(0) for a in (back, volume.array > 0)]
    np.testing.assert_allclose(middle[0], middle[1], atol=0.6)


def test_metal_is_clipped_before_it_bleeds() -> None:
    array = np.zeros((8, 8, 2), np.int16)
    array[4, 4] = 3000
    grid = NetworkGrid(Volume(array, np.diag([-1.0, -1.0, 5.0, 1.0])), None, 2.0)
    assert (
        grid.image(Volume(array, np.diag([-1.0, -1.0, 5.0, 1.0])), -200, 300).max() <= 300 / 4 + 1
    )
