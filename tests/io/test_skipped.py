from __future__ import annotations

from pathlib import Path

from medcyclegan.io.skipped import skip_lines

MR, TEXT = "no CT (modality MR)", "no volume by name or content"


def noted(folder: str, count: int, reason: str) -> list[tuple[Path, str]]:
    return [(Path(folder, f"{index}.dcm"), reason) for index in range(count)]


def test_up_to_three_files_of_a_folder_are_named() -> None:
    assert skip_lines([*noted("in/a", 3, MR), *noted("in/b", 3, MR), *noted("in/b", 1, TEXT)]) == [
        *(f"in/{folder}/{index}.dcm: skipped, {MR}" for folder in "ab" for index in range(3)),
        f"in/b/0.dcm: skipped, {TEXT}",
    ]


def test_more_that_are_alike_take_one_line() -> None:
    mixed = sorted([*noted("in/a", 40, MR), *noted("in/a/b", 4, MR), *noted("in/a", 4, TEXT)])
    assert skip_lines(mixed) == [
        f"in/a: 40 skipped, {MR}",
        f"in/a: 4 skipped, {TEXT}",
        f"in/a/b: 4 skipped, {MR}",
    ]


def test_copies_of_several_files_are_alike_other_modalities_are_not() -> None:
    copies = [(Path(f"in/c{index}"), f"an exact copy of {index}") for index in range(4)]
    assert skip_lines(copies) == ["in: 4 skipped, such as c0, an exact copy of 0"]
    assert len(skip_lines([*noted("in", 3, MR), *noted("in", 3, "no CT (modality PT)")])) == 6


def test_nothing_skipped_is_no_line() -> None:
    assert skip_lines([]) == []
