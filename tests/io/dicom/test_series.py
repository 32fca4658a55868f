from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.errors import GeometryError
from medcyclegan.io.dicom.series import (
    Slice,
    check_stack,
    in_order,
    make_slice,
    same_direction,
    stack_affine,
)

Array = npt.NDArray[Any]


def stack(positions: list[list[float]], orientation: list[float] | None = None) -> list[Slice]:
    pieces = [
        make_slice(
            Path(f"s{number}.dcm"),
            (8, 9),
            orientation=orientation or [1, 0, 0, 0, 1, 0],
            position=position,
            spacing=[0.5, 0.6],
            distance_mm=2.0,
        )
        for number, position in enumerate(positions)
    ]
    return in_order(pieces)


def up(*heights: float) -> list[list[float]]:
    return [[5.0, 7.0, height] for height in heights]


def test_slices_are_ordered_along_their_normal_and_spaced_by_position() -> None:
    slices = stack(up(4, 0, 2))
    check_stack(slices)
    assert [piece.path.name for piece in slices] == ["s1.dcm", "s2.dcm", "s0.dcm"]
    expected = np.array([[-0.6, 0, 0, -5], [0, -0.5, 0, -7], [0, 0, 2, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(stack_affine(slices), expected)


def test_coronal_slices_run_along_their_own_normal() -> None:
    slices = stack([[0, y, 9] for y in (30, 33, 36)], [1, 0, 0, 0, 0, -1])
    check_stack(slices)
    affine = stack_affine(slices)
    np.testing.assert_allclose(affine[:3, 2], [0, -3, 0])
    np.testing.assert_allclose(affine[:3, 1], [0, 0, -0.5])


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        (up(0, 2, 2, 4), r"same place, s1\.dcm \(slice 2\) and s2\.dcm: "),
        (up(0, 0, 2, 2, 4, 4), "2 more such pairs"),
        (up(0, 2, 6, 8), r"6\.?\d* mm|4 mm between s1\.dcm \(slice 2\) and s2\.dcm.*1 missing"),
        (up(0, 2, 4, 10), "6 mm between .*2 missing"),
        (up(0, 2, 4, 5), "1 mm between .*uneven gaps"),
        ([[0, 0, 0], [0, 0.5, 2], [0, 1, 4]], "gantry tilt of 14.0 degrees"),
        ([[0, 0, 0], [0, 0, 2], [0.3, 0, 4], [0, 0, 6], [0, 0, 8]], r"drift: s2\.dcm \(slice 3\)"),
    ],
)
def test_what_is_no_even_stack_is_refused_by_name_and_number(
    positions: list[list[float]], says: str
) -> None:
    with pytest.raises(GeometryError, match=says):
        check_stack(stack(positions))


@pytest.mark.parametrize(
    "positions",
    [
        up(0, 0.7, 1.5, 2.2, 3.0),  # 0.75 mm, rounded to 0.1 mm by the scanner
        up(0, 5.05, 10, 15),
        [[0, 0, 0], [0, 0.01, 2], [0, 0.02, 4]],  # leans by 0.3 degrees
        up(3),
    ],
)
def test_rounding_of_positions_is_no_fault(positions: list[list[float]]) -> None:
    check_stack(stack(positions))


@pytest.mark.parametrize("step", [0.1, 0.15, 0.2, 0.3, 0.625, 5.0])
@pytest.mark.parametrize("count", [4, 5, 6, 50])
@pytest.mark.parametrize("normal", [[1, 0, 0, 0, 1, 0], [0.8, 0.6, 0, -0.48, 0.64, 0.6]])
def test_a_missing_slice_is_noticed_however_thin_slices_are(
    step: float, count: int, normal: list[float]
) -> None:
    across = np.cross(normal[:3], normal[3:]) * step
    for missing in range(1, count):
        left = [list(across * k) for k in range(count + 1) if k != missing]
        with pytest.raises(GeometryError, match=r"uneven slices: .*1 missing"):
            check_stack(stack(left, normal))
        check_stack(stack([list(across * k) for k in range(count)], normal))


def test_positions_of_an_oblique_stack_may_be_rounded_along_each_axis() -> None:
    normal = [0.8, 0.6, 0, -0.48, 0.64, 0.6]
    across = np.cross(normal[:3], normal[3:]) * 3
    for start in np.random.default_rng(0).uniform(-9, 9, (200, 3)):
        check_stack(stack([list(np.round(start + across * k, 1)) for k in range(30)], normal))


def test_mixed_pixel_spacings_are_refused() -> None:
    one, other = stack(up(0, 2))
    wide = make_slice(
        other.path,
        (8, 9),
        orientation=[1, 0, 0, 0, 1, 0],
        position=[5, 7, 2],
        spacing=[0.7, 0.7],
        distance_mm=0,
    )
    with pytest.raises(GeometryError, match=r"mixes pixel spacings: 0.5 x 0.6 mm in .* 0.7 x 0.7"):
        check_stack([one, wide])


@pytest.mark.parametrize(("other", "alike"), [(0.60001, True), (0.6005, False)])
def test_pixel_sizes_may_differ_by_a_tenth_of_a_pixel_at_the_edge(
    other: float, alike: bool
) -> None:
    slices = stack(up(0, 2, 4))
    slices[1] = replace(slices[1], spacing_mm=(0.5, other))
    if alike:
        check_stack(slices)
        return
    with pytest.raises(GeometryError, match="mixes pixel spacings"):
        check_stack(slices)


@pytest.mark.parametrize(("degrees", "alike"), [(0.02, True), (0.1, False)])
def test_slices_turned_by_more_than_rounding_are_no_stack(degrees: float, alike: bool) -> None:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    (one,) = stack(up(0))
    (other,) = stack(up(2), [1, 0, 0, 0, cosine, sine])
    assert same_direction(one, other) == alike
