from __future__ import annotations

import pytest

from medcyclegan.config.strict_yaml import MAX_BYTES, parse
from medcyclegan.errors import ConfigError


def test_values_and_lines() -> None:
    document = parse(b"a: 1\nb:\n  - 2.5\n  - {c: true, d: ~}\ne: 'x'\n", "x.yaml")
    assert document.data == {"a": 1, "b": [2.5, {"c": True, "d": None}], "e": "x"}
    assert document.lines["b",] == 2
    assert document.lines["b", 1, "d"] == 4
    assert document.lines["e",] == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"010", "010"),
        (b"1:30", "1:30"),
        (b"0x1F", "0x1F"),
        (b"2020-13-45", "2020-13-45"),
        (b".inf", ".inf"),
        (b"2e-4", "2e-4"),
        (b"1_000", 1000),
        (b"8_", "8_"),
        (b"1__0", "1__0"),
        (b"1_.5", "1_.5"),
        (b"1.5_", "1.5_"),
        (b"1.", 1.0),
        (b".5", 0.5),
        (b"-1.5e+3", -1500.0),
        (b"9" * 5000, "9" * 5000),
        (b"yes", True),
        (b"'yes'", "yes"),
        (b"", None),
        (b"\xef\xbb\xbfx", "x"),
    ],
)
def test_scalars_that_mislead_stay_text(text: bytes, value: object) -> None:
    found = parse(text, "x.yaml").data
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: 1\nb: 2\na: 3", "x.yaml:3: a: stands twice, first on line 1"),
        (b"a:\n  b: 1\n  b: 1", "x.yaml:3: a.b: stands twice, first on line 2"),
        (b"a: &x 1", "x.yaml:1: a: has an anchor or alias"),
        (b"a: 1\nb: *x", "x.yaml:2: b: has an anchor or alias"),
        (b"a: !!python/object/apply:os.system [ls]", "x.yaml:1: a: has a tag"),
        (b"a: !!str 1", "x.yaml:1: a: has a tag"),
        (b"a: ! 1", "x.yaml:1: a: has a tag"),
        (b"!!str a: 1", "x.yaml:1: has a tag"),
        (b"a: 1\n---\nb: 2", "x.yaml:2: holds a second document"),
        (b"? [1]\n: 2", "x.yaml:1: has a key that is no plain text"),
        (b"a: [1", "x.yaml:1: is no YAML"),
        (b"a: 1\n\tb: 2", "x.yaml:2: is no YAML"),
        (b"a: 1\nb: \xff", "x.yaml:2: is not UTF-8 text"),
        (b"a: 1\n\nb: \x00", "x.yaml:3: holds a character that YAML does not allow"),
        (b"#" * (MAX_BYTES + 1), "x.yaml: is larger than 1 MB"),
        (b"[" * 21 + b"]" * 21, "x.yaml:1: is nested deeper than 20 levels"),
        (b"[" * 900_000, "x.yaml:1: is nested deeper than 20 levels"),
        (b"{a: " * 21 + b"1" + b"}" * 21, "is nested deeper than 20 levels"),
    ],
)
def test_more_than_plain_yaml_is_refused(text: bytes, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.yaml")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_twenty_levels_are_fine() -> None:
    assert parse(b"{a: " * 20 + b"1" + b"}" * 20, "x.yaml").data
