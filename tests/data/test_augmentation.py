"""Random changes of training slices: where things go, and what stays as it is."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcyclegan.body import Box
from medcyclegan.data.augmentation import Change, SliceAugmentation
from medcyclegan.data.facts import SliceFacts
from medcyclegan.data.store import StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window

WINDOW = Window(-200, 600)
limits = st.tuples(st.floats(0, 45), st.floats(0, 0.5), st.booleans())
draws = st.tuples(*(st.floats(0, 1, exclude_max=True),) * 3).map(np.array)


def volume(array: npt.NDArray[np.int16], body: Box | None = None) -> StoredVolume:
    count, height, width = array.shape
    boxes = (body or Box(0, height, 0, width),) * count
    every = tuple(range(count))
    facts = SliceFacts("p", "axial", (3.0, 1.0, 1.0), boxes, every, (), ((1.0,) * 5,) * count)
    return StoredVolume(array, facts)


def sampler(
    array: npt.NDArray[np.int16],
    augmentation: SliceAugmentation | None,
    *,
    size: int = 24,
    neighbors: int = 1,
    batch_size: int = 8,
    body: Box | None = None,
) -> UnpairedSlices:
    volumes = [volume(array, body)]
    return UnpairedSlices(
        Pair(volumes, volumes),
        window=WINDOW,
        size=size,
        neighbors=neighbors,
        batch_size=batch_size,
        seed=3,
        augmentation=augmentation,
    )


def noise(shape: tuple[int, int, int] = (6, 40, 48)) -> npt.NDArray[np.int16]:
    return np.random.default_rng(0).integers(-150, 500, shape).astype(np.int16)


def spot(size: int, row: float, column: float) -> npt.NDArray[np.float32]:
    """A smooth spot in air, (1, size, size), so many pixels off the centre."""
    line = np.arange(size) - (size - 1) / 2
    squared = (line[:, None] - row) ** 2 + (line[None, :] - column) ** 2
    return (2 * np.exp(-squared / 8) - 1).astype(np.float32)[None]


def centre_of(plane: npt.NDArray[np.float32]) -> tuple[float, float]:
    weight = plane.astype(np.float64) + 1
    line = np.arange(len(plane)) - (len(plane) - 1) / 2
    total = weight.sum()
    return float(weight.sum(1) @ line / total), float(weight.sum(0) @ line / total)


@given(
    st.integers(32, 48), st.floats(-45, 45), st.floats(0.8, 1.4), st.booleans(), st.floats(0, 6.28)
)
def test_a_landmark_goes_where_the_change_takes_it(
    size: int, degrees: float, zoom: float, mirrored: bool, where: float
) -> None:
    augmentation = SliceAugmentation(45, 0.4, True)
    row, column = 7 * math.sin(where), 7 * math.cos(where)
    image = spot(size + 2 * augmentation.margin(size), row, column)
    change = Change(math.radians(degrees), zoom, mirrored)
    got = centre_of(augmentation.apply(image, change, size)[0])
    cos, sin = math.cos(change.radians), math.sin(change.radians)
    wanted_row = zoom * (cos * row - sin * column)
    wanted_column = zoom * (sin * row + cos * column) * (-1 if mirrored else 1)
    assert got == pytest.approx((wanted_row, wanted_column), abs=0.06)


@given(limits, draws, st.integers(1, 40), st.integers(-200, 600))
def test_a_constant_image_stays_constant(
    limit: tuple[float, float, bool], draw: npt.NDArray[np.float64], size: int, hu: int
) -> None:
    augmentation = SliceAugmentation(*limit)
    side = size + 2 * augmentation.margin(size)
    image = np.full((2, side, side), WINDOW.to_unit(np.float32(hu)), np.float32)
    changed = augmentation.apply(image, augmentation.change(draw), size)
    assert changed.shape == (2, size, size)
    np.testing.assert_allclose(changed, image[:, :size, :size], atol=1e-6)
    assert abs(changed).max() <= 1


@given(limits, draws, st.integers(1, 64))
def test_the_margin_is_enough_and_no_more_than_that(
    limit: tuple[float, float, bool], draw: npt.NDArray[np.float64], size: int
) -> None:
    """Nothing at the edge of what is cut larger is ever repeated beyond it."""
    augmentation = SliceAugmentation(*limit)
    margin = augmentation.margin(size)
    image = np.full((1, size + 2 * margin, size + 2 * margin), 0.5, np.float32)
    framed = np.pad(image, ((0, 0), (6, 6), (6, 6)), constant_values=-1.0)
    for extreme in (draw, np.array([0.0, 0.0, draw[2]]), np.array([1.0, 0.0, draw[2]])):
        changed = augmentation.apply(framed, augmentation.change(extreme), size)
        if limit[:2] != (0, 0):
            np.testing.assert_allclose(changed, 0.5, atol=1e-6)
    widest = (size - 1) / 2 * math.sqrt(2) / (1 - limit[1])
    assert margin <= widest - (size - 1) / 2 + 2


@given(draws)
def test_limits_are_kept(draw: npt.NDArray[np.float64]) -> None:
    radians, zoom, mirrored = SliceAugmentation(10, 0.2, False).change(draw)
    assert abs(radians) <= math.radians(10)
    assert 0.8 <= zoom <= 1.2
    assert not mirrored


def test_changes_lie_evenly_within_the_limits() -> None:
    augmentation = SliceAugmentation(10, 0.2, True)
    drawn = [augmentation.change(row) for row in np.random.default_rng(0).random((2000, 3))]
    degrees = np.degrees([change.radians for change in drawn])
    assert abs(np.mean(degrees)) < 0.5
    assert np.std(degrees) == pytest.approx(20 / math.sqrt(12), rel=0.05)
    assert np.mean([change.zoom for change in drawn]) == pytest.approx(1, abs=0.01)
    assert np.mean([change.mirrored for change in drawn]) == pytest.approx(0.5, abs=0.05)


def test_without_any_change_not_a_bit_differs_and_nothing_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = sampler(noise(), None).batch(3)
    monkeypatch.setattr(SliceAugmentation, "apply", None)
    nothing = sampler(noise(), SliceAugmentation()).batch(3)
    assert torch.equal(plain.a, nothing.a)
    assert torch.equal(plain.b, nothing.b)


def test_mirrored_slices_are_the_same_slices_mirrored() -> None:
    plain, changed = (
        sampler(noise(), augmentation).batch(0).a
        for augmentation in (None, SliceAugmentation(flip_left_right=True))
    )
    mirrored = [torch.equal(one.flip(-1), other) for one, other in zip(plain, changed, strict=True)]
    kept = [torch.equal(one, other) for one, other in zip(plain, changed, strict=True)]
    assert [a != b for a, b in zip(mirrored, kept, strict=True)] == [True] * 8
    assert 0 < sum(mirrored) < 8


def test_each_domain_is_mirrored_for_itself() -> None:
    ramp = np.tile(np.arange(48, dtype=np.int16), (1, 40, 1))
    batch = sampler(ramp, SliceAugmentation(flip_left_right=True), batch_size=64).batch(0)
    mirrored_a, mirrored_b = (side[:, 0, 20, 0] > side[:, 0, 20, 20] for side in batch)
    assert 16 < int((mirrored_a != mirrored_b).sum()) < 48


def test_rounding_takes_nothing_out_of_the_window() -> None:
    augmentation = SliceAugmentation(45, 0.4)
    side = 64 + 2 * augmentation.margin(64)
    for row in np.random.default_rng(0).random((5, 3)):
        full = augmentation.apply(
            np.ones((1, side, side), np.float32), augmentation.change(row), 64
        )
        assert full.max() == 1


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(0, 10))
def test_equal_steps_give_equal_bits_whatever_was_drawn_before(step: int, other: int) -> None:
    augmentation = SliceAugmentation(8, 0.1, True)
    one, two = sampler(noise(), augmentation), sampler(noise(), augmentation)
    two.batch(other)
    assert torch.equal(one.batch(step).a, two.batch(step).a)
    assert not torch.equal(one.batch(step).a, one.batch(step).b), "each domain for itself"
    assert not torch.equal(one.batch(step).a, one.batch(step + 1).a)


@given(st.integers(0, 8), st.integers(0, 8))
def test_a_part_of_a_batch_is_that_of_the_whole(first: int, last: int) -> None:
    slices = sampler(noise(), SliceAugmentation(8, 0.1, True))
    assert torch.equal(slices.batch(5, slice(first, last)).a, slices.batch(5).a[slice(first, last)])


def test_a_stack_changes_as_one() -> None:
    same = np.repeat(noise((1, 40, 48)), 5, axis=0)
    unit = sampler(same, SliceAugmentation(20, 0.2, True), neighbors=3).batch(0).a
    assert torch.equal(unit[:, :1].expand(-1, 3, -1, -1), unit)


def test_no_air_comes_in_where_the_slice_goes_on() -> None:
    tissue = np.full((2, 90, 90), 100, np.int16)
    middle = Box(40, 50, 40, 50)
    unit = sampler(tissue, SliceAugmentation(45, 0.5), body=middle).batch(0).a
    inside = WINDOW.to_unit(np.float32(100.0))
    np.testing.assert_allclose(unit, inside, atol=1e-5)
    small = np.full((2, 12, 12), 100, np.int16)
    assert float(sampler(small, SliceAugmentation(45, 0.5)).batch(0).a.min()) == -1.0
