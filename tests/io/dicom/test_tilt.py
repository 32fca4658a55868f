from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcyclegan.errors import GeometryError
from medcyclegan.io import find_volumes, read_source
from medcyclegan.io.dicom.tilt import AIR_HU, straighten
from medcyclegan.io.stored import ReadOptions
from medcyclegan.volume import Volume, check_grid

Array = npt.NDArray[Any]
WriteSeries = Callable[..., list[Path]]
OPTIONS = ReadOptions(resample_tilt=True)


def tilted_affine(tilt_mm: float, spacing: tuple[float, float, float], lean: float = 0.0) -> Array:
    """Slices of an axial scan, each shifted by `tilt_mm` to the front against the one below."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 2] += [lean, tilt_mm, 0.0]
    affine[:3, 3] = [40.0, 50.0, -30.0]
    return affine


def world_of(shape: tuple[int, ...], affine: Array) -> Array:
    """World coordinates of all voxels, (I, J, K, 3)."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def ramp(world: Array) -> Array:
    """HU that grow evenly through space: linear interpolation must find them exactly."""
    return 3.0 * world[..., 0] - 2.0 * world[..., 1] + 1.5 * world[..., 2]


def box(world: Array) -> Array:
    """An upright box of muscle in air."""
    inside = (np.abs(world - [30.0, 40.0, -20.0]) <= [6.0, 5.0, 7.0]).all(axis=-1)
    return np.where(inside, 50, -1000)


@given(
    tilt_mm=st.floats(-1.5, 1.5),
    lean=st.floats(-0.8, 0.8),
    spacing=st.tuples(st.floats(0.4, 1.5), st.floats(0.4, 1.5), st.floats(1.0, 4.0)),
    slices=st.integers(2, 6),
    downward=st.booleans(),
)
@settings(max_examples=60)
def test_hu_and_places_are_exact_on_a_ramp(
    tilt_mm: float,
    lean: float,
    spacing: tuple[float, float, float],
    slices: int,
    downward: bool,
) -> None:
    affine = tilted_affine(tilt_mm, spacing, lean)
    if downward:
        affine[2, 2] *= -1
    shape = (16, 20, slices)
    array = ramp(world_of(shape, affine)).astype(np.float32)
    straight, new, degrees = straighten(array, affine)
    check_grid(straight.shape, new)
    if degrees == 0:
        assert straight is array
        return
    lean_mm = float(np.hypot(tilt_mm, lean))
    assert degrees == pytest.approx(np.degrees(np.arctan2(lean_mm, spacing[2])), abs=1e-6)
    known = straight != AIR_HU
    truth = ramp(world_of(straight.shape, new))
    np.testing.assert_allclose(straight[known], truth[known], atol=2e-3)
    assert known.sum() >= (shape[0] - 1) * (shape[1] - 1) * slices
    np.testing.assert_allclose(
        new[2, 3] + new[2, 2] * np.arange(slices), affine[2, 3] + affine[2, 2] * np.arange(slices)
    )


def test_a_box_stands_upright_afterwards() -> None:
    affine = tilted_affine(1.0, (0.8, 0.8, 2.5))
    shape = (40, 48, 10)
    array = box(world_of(shape, affine)).astype(np.int16)
    straight, new, degrees = straighten(array, affine)
    assert degrees == pytest.approx(21.8, abs=0.05)
    assert straight.dtype == np.int16
    world = world_of(straight.shape, new)
    truth = box(world)
    far = np.abs(np.abs(world - [30.0, 40.0, -20.0]) - [6.0, 5.0, 7.0]).min(axis=-1) > 0.8
    covered = straight != AIR_HU
    assert (straight[far & covered] == truth[far & covered]).all()
    muscle = np.where(covered, straight + 1000, 0)
    middles = [
        float((muscle[:, :, k] * world[:, :, k, 1]).sum() / muscle[:, :, k].sum())
        for k in range(10)
        if muscle[:, :, k].any()
    ]
    assert len(middles) >= 5
    assert np.ptp(middles) < 0.5, "the box leans"
    unmoved = world_of(shape, affine)[..., 1]
    assert set(np.unique(truth[far & covered])) == {-1000, 50}
    assert world[..., 1].min() <= unmoved.min() + 0.8
    assert world[..., 1].max() >= unmoved.max() - 0.8


def test_a_whole_pixel_shift_changes_no_value() -> None:
    affine = tilted_affine(0.8, (0.8, 0.8, 2.5))
    array = np.random.default_rng(0).integers(-900, 1000, (9, 11, 5)).astype(np.int16)
    straight, _, _ = straighten(array, affine)
    assert straight.shape == (9, 15, 5)
    for k in range(5):
        kept = straight[:, :, k][straight[:, :, k] != AIR_HU]
        np.testing.assert_array_equal(kept, array[:, :, k].ravel())


def test_upright_stacks_are_left_alone() -> None:
    array = np.zeros((4, 5, 3), np.int16)
    affine = tilted_affine(0.01, (1.0, 1.0, 2.0))
    straight, same, degrees = straighten(array, affine)
    assert straight is array
    assert same is affine
    assert degrees == 0


def test_so_much_tilt_that_nothing_is_left_of_it_is_refused() -> None:
    with pytest.raises(GeometryError, match="too much to resample"):
        straighten(np.zeros((8, 8, 40), np.int16), tilted_affine(3.0, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("order", [None, [4, 2, 0, 5, 1, 3]])
def test_a_tilted_series_is_read_upright(
    tmp_path: Path, write_series: WriteSeries, order: list[int] | None
) -> None:
    affine = tilted_affine(-0.9, (0.8, 0.8, 2.5))
    array = np.rint(ramp(world_of((18, 16, 6), affine))).astype(np.int16)
    write_series(tmp_path / "s", array, affine, order=order)
    (source,) = find_volumes(tmp_path / "s", OPTIONS).sources
    assert source.options == OPTIONS
    volume = read_source(source)
    known = volume.array != AIR_HU
    truth = ramp(world_of(volume.array.shape, volume.affine))
    np.testing.assert_allclose(volume.array[known], truth[known], atol=1.01)
    assert known.mean() > 0.6


def test_real_tilts(real_data: Path) -> None:
    even = real_data / "dicom2nifti" / "failing" / "gantrytilting" / "001"
    (source,) = find_volumes(even, OPTIONS).sources
    volume = read_source(source)
    assert isinstance(volume, Volume)
    assert volume.array.shape[0] == 512
    assert volume.array.shape[1] > 512
    assert volume.spacing_mm[2] == pytest.approx(5.0 * np.cos(np.radians(14.0)), abs=1e-3)
    for uneven in ("dcm_qa_ct/In/GE", "dicom2nifti/failing/sliceincrement/002"):
        ((_, reason),) = find_volumes(real_data / uneven, OPTIONS).refused
        assert "gantry tilt of 1" in reason
        assert "uneven slices" in reason
