"""The slices that a validation keeps are the volume's own, with all that stacks need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.slices import neighbor_indices, slice_frame, to_slices
from medcyclegan.validation.patients import Acquisition, cut_excerpt, on_grid, one_of_each
from medcyclegan.volume import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CORONAL = np.array([[-1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])


def numbered(count: int, affine: npt.NDArray[Any], *, air: int = 0) -> Volume:
    """Slices that each hold their own number, `air` of them without a body at either end."""
    slices = np.tile(np.arange(count, dtype=np.int16)[:, None, None], (1, 9, 9))
    slices[:air] = slices[count - air :] = -1000
    frame = slice_frame((9, 9, count), affine)
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in frame.flips)
    return Volume(slices[steps].transpose(np.argsort(frame.axes)), affine)


def test_one_volume_of_each_patient_evenly_spread() -> None:
    volume = numbered(3, LPS)
    listed = [Acquisition(f"{number // 2}", volume) for number in range(20)]
    chosen = one_of_each(listed, 4)
    assert [one.patient for one in chosen] == ["0", "3", "6", "9"]
    assert chosen[1] is listed[6]
    assert len(one_of_each(listed, 16)) == 10
    assert one_of_each([], 4) == []


@given(
    count=st.integers(1, 60),
    neighbors=st.sampled_from([1, 3, 5]),
    most=st.integers(1, 12),
    affine=st.sampled_from([LPS, np.diag([1.0, 1.0, -1.0, 1.0]), np.diag([1.0, -1.0, 3.0, 1.0])]),
)
def test_every_chosen_slice_keeps_the_stack_it_has_in_the_volume(
    count: int, neighbors: int, most: int, affine: npt.NDArray[Any]
) -> None:
    volume = numbered(count, affine)
    excerpt = cut_excerpt(volume, neighbors=neighbors, most=most)

    def stacks(of: Volume) -> npt.NDArray[Any]:
        slices = to_slices(of.array, slice_frame(of.array.shape, of.affine))
        return slices[:, 0, 0][neighbor_indices(len(slices), neighbors)]

    chosen = excerpt.scan().hu[:, 0, 0].astype(int)
    assert len(chosen) == min(count, most)
    whole = to_slices(volume.array, slice_frame(volume.array.shape, volume.affine))
    places = [int(np.flatnonzero(whole[:, 0, 0] == value)[0]) for value in chosen]
    np.testing.assert_array_equal(stacks(excerpt.volume)[excerpt.middles], stacks(volume)[places])
    if count > 1:
        assert {0, count - 1} <= {places[0], places[-1]} or most == 1


def test_slices_of_air_at_the_ends_are_not_looked_at() -> None:
    excerpt = cut_excerpt(numbered(30, LPS, air=7), neighbors=3, most=4)
    assert excerpt.scan().hu[:, 0, 0].tolist() == [7, 12, 17, 22]
    nothing = cut_excerpt(numbered(4, LPS, air=2), neighbors=1, most=9)
    assert len(nothing.middles) == 4


def test_an_excerpt_is_a_copy_of_the_stored_type() -> None:
    volume = numbered(200, LPS)
    excerpt = cut_excerpt(volume, neighbors=1)
    assert excerpt.volume.array.dtype == np.int16
    assert excerpt.volume.array.shape == (9, 9, 24)
    assert not np.shares_memory(excerpt.volume.array, volume.array)


@pytest.mark.parametrize("affine", [LPS, CORONAL])
def test_the_networks_grid_has_their_spacing_and_needs_no_other(affine: npt.NDArray[Any]) -> None:
    excerpt = on_grid(cut_excerpt(numbered(6, affine), neighbors=1), 0.5)
    frame = slice_frame(excerpt.volume.array.shape, excerpt.volume.affine)
    assert frame.spacing_mm[1:] == (0.5, 0.5)
    seen = excerpt.scan().hu
    assert seen.shape == (6, 18, 18)
    np.testing.assert_allclose(seen, np.arange(6)[:, None, None] + np.zeros((6, 18, 18)))
