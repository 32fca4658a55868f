"""Splits by patient: nobody on both sides, the same whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.body import Box
from medcyclegan.data.facts import SliceFacts
from medcyclegan.data.split import LEAST_PATIENTS, balance, split_patients, split_volumes
from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import Pair

KEYS = st.sets(st.integers(0, 60).map(str), max_size=40)


def volume(patient: str) -> StoredVolume:
    facts = SliceFacts(
        patient, "axial", (1.0, 1.0, 1.0), (Box(0, 2, 0, 2),), (0,), (), ((1.0,) * 5,)
    )
    return StoredVolume(np.zeros((1, 2, 2), np.int16), facts)


@given(KEYS, KEYS, st.floats(0.01, 0.49))
def test_each_domain_gives_its_share_and_keeps_the_rest(
    a: set[str], b: set[str], fraction: float
) -> None:
    chosen = split_patients(Pair(a, b), fraction)
    for patients in (a, b):
        if min(len(a), len(b)) < LEAST_PATIENTS:
            assert not chosen
        else:
            assert len(chosen & patients) == max(1, round(fraction * len(patients)))
            assert patients - chosen
    assert chosen <= a | b


def test_the_split_depends_on_keys_alone() -> None:
    known = {"0", "1", "2", "3", "4"}  # written down: no run, machine or order may change it
    assert split_patients(Pair(known, known), 0.4) == {"3", "4"}


@pytest.mark.parametrize("prefix", range(8))
def test_a_small_domain_inside_a_large_one_gets_its_share(prefix: int) -> None:
    patients = Pair(
        {f"{prefix}-{n}" for n in range(40)},
        {f"{prefix}-{n}" for n in range(6)},
    )
    chosen = split_patients(patients, 0.1)
    assert (len(chosen & patients.a), len(chosen & patients.b)) == (4, 1)


def test_volumes_follow_their_patient_in_both_domains() -> None:
    a = [volume(f"p{n}") for n in range(8) for _ in range(2)]
    b = [volume(f"p{n}") for n in range(4, 14)]
    split = split_volumes(Pair(a, b), 0.25)
    trains = {v.facts.patient for side in split.train for v in side}
    validates = {v.facts.patient for side in split.validation for v in side}
    assert not trains & validates
    assert len(split.train.a) + len(split.validation.a) == 16
    assert len(split.train.b) + len(split.validation.b) == 10
    assert split.validation.a
    assert split.validation.b
    assert "8 and 10 patients" in split.message


@pytest.mark.parametrize("few", [1, LEAST_PATIENTS - 1])
def test_too_few_patients_all_train_and_it_is_said(few: int) -> None:
    volumes = Pair([volume(f"a{n}") for n in range(few)], [volume(f"b{n}") for n in range(30)])
    split = split_volumes(volumes, 0.1)
    assert split.train == volumes
    assert split.validation == Pair([], [])
    assert "too few for a validation split" in split.message


@pytest.mark.parametrize(("few", "many", "times"), [(4, 72, 18), (3, 7, 2), (2, 3, 0), (5, 5, 0)])
def test_how_much_oftener_the_few_are_drawn_is_said(few: int, many: int, times: int) -> None:
    small = [volume(f"a{n}") for n in range(few)]
    large = [volume(f"b{n}") for n in range(many) for _ in range(2)]
    said = balance(Pair(large, small), Pair("plain", "contrast"))
    if not times:
        assert not said
        return
    assert said.startswith(f"{few} patients of contrast to {many} of plain")
    assert said.endswith(f"{times} times as often")


def test_a_patient_named_by_a_table_in_both_domains_stays_on_one_side() -> None:
    """Keys are compared, wherever they come from: volumes of one key never part."""
    a = [volume(f"p{n}") for n in range(6)]
    for prefix in range(20):
        b = [volume(f"p{n}") for n in range(3)] + [volume(f"{prefix}q{n}") for n in range(5)]
        split = split_volumes(Pair(a, b), 0.3)
        trains = {v.facts.patient for side in split.train for v in side}
        validates = {v.facts.patient for side in split.validation for v in side}
        assert validates
        assert not trains & validates
