from __future__ import annotations

from pathlib import Path

import pytest

from medcyclegan.config.tissues import load_tissues
from medcyclegan.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "tissues.yaml"
    path.write_text(text)
    return path


def test_tissues_are_read_with_single_values_and_lists(tmp_path: Path) -> None:
    text = "organs: {liver: 5, kidneys: [2, 3]}\nnull_tissues: {bone: [7]}\naside: [bone]\n"
    found = load_tissues(written(tmp_path, text))
    assert found.organs == {"liver": [5], "kidneys": [2, 3]}
    assert found.null_tissues == {"bone": [7]}
    assert found.lesions == {}
    assert found.aside == ["bone"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("organ: {liver: 5}", "tissues.yaml:1: organ: unknown key (did you mean 'organs'?)"),
        ("organs: {liver: five}", "tissues.yaml:1: organs.liver: "),
        ("organs:\n  liver: [0]", "tissues.yaml:2: organs.liver.0: must be at least 1"),
        ("organs: {liver: []}", "tissues.yaml:1: organs.liver: "),
        ("organs: {liver: true}", "tissues.yaml:1: organs.liver: "),
        ("organs: {liver: 1}\naside: [livre]", "did you mean 'liver'?"),
        ("organs: {liver: 1}\nnull_tissues: {fat: 1}", "tissues.yaml:2: null_tissues: value 1"),
        ("organs: {a: 1}\nnull_tissues: {a: 2}", "tissues.yaml:2: null_tissues: 'a' is among"),
        ("{}", "names no tissue"),
        ("- 1", "tissues.yaml:1: names no tissues"),
        ("organs: {liver: 1}\norgans: {liver: 2}", "stands twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_tissues(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such file"):
        load_tissues(tmp_path / "none.yaml")
