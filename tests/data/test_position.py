"""Matching by position: like is drawn with like, and what one domain lacks is not drawn."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.body import Box
from medcyclegan.data.facts import SliceFacts
from medcyclegan.data.position import LEAST_IN_GROUP, PositionGroups, match_positions, one_group
from medcyclegan.data.store import StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window

NAMES = Pair("contrast", "plain")
Floats = npt.NDArray[np.float64]
Body = Callable[[Floats, np.random.Generator], Floats]


def standing(heights: Floats, rng: np.random.Generator) -> Floats:
    """Body area, lung, fat, soft tissue and bone by height: legs, belly, chest, head."""
    area = 150 + 600 * np.exp(-(((heights - 1150) / 300) ** 2)) * rng.uniform(0.9, 1.1)
    lung = 0.5 * np.exp(-(((heights - 1300) / 90) ** 2))
    bone = 0.03 + 0.15 / (1 + np.exp(-(heights - 1550) / 20))
    fat = np.full(len(heights), rng.uniform(0.2, 0.3))
    return np.stack([area, lung, fat, 1 - lung - bone - fat, bone], axis=1)


def mirrored(heights: Floats, rng: np.random.Generator) -> Floats:
    """Tissues that look alike above and below 1200 mm."""
    near = np.exp(-(((heights - 1200) / 150) ** 2))
    rest = np.ones(len(heights))
    return np.stack([200 + 400 * near, 0.3 * near, 0.2 * rest, 0.5 * rest, 0.1 * rest], axis=1)


def patient(
    key: int, low_mm: float, high_mm: float, *, slices: int = 40, body: Body = standing
) -> StoredVolume:
    """A scan from one height to another; its voxels are its heights in cm."""
    rng = np.random.default_rng(key)
    heights = np.linspace(low_mm, high_mm, slices)
    tissues = body(heights, rng) * rng.normal(1, 0.02, (slices, 5))
    array = np.broadcast_to(np.rint(heights / 10)[:, None, None], (slices, 8, 8))
    facts = SliceFacts(
        str(key),
        "axial",
        ((high_mm - low_mm) / (slices - 1), 1.0, 1.0),
        (Box(0, 8, 0, 8),) * slices,
        tuple(range(slices)),
        (),
        tuple(map(tuple, tissues.tolist())),
    )
    return StoredVolume(np.ascontiguousarray(array, np.int16), facts)


def heights_drawn(
    volumes: Pair[list[StoredVolume]], groups: PositionGroups, count: int = 2000
) -> Pair[npt.NDArray[np.float32]]:
    """Return the heights, in mm, of the slices of each domain in a batch, row by row."""
    sampler = UnpairedSlices(
        volumes,
        window=Window(0, 400),
        size=8,
        neighbors=1,
        batch_size=count,
        seed=0,
        groups=groups,
    )
    return Pair(*((side[:, 0, 0, 0].numpy() + 1) * 200 * 10 for side in sampler.batch(0)))


@pytest.fixture(scope="module")
def overlapping() -> Pair[list[StoredVolume]]:
    """Chest and belly against chest, neck and head: 1150 to 1400 mm are in both."""
    return Pair(
        [patient(n, 800, 1400) for n in range(6)],
        [patient(n, 1150, 1700, slices=25) for n in range(10, 14)],
    )


def test_like_is_drawn_with_like(overlapping: Pair[list[StoredVolume]]) -> None:
    free = heights_drawn(overlapping, one_group(overlapping))
    matched = heights_drawn(overlapping, match_positions(overlapping, NAMES))
    apart_free = np.abs(free.a - free.b).mean()
    apart_matched = np.abs(matched.a - matched.b).mean()
    assert apart_free > 300
    assert apart_matched < apart_free / 3
    means = abs(matched.a.mean() - matched.b.mean())
    assert means < abs(free.a.mean() - free.b.mean()) / 3


def test_what_one_domain_lacks_is_hardly_drawn_and_its_share_is_said(
    overlapping: Pair[list[StoredVolume]],
) -> None:
    groups = match_positions(overlapping, NAMES)
    matched = heights_drawn(overlapping, groups)
    assert (heights_drawn(overlapping, one_group(overlapping)).b > 1600).mean() > 0.1
    assert (matched.b > 1600).mean() < 0.02, "heads, that contrast lacks"
    said = re.search(r"in (\d+) groups; .* (\d+)% of contrast, (\d+)% of plain", groups.message)
    assert said
    assert int(said[1]) == np.count_nonzero(groups.shares)
    for percent, domain, drawn in zip(said.groups()[1:], overlapping, groups.drawn, strict=True):
        kept = group_shares(domain, drawn)[groups.shares > 0].sum()
        assert int(percent) == round(100 * (1 - kept))
        assert int(percent) > 5


def group_shares(domain: list[StoredVolume], drawn: list[list[tuple[int, ...]]]) -> Floats:
    """Return how often patients of one volume each, drawn evenly, show each group."""
    shares: Floats = np.mean(
        [
            [len(own) / len(stored.facts.drawn) for own in volume]
            for volume, stored in zip(drawn, domain, strict=True)
        ],
        axis=0,
    )
    return shares


def test_a_group_is_drawn_by_what_the_poorer_domain_has_of_it(
    overlapping: Pair[list[StoredVolume]],
) -> None:
    groups = match_positions(overlapping, NAMES)
    assert groups.shares.sum() == pytest.approx(1)
    common = np.minimum(*map(group_shares, overlapping, groups.drawn))
    np.testing.assert_allclose(groups.shares, common / common.sum(), atol=1e-9)


def test_each_slice_is_in_one_group(overlapping: Pair[list[StoredVolume]]) -> None:
    groups = match_positions(overlapping, NAMES)
    for domain, drawn in zip(overlapping, groups.drawn, strict=True):
        for stored, volume in zip(domain, drawn, strict=True):
            assert tuple(sorted(sum(volume, ()))) == stored.facts.drawn


def test_equal_volumes_make_equal_groups(overlapping: Pair[list[StoredVolume]]) -> None:
    first, second = (match_positions(overlapping, NAMES) for _ in range(2))
    assert first.drawn == second.drawn
    np.testing.assert_array_equal(first.shares, second.shares)


def test_a_large_domain_does_not_outvote_a_small_one() -> None:
    few = [patient(0, 900, 1500)]
    many = [patient(n, 900, 1500) for n in range(1, 19)]
    groups = match_positions(Pair(few, many), NAMES)
    assert np.count_nonzero(groups.shares) > 4
    drawn = heights_drawn(Pair(few, many), groups)
    assert abs(drawn.a.mean() - drawn.b.mean()) < 40


def test_too_few_slices_are_drawn_at_random_and_it_is_said() -> None:
    few = [patient(0, 900, 1500, slices=2 * LEAST_IN_GROUP - 1)]
    volumes = Pair(few, [patient(1, 900, 1500)])
    groups = match_positions(volumes, NAMES)
    assert groups.drawn == one_group(volumes).drawn
    assert groups.message == (
        f"{2 * LEAST_IN_GROUP - 1} slices are too few to be matched by position: drawn at random"
    )


def test_domains_with_nothing_in_common_are_warned_of() -> None:
    volumes = Pair(
        [patient(n, 1600, 1700) for n in range(3)],
        [patient(n, 900, 1150) for n in range(3, 6)],
    )
    groups = match_positions(volumes, NAMES)
    assert groups.drawn == one_group(volumes).drawn
    assert groups.message.startswith("warning: contrast and plain show different parts")


def mismatch_mm(a: list[StoredVolume], b: list[StoredVolume]) -> float:
    drawn = heights_drawn(Pair(a, b), match_positions(Pair(a, b), NAMES))
    return float(np.abs(drawn.a - drawn.b).mean())


def test_relative_height_counts_only_where_scan_ranges_agree() -> None:
    """It tells above from below where tissues do not, and would mislead where ranges differ."""
    whole = [patient(key, 900, 1500, body=mirrored) for key in range(3)]
    alike = [patient(key, 900, 1500, body=mirrored) for key in range(3, 6)]
    assert mismatch_mm(whole, alike) < 60
    longer = [patient(key, 800, 1600, body=mirrored, slices=60) for key in range(3, 6)]
    assert mismatch_mm(whole, longer) > 120, "above and below are taken for each other"
    for low_mm in (1050, 1200):  # as long, but further up
        shifted = [patient(key, low_mm, low_mm + 600, body=mirrored) for key in range(3, 6)]
        drawn = heights_drawn(Pair(whole, shifted), match_positions(Pair(whole, shifted), NAMES))
        from_middle = np.abs(np.abs(drawn.a - 1200) - np.abs(drawn.b - 1200))
        assert from_middle.mean() < 60, "like by tissues still"


def test_everything_as_one_group_is_drawn_as_without_groups(
    overlapping: Pair[list[StoredVolume]],
) -> None:
    plain, grouped = (
        UnpairedSlices(
            overlapping,
            window=Window(0, 400),
            size=8,
            neighbors=1,
            batch_size=9,
            seed=3,
            groups=groups,
        )
        for groups in (None, one_group(overlapping))
    )
    for step in range(3):
        for one, other in zip(plain.batch(step), grouped.batch(step), strict=True):
            assert (one == other).all()
