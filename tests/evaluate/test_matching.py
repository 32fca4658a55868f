from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from medcyclegan.evaluate.matching import Key, _by_name, _by_origin


def key(path: str) -> Key:
    where = PurePosixPath(path)
    return Key(where.parent, where.name, f"{path}.nii.gz", str)


@pytest.mark.parametrize(
    ("translated", "sources", "found"),
    [
        ("a_noncontrast", ["a", "b"], [0]),
        ("a", ["a", "a_1"], [0]),
        ("a_1_noncontrast", ["a", "a_1"], [1]),
        ("ab_noncontrast", ["a"], []),
        ("x/a_noncontrast", ["x/a", "y/a"], [0]),
        ("a_noncontrast", ["x/a"], [0]),
        ("a_noncontrast", ["x/a", "y/a"], [0, 1]),
    ],
)
def test_a_name_begins_with_its_sources(
    translated: str, sources: list[str], found: list[int]
) -> None:
    assert _by_name(key(translated), [key(source) for source in sources]) == found


def test_a_manifest_names_the_path_and_failing_that_the_stem() -> None:
    sources = [key("x/a"), key("y/a"), key("y/b")]
    assert _by_origin("y/a.nii.gz", sources) == [1]
    assert _by_origin("images/b.nii.gz", sources) == [2]
    assert _by_origin("images/a.nii.gz", sources) == [0, 1]
    assert _by_origin("c.nii.gz", sources) == []
