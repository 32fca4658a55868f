"""Grids: spacing, orientation, what is no volume."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medcyclegan import domains, slices, volume
from medcyclegan.errors import GeometryError, InputError
from medcyclegan.training import schedule
from medcyclegan.volume import Volume, check_grid, closest_axes, grid_distance_voxels, orientation

spacings = st.tuples(*[st.floats(0.2, 8.0)] * 3)


@pytest.mark.parametrize("module", [volume, slices, schedule])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
    assert doctest.testmod(module).attempted > 0  # type: ignore[arg-type]


@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3), spacings)
def test_axes_and_spacing_are_read_off_any_affine(
    order: list[int], signs: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = signs[axis] * spacing[axis]
    assert closest_axes(affine) == (tuple(order), signs)
    assert volume.spacing_mm(affine) == pytest.approx(spacing)
    letters = ["RAS"[w] if s > 0 else "LPI"[w] for w, s in zip(order, signs, strict=True)]
    assert orientation(affine) == "".join(letters)


@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(-40, 40), spacings)
def test_oblique_axes_take_each_world_axis_once(
    x: float, y: float, z: float, spacing: tuple[float, float, float]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (x, y, z), degrees=True).as_matrix() * spacing
    axes, _ = closest_axes(affine)
    assert sorted(axes) == [0, 1, 2]
    check_grid((4, 4, 4), affine)


def test_what_is_no_volume_is_refused() -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    nearly = np.eye(4)
    nearly[0, 1] = 0.005
    check_grid((2, 2, 2), nearly)
    for shape, affine, reason in [
        ((2, 2), np.eye(4), "three axes"),
        ((2, 2, 0), np.eye(4), "three axes"),
        ((2, 2, 2), np.eye(3), "finite 4x4"),
        ((2, 2, 2), np.full((4, 4), np.nan), "finite 4x4"),
        ((2, 2, 2), np.diag([1.0, 0.0, 1.0, 1.0]), "voxel size of zero"),
        ((512, 512, 2), np.diag([700.0, 700.0, 5.0, 1.0]), "358 m long.*set their size"),
        ((512, 512, 90), np.diag([0.0007, 0.0007, 0.005, 1.0]), "zero|metres; set their size"),
        ((512, 512, 90), np.diag([0.0012, 0.0012, 0.005, 1.0]), "metres; set their size"),
        ((2, 2, 2), sheared, "sheared by 5.7 degrees"),
    ]:
        with pytest.raises(GeometryError, match=reason):
            check_grid(shape, affine)
    with pytest.raises(GeometryError):
        Volume(np.zeros((2, 2), np.int16), np.eye(4))


def test_distance_of_grids_is_in_voxels() -> None:
    affine, moved = np.diag([2.0, 2.0, 5.0, 1.0]), np.diag([2.0, 2.0, 5.0, 1.0])
    moved[0, 3] = 1.0
    assert grid_distance_voxels(affine, moved, (10, 10, 10)) == pytest.approx(0.5)
    assert grid_distance_voxels(affine, np.diag([2.0, 2.0, 5.5, 1.0]), (1, 1, 11)) == pytest.approx(
        1.0
    )


def test_directions_are_found_by_the_names_of_domains() -> None:
    names = domains.Pair("contrast", "noncontrast")
    assert domains.direction_into("noncontrast", names) == "a_to_b"
    assert domains.direction_into("contrast", names) == "b_to_a"
    assert domains.target_domain("a_to_b") == "b"
    assert domains.target_domain("b_to_a") == "a"
    with pytest.raises(InputError, match=r"no domain 'venous' .* 'contrast' and 'noncontrast'"):
        domains.direction_into("venous", names)
