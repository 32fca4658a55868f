"""Batches: what is drawn depends on seed and step alone, and shows the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.body import Box, body_box
from medcyclegan.data.store import SliceFacts, StoredVolume
from medcyclegan.data.unpaired import JITTER, UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window

WINDOW = Window(-200, 600)


def stored(
    slices: npt.NDArray[np.int16], patient: str = "p", drawn: Sequence[int] | None = None
) -> StoredVolume:
    boxes = tuple(body_box(plane > -200) for plane in slices)
    everything = tuple(range(len(slices))) if drawn is None else tuple(drawn)
    return StoredVolume(
        slices, SliceFacts(patient, "axial", (3.0, 1.0, 1.0), boxes, everything, ())
    )


def block(height: int, width: int, body: Box, slices: int = 4) -> npt.NDArray[np.int16]:
    """Slices of air with a block of tissue whose HU is 10 times the slice's number."""
    array = np.full((slices, height, width), -1000, np.int16)
    for index, plane in enumerate(array):
        plane[body.top : body.bottom, body.left : body.right] = 10 * index
    return array


def batches(
    a: Sequence[StoredVolume],
    b: Sequence[StoredVolume] | None = None,
    *,
    size: int = 16,
    neighbors: int = 1,
    batch_size: int = 4,
    seed: int = 0,
    window: Window = WINDOW,
) -> UnpairedSlices:
    return UnpairedSlices(
        Pair(list(a), list(b or a)),
        window=window,
        size=size,
        neighbors=neighbors,
        batch_size=batch_size,
        seed=seed,
    )


def cohort(patients: int = 5) -> list[StoredVolume]:
    rng = np.random.default_rng(1)
    return [
        stored(rng.integers(-150, 500, (6, 20, 24)).astype(np.int16), f"p{n}")
        for n in range(patients)
    ]


def test_a_batch_has_the_shape_type_and_range_of_the_design() -> None:
    batch = batches(cohort(), neighbors=3, batch_size=2).batch(0)
    for side in batch:
        assert side.shape == (2, 3, 16, 16)
        assert side.dtype == torch.float32
        assert float(side.min()) >= -1
        assert float(side.max()) <= 1


def test_a_step_gives_the_same_batch_whatever_was_drawn_before() -> None:
    first, second = batches(cohort()), batches(cohort())
    for step in (3, 0, 7):
        second.batch(step)
    for step in range(4):
        assert torch.equal(first.batch(step).a, second.batch(step).a)
        assert torch.equal(first.batch(step).b, second.batch(step).b)


def test_seed_step_and_domain_change_the_draw() -> None:
    one = batches(cohort())
    assert not torch.equal(one.batch(0).a, one.batch(1).a)
    assert not torch.equal(one.batch(0).a, one.batch(0).b), "the domains draw for themselves"
    assert not torch.equal(one.batch(0).a, batches(cohort(), seed=1).batch(0).a)


def test_a_larger_batch_begins_with_the_smaller_one() -> None:
    small, large = batches(cohort(), batch_size=2), batches(cohort(), batch_size=5)
    assert torch.equal(large.batch(3).a[:2], small.batch(3).a)


def test_around_a_small_slice_there_is_air_and_nothing_is_lost() -> None:
    body = Box(2, 8, 1, 6)
    for window in (WINDOW, Window(-1200, 600)):
        unit = batches([stored(block(9, 7, body, 1))], window=window, size=32).batch(0).a[0, 0]
        tissue = unit > window.to_unit(np.float32(-100.0))
        assert int(tissue.sum()) == 6 * 5
        assert float(unit[0, 0]) == -1.0, "air is the window's lower end"
        box = body_box(np.asarray(tissue))
        assert abs((box.top + box.bottom) / 2 - 16) <= JITTER + 0.5
        assert abs((box.left + box.right) / 2 - 16) <= JITTER + 0.5


@given(st.integers(1, 16), st.integers(1, 16), st.integers(0, 24), st.integers(0, 24))
def test_a_body_that_fits_is_never_cut(height: int, width: int, top: int, left: int) -> None:
    body = Box(top, top + height, left, left + width)
    sampler = batches([stored(block(40, 40, body))], batch_size=8)
    unit = sampler.batch(0).a
    assert ((unit > -0.9).sum(dim=(1, 2, 3)) == height * width).all()
    assert sampler.cut.a == 0


def test_crops_shift_a_little_when_the_body_fits() -> None:
    unit = batches([stored(block(40, 40, Box(20, 24, 20, 24)))], batch_size=200).batch(0).a
    tops = {body_box(plane.numpy() > -0.9).top for plane in unit[:, 0]}
    assert tops == set(range(6 - JITTER, 6 + JITTER + 1))


def test_a_larger_body_is_cut_anywhere_on_it_and_reported() -> None:
    ramp = np.full((1, 50, 50), -1000, np.int16)
    ramp[0, 5:45, 10:20] = np.arange(40)[:, None] * 10
    sampler = batches([stored(ramp)], batch_size=300)
    assert sampler.cut == Pair(1.0, 1.0)
    first_rows = WINDOW.to_hu(sampler.batch(0).a[:, 0, 0]).amax(dim=1).round().int() // 10
    assert set(first_rows.tolist()) == set(range(40 - 16 + 1))


def test_the_share_of_cut_slices_counts_those_that_are_drawn() -> None:
    array = np.concatenate([block(40, 40, Box(0, 30, 0, 8), 1), block(40, 40, Box(0, 9, 0, 9), 3)])
    assert batches([stored(array)]).cut.a == 0.25
    assert batches([stored(array, drawn=(1, 2, 3))]).cut.a == 0


def test_slices_without_body_are_never_drawn_but_may_be_neighbours() -> None:
    array = block(20, 20, Box(4, 12, 4, 12), 5)
    array[0] = -1000
    unit = batches([stored(array, drawn=(1, 2))], neighbors=3, batch_size=64).batch(0).a
    middles = (WINDOW.to_hu(unit[:, 1]).amax(dim=(1, 2)) / 10).round().int()
    before = (WINDOW.to_hu(unit[:, 0]).amax(dim=(1, 2)) / 10).round().int()
    assert set(middles.tolist()) == {1, 2}
    assert set(before[middles == 1].tolist()) == {-20}, "air"
    assert set(before[middles == 2].tolist()) == {1}


def test_at_the_ends_of_a_volume_the_last_slice_is_repeated() -> None:
    unit = batches([stored(block(20, 20, Box(4, 12, 4, 12), 1))], neighbors=5).batch(0).a
    assert torch.equal(unit[:, :1].expand(-1, 5, -1, -1), unit)


def test_patients_count_evenly_however_long_their_scans() -> None:
    long = [stored(np.full((50, 16, 16), 500, np.int16), "long") for _ in range(3)]
    short = [stored(np.full((1, 16, 16), 0, np.int16), "short")]
    unit = batches(long + short, batch_size=400).batch(0).a
    assert 0.4 < float((unit.amax(dim=(1, 2, 3)) > 0.5).float().mean()) < 0.6


def test_nothing_is_mirrored() -> None:
    array = np.zeros((3, 16, 16), np.int16)
    array[:, :, :8] = 500
    unit = batches([stored(array)], batch_size=32).batch(0).a
    assert (unit[..., :8] > unit[..., 8:]).all()
