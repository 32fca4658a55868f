"""From volumes to slices and back, on whatever grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.slices import (
    from_slices,
    resample_slices,
    resampled_size,
    resampling_matrix,
    slice_frame,
    to_slices,
)

signs = st.tuples(*[st.sampled_from([-1, 1])] * 3)


def affine_of(
    order: list[int], sign: tuple[int, int, int], spacing: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = sign[axis] * spacing[axis]
    return affine


@given(st.permutations(range(3)), signs)
def test_slices_are_axial_with_rows_to_the_back_and_columns_to_the_left(
    order: list[int], sign: tuple[int, int, int]
) -> None:
    shape = (5, 6, 7)
    affine = affine_of(order, sign, (1.0, 1.0, 1.0))
    frame = slice_frame(shape, affine)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T
    right, front, head = (to_slices(world[..., axis], frame) for axis in range(3))
    assert frame.plane == "axial"
    assert (np.diff(head, axis=0) == 1).all()
    assert (np.diff(front, axis=1) == -1).all()
    assert (np.diff(right, axis=2) == -1).all()


@given(st.permutations(range(3)), signs, st.tuples(*[st.integers(1, 5)] * 3))
def test_slices_go_back_to_where_they_were(
    order: list[int], sign: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    frame = slice_frame(shape, affine_of(order, sign, (0.8, 1.1, 1.3)))
    assert np.array_equal(from_slices(to_slices(array, frame), frame), array)


@pytest.mark.parametrize(
    ("shape", "spacing", "plane"),
    [
        ((64, 64, 20), (1.0, 1.0, 5.0), "axial"),
        ((64, 20, 64), (1.0, 5.0, 1.0), "coronal"),
        ((20, 64, 64), (5.0, 1.0, 1.0), "sagittal"),
        ((64, 1, 64), (1.0, 1.0, 1.0), "coronal"),
        ((64, 64, 1), (1.0, 1.0, 0.5), "axial"),
        ((64, 64, 200), (1.4, 1.4, 1.0), "axial"),
    ],
)
def test_stacks_are_cut_across_their_own_axis(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], plane: str
) -> None:
    frame = slice_frame(shape, np.diag([*spacing, 1.0]))
    assert frame.plane == plane
    assert frame.spacing_mm[0] == spacing[["sagittal", "coronal", "axial"].index(plane)]


lines = st.tuples(st.integers(1, 40), st.floats(0.3, 6.0), st.floats(0.3, 6.0))


@given(lines)
def test_resampling_keeps_constants_centre_and_range(line: tuple[int, float, float]) -> None:
    size, spacing, new_spacing = line
    new_size = resampled_size(size, spacing, new_spacing)
    assert new_size * new_spacing >= size * spacing - 1e-3
    assert (new_size - 1) * new_spacing < size * spacing or new_size == 1
    matrix = resampling_matrix(size, spacing, new_size, new_spacing)
    assert matrix.min() >= 0
    assert matrix.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert matrix[::-1, ::-1] == pytest.approx(matrix, abs=1e-5)


@given(st.integers(9, 40), st.floats(0.5, 3.0), st.floats(0.5, 3.0))
def test_a_ramp_stays_where_it_is_in_mm(size: int, spacing: float, new_spacing: float) -> None:
    new_size = resampled_size(size, spacing, new_spacing)
    ramp = (np.arange(size) - (size - 1) / 2) * spacing
    new = (np.arange(new_size) - (new_size - 1) / 2) * new_spacing
    result = resampling_matrix(size, spacing, new_size, new_spacing) @ ramp
    inside = np.abs(new) < ramp[-1] - 2 * max(spacing, new_spacing)
    coarse = max(spacing, new_spacing)
    assert result[inside] == pytest.approx(new[inside], abs=0.13 * coarse)


def test_the_same_grid_is_the_same_array() -> None:
    slices = np.random.default_rng(0).normal(size=(2, 7, 9)).astype(np.float32)
    assert resample_slices(slices, (1.5, 1.5), (7, 9), (1.5, 1.5)) is slices


def test_a_bright_square_is_found_again_at_its_place() -> None:
    slices = np.zeros((1, 60, 80), np.float32)
    slices[0, 20:40, 50:60] = 100
    coarse = resample_slices(slices, (1.0, 1.0), (30, 40), (2.0, 2.0))
    assert coarse[0, 12:18, 26:29].min() > 99
    back = resample_slices(coarse, (2.0, 2.0), (60, 80), (1.0, 1.0))
    assert back[0, 23:37, 53:57].min() > 99
    assert np.abs(back[0, :, :45]).max() == 0
