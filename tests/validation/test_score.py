"""The order of checkpoints: what is ruled out comes after all that is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.validation.score import REJECTED, Scale

SCALE = Scale(identity=11.0, target_patients=5.0)
GOOD = {
    "patch_distance": 6.0,
    "edges_invented": 0.01,
    "null_by_source_hu_fat": 2.0,
    "null_by_source_hu_bone": 4.9,
}


def test_an_accepted_checkpoint_scores_its_patch_distance() -> None:
    assert SCALE.score(GOOD) == 6.0
    assert SCALE.score({**GOOD, "patch_distance": 6.5}) == 6.5  # three quarters of the way


@given(st.sampled_from(["edges", "fat", "bone", "air", "way"]), st.floats(0.001, 1e6))
def test_each_limit_rejects(limit: str, over: float) -> None:
    figures = {
        "edges": {"edges_invented": 0.05 + over},
        "fat": {"null_by_source_hu_fat": 5.0 + over},
        "bone": {"null_by_source_hu_bone": 5.0 + over},
        "air": {"null_by_source_hu_air": 5.0 + over},
        "way": {"patch_distance": 6.5 + over},
    }[limit]
    assert SCALE.score({**GOOD, **figures}) > REJECTED > SCALE.score({**GOOD, "patch_distance": 0})


def test_of_the_rejected_the_least_bad_comes_first() -> None:
    drifting = {**GOOD, "null_by_source_hu_bone": 20.0}
    identity = {"patch_distance": 11.0, "edges_invented": 0.0, "null_by_source_hu_fat": 0.0}
    curve = {**GOOD, "null_by_source_hu_bone": 180.0}
    inverted = {**GOOD, "patch_distance": 88.0, "null_by_source_hu_fat": 640.0}
    scores = [SCALE.score(one) for one in (drifting, curve, identity, inverted)]
    assert scores[0] < scores[1] < scores[3]
    assert scores[0] < scores[2] < scores[3]


def test_five_percent_of_its_own_hu_cost_one() -> None:
    worse = {**GOOD, "null_by_source_hu_fat": 10.0}
    more = {**GOOD, "null_by_source_hu_fat": 15.0}
    assert round(SCALE.score(more) - SCALE.score(worse), 6) == 1
    edges = {**worse, "edges_invented": 0.06}
    assert round(SCALE.score(edges) - SCALE.score(worse), 6) == 1


def test_domains_that_lie_no_farther_apart_than_patients_ask_for_no_way() -> None:
    alike = Scale(identity=5.0, target_patients=5.5)
    assert alike.accepts({**GOOD, "patch_distance": 5.0})
    assert not alike.accepts({**GOOD, "patch_distance": 5.1})


def test_without_any_patch_nothing_is_accepted() -> None:
    figures = {name: value for name, value in GOOD.items() if name != "patch_distance"}
    assert SCALE.score(figures) > 2 * REJECTED
