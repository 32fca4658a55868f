"""Batches: what is drawn depends on seed and step alone, and shows the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.body import Box, body_box
from medcyclegan.data.facts import SliceFacts
from medcyclegan.data.position import PositionGroups
from medcyclegan.data.store import StoredVolume
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
        slices,
        SliceFacts(
            patient, "axial", (3.0, 1.0, 1.0), boxes, everything, (), ((1.0,) * 5,) * len(slices)
        ),
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


@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 3))
def test_a_part_of_a_batch_is_that_of_the_whole(first: int, last: int, each: int) -> None:
    part = slice(first, last, each)
    sampler = batches(cohort(), batch_size=6)
    assert torch.equal(sampler.batch(3, part).a, sampler.batch(3).a[part])
    assert torch.equal(sampler.batch(3, part).b, sampler.batch(3).b[part])


def test_the_volumes_that_a_batch_draws_from_are_named() -> None:
    named = [
        stored(np.full((3, 16, 16), 10 * n, np.int16), f"p{n}")._replace(name=f"{n}.nii")
        for n in range(5)
    ]
    sampler = batches(named[:3], named[3:], batch_size=2)
    for step in range(10):
        seen = [
            WINDOW.to_hu(side.amax(dim=(1, 2, 3))).round().int() for side in sampler.batch(step)
        ]
        wanted = [f"{int(hu) // 10}.nii" for side in seen for hu in side]
        assert sampler.names(step) == tuple(dict.fromkeys(wanted))
        assert sampler.names(step, slice(1, 2)) == tuple(dict.fromkeys(wanted[1::2]))


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


def test_a_patient_of_the_smaller_domain_is_drawn_eighteen_times_as_often() -> None:
    """Each domain fills half of every batch, evenly by patient, whatever its size."""
    few = [stored(np.full((3, 16, 16), 400, np.int16), "f0")]
    few.append(stored(np.full((9, 16, 16), 500, np.int16), "f1"))
    many = [stored(np.full((4, 16, 16), 10 * n, np.int16), f"m{n}") for n in range(36)]
    batch = batches(few, many, batch_size=3600).batch(0)
    assert batch.a.shape == batch.b.shape
    of_few = WINDOW.to_hu(batch.a[:, 0, 8, 8]).round().int()
    of_many = WINDOW.to_hu(batch.b[:, 0, 8, 8]).round().int()
    assert sorted(set(of_few.tolist())) == [400, 500]
    assert abs(int((of_few == 400).sum()) - 1800) < 150, "evenly by patient"
    counts = torch.bincount(of_many // 10, minlength=36)
    assert len(counts) == 36
    assert int(counts.min()) > 60, "100 each, give or take"
    assert int(counts.max()) < 140


def test_a_row_of_both_batches_is_of_one_group() -> None:
    a = [stored(block(20, 20, Box(4, 12, 4, 12), 6), f"a{n}") for n in range(3)]
    b = [stored(block(20, 20, Box(4, 12, 4, 12), 6), f"b{n}") for n in range(2)]
    thirds: list[tuple[int, ...]] = [(0, 1), (2, 3), (4, 5)]
    groups = PositionGroups(np.array([0.7, 0.0, 0.3]), Pair([thirds] * 3, [thirds] * 2), "")
    sampler = UnpairedSlices(
        Pair(a, b), window=WINDOW, size=16, neighbors=1, batch_size=2000, seed=0, groups=groups
    )
    batch = sampler.batch(0)
    group_a, group_b = (
        (WINDOW.to_hu(side.amax(dim=(1, 2, 3))).round().int() // 20).tolist() for side in batch
    )
    assert group_a == group_b
    assert set(group_a) == {0, 2}
    assert 0.65 < group_a.count(0) / 2000 < 0.75


def test_a_group_is_drawn_from_patients_who_have_it() -> None:
    both = stored(block(20, 20, Box(4, 12, 4, 12), 6), "both")
    half = stored(block(20, 20, Box(4, 12, 4, 12), 6), "half")
    drawn: list[list[tuple[int, ...]]] = [[(0, 1, 2), (3, 4, 5)], [(), (4,)]]
    sampler = UnpairedSlices(
        Pair([both, half], [both, half]),
        window=WINDOW,
        size=16,
        neighbors=1,
        batch_size=500,
        seed=0,
        groups=PositionGroups(np.array([0.5, 0.5]), Pair(drawn, drawn), ""),
    )
    indices = (WINDOW.to_hu(sampler.batch(0).a.amax(dim=(1, 2, 3))) / 10).round().int()
    assert set(indices.tolist()) == set(range(6))
    upper = indices[indices >= 3]
    assert 0.55 < float((upper == 4).float().mean()) < 0.78, "1/2 of one patient, 1/6 of the other"


@given(st.integers(-1000, 0), st.integers(1, 1500))
def test_hu_become_the_very_numbers_of_the_window(low_hu: int, width_hu: int) -> None:
    window = Window(low_hu, low_hu + width_hu)
    values = np.linspace(low_hu, low_hu + width_hu, 16 * 16).astype(np.int16).reshape(1, 16, 16)
    facts = replace(stored(values).facts, boxes=(Box(0, 16, 0, 16),))
    unit = batches([StoredVolume(values, facts)], window=window, batch_size=1).batch(0).a[0, 0]
    assert np.array_equal(unit, window.to_unit(values[0].astype(np.float32)))


def test_nothing_is_mirrored() -> None:
    array = np.zeros((3, 16, 16), np.int16)
    array[:, :, :8] = 500
    unit = batches([stored(array)], batch_size=32).batch(0).a
    assert (unit[..., :8] > unit[..., 8:]).all()
