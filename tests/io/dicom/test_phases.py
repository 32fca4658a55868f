from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medcyclegan.io.dicom.header import Header
from medcyclegan.io.dicom.phases import apart
from medcyclegan.io.dicom.series import Slice, in_order, make_slice


def piece(name: str, height: float, frame: int = 0, front: float = 0.0) -> Slice:
    return make_slice(
        Path(name),
        (8, 9),
        orientation=[1, 0, 0, 0, 1, 0],
        position=[5.0, front, height],
        spacing=[0.5, 0.6],
        distance_mm=2.0,
        frame=frame,
    )


def names(phases: list[tuple[Slice, ...]]) -> list[list[str]]:
    return [[one.name for one in phase] for phase in phases]


def two_phases(numbers: tuple[str, str], heights: tuple[float, ...] = (0, 2, 4)) -> Any:
    slices, headers = [], {}
    for number in numbers:
        for height in heights:
            slices.append(piece(f"{number}_{height:g}", height))
            headers[slices[-1].path] = Header(acquisition_number=number)
    return tuple(in_order(slices)), headers


def test_phases_come_in_order_of_their_numbers_not_of_their_letters() -> None:
    slices, headers = two_phases(("10", "9"))
    assert names(apart(slices, headers)) == [["9_0", "9_2", "9_4"], ["10_0", "10_2", "10_4"]]


def test_multi_frame_files_of_one_series_are_told_apart_by_file() -> None:
    slices = [piece(name, 2.0 * k, k + 1) for name in ("a.dcm", "b.dcm") for k in range(3)]
    headers = {one.path: Header(acquisition_number="1") for one in slices}
    phases = apart(tuple(in_order(slices)), headers)
    assert [{one.path.name for one in phase} for phase in phases] == [{"a.dcm"}, {"b.dcm"}]
    assert names(phases)[0] == ["a.dcm frame 1", "a.dcm frame 2", "a.dcm frame 3"]


@pytest.mark.parametrize(
    "heights",
    [
        (0, 2),  # too few to tell a phase from an accident
        (0, 2, 5, 9),  # no even stack
    ],
)
def test_what_is_no_stack_of_its_own_is_no_phase(heights: tuple[float, ...]) -> None:
    slices, headers = two_phases(("1", "2"), heights)
    assert apart(slices, headers) == [slices]


def test_phases_may_differ_in_length_and_place() -> None:
    slices, headers = two_phases(("1", "2"))
    more = piece("2_6", 6)
    phases = apart((*slices, more), headers | {more.path: Header(acquisition_number="2")})
    assert [len(phase) for phase in phases] == [3, 4]
    between = [piece(f"b{k}", 1.0 + 2 * k) for k in range(3)]
    of_both = headers | {one.path: Header(acquisition_number="2") for one in between}
    mixed = tuple(in_order([*(one for one in slices if one.name[0] == "1"), *between]))
    assert names(apart(mixed, of_both)) == [["1_0", "1_2", "1_4"], ["b0", "b1", "b2"]]


@pytest.mark.parametrize("start", [6.0, 4.0])
def test_acquisitions_one_above_the_other_are_one_stack(start: float) -> None:
    slices = [piece(f"1_{k}", 2.0 * k) for k in range(3)]
    slices += [piece(f"2_{k}", start + 2.0 * k) for k in range(3)]
    headers = {one.path: Header(acquisition_number=one.name[0]) for one in slices}
    assert len(apart(tuple(in_order(slices)), headers)) == 1


def test_an_acquisition_for_each_slice_is_no_phase() -> None:
    slices = tuple(piece(f"s{k}", 2.0 * k) for k in range(6))
    headers = {one.path: Header(acquisition_number=one.name) for one in slices}
    assert apart(slices, headers) == [slices]


def test_leaning_phases_are_phases_where_tilt_is_allowed() -> None:
    slices = [piece(f"{number}_{k}", 2.0 * k, front=0.5 * k) for number in "12" for k in range(3)]
    headers = {one.path: Header(acquisition_number=one.name[0]) for one in slices}
    ordered = tuple(in_order(slices))
    assert len(apart(ordered, headers)) == 1
    assert len(apart(ordered, headers, tilt_allowed=True)) == 2
