"""A validation puts translators in the order of their truth, without ever seeing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from medcyclegan.domains import Direction
from medcyclegan.errors import InputError
from medcyclegan.phantom import PhantomCase
from medcyclegan.translator import Translator
from medcyclegan.validation import Acquisition, Validation
from medcyclegan.validation.score import REJECTED
from medcyclegan.volume import Volume

Telling = Callable[[Callable[[Volume, Direction], Any]], Translator]


@pytest.fixture(scope="module")
def sources(cases: Sequence[PhantomCase]) -> list[Acquisition]:
    return [Acquisition(case.patient, case.image) for case in cases]


@pytest.fixture(scope="module")
def towards_truth(cases: Sequence[PhantomCase], telling: Telling) -> Callable[..., Translator]:
    """(share, more=None) -> what goes that share of the way to the twin, and does more to HU."""
    changes = {case.patient: case.clean_twin.array - case.clean.array for case in cases}

    def make(share: float, more: Callable[[Any], Any] = lambda hu: 0.0) -> Translator:
        def translate(volume: Volume, direction: Direction) -> Any:
            change = changes.get(volume.provenance.patient, 0.0)
            hu = volume.array.astype(np.float32)
            return hu + share * change + more(hu)

        return telling(translate)

    return make


@pytest.fixture(scope="module")
def validation(
    sources: list[Acquisition], targets: list[Acquisition], towards_truth: Callable[..., Translator]
) -> Validation:
    return Validation(sources, targets, translator=towards_truth(0.0))


def test_the_nearer_to_the_truth_the_better_the_score(
    validation: Validation, towards_truth: Callable[..., Translator]
) -> None:
    oracle, partial, identity = (
        validation.score(towards_truth(share)) for share in (1.0, 0.5, 0.0)
    )
    assert oracle.figures["score"] < partial.figures["score"] < identity.figures["score"]
    assert oracle.figures["score"] == oracle.figures["patch_distance"]
    assert oracle.warnings == ()
    assert identity.figures["score"] == validation.candidates["identity"] > REJECTED
    assert {line.partition(":")[0] for line in identity.warnings} >= {
        "identity",
        "no better than identity",
    }
    unarmed = validation.score(towards_truth(0.0), armed=False)
    assert unarmed == type(unarmed)(identity.figures, ())


def test_the_rivals_lose_to_the_truth_and_are_told(
    validation: Validation, towards_truth: Callable[..., Translator]
) -> None:
    oracle = validation.score(towards_truth(1.0))
    assert all(oracle.figures["score"] < rival for rival in validation.candidates.values())
    for name, rival in validation.candidates.items():
        assert oracle.figures[f"{name}_score"] == rival
    assert 0 < oracle.figures["target_patients_distance"] < oracle.figures["patch_distance"] * 2


def test_scores_that_differ_are_told_so_that_they_do(
    validation: Validation, towards_truth: Callable[..., Translator]
) -> None:
    scored = validation.score(towards_truth(-0.03))
    line = next(one for one in scored.warnings if one.startswith("no better than identity"))
    ours, rival = line.partition(": score ")[2].split(" against ")
    assert 0 < float(ours) - float(rival) < 1


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (lambda hu: np.where(hu < -30, 8.0, 0.0) * (hu > -200), "drift: fat moved by"),
        (lambda hu: np.where(hu > 400, 40.0, 0.0), "drift: bone moved by"),
        (lambda hu: 440 - 2 * hu.clip(-160, 600), "inversion: HU of source and output agree by -"),
        (
            lambda hu: 250.0 * (np.indices(hu.shape).sum(axis=0) % 12 < 5) * (np.abs(hu) < 200),
            "invented edges",
        ),
    ],
)
def test_what_moves_other_things_is_rejected(
    validation: Validation,
    towards_truth: Callable[..., Translator],
    more: Callable[[Any], Any],
    line: str,
) -> None:
    scored = validation.score(towards_truth(1.0, more))
    assert scored.figures["score"] > REJECTED
    assert any(warning.startswith(line) for warning in scored.warnings), scored.warnings


def test_equal_figures_from_equal_networks_which_are_left_as_they_were(
    validation: Validation, generating: Callable[..., Translator]
) -> None:
    translator = generating(lambda stacks, _: stacks * 0.9)
    translator.model.generators.train()
    before = torch.random.get_rng_state()
    first, second = (validation.score(translator) for _ in range(2))
    assert first == second
    assert all(np.isfinite(value) for value in first.figures.values())
    assert translator.model.generators.training
    assert torch.equal(before, torch.random.get_rng_state())


def test_patients_who_are_scored_are_no_targets(
    sources: list[Acquisition], targets: list[Acquisition], towards_truth: Callable[..., Translator]
) -> None:
    own = [Acquisition(patient, volume) for patient, volume in sources]
    alone = Validation(sources, targets, translator=towards_truth(0.0))
    mixed = Validation(sources, [*own, *targets], translator=towards_truth(0.0))
    assert mixed.candidates == alone.candidates
    with pytest.raises(InputError, match="needs patients of both domains"):
        Validation(sources, own, translator=towards_truth(0.0))
    with pytest.raises(InputError, match="needs patients of both domains"):
        Validation([], targets, translator=towards_truth(0.0))


def test_one_target_patient_is_enough(
    sources: list[Acquisition], targets: list[Acquisition], towards_truth: Callable[..., Translator]
) -> None:
    validation = Validation(sources[:1], targets[:1], translator=towards_truth(0.0))
    scored = validation.score(towards_truth(1.0))
    assert all(np.isfinite(value) for value in scored.figures.values())


def test_patients_without_soft_tissue_cannot_be_compared(
    targets: list[Acquisition], towards_truth: Callable[..., Translator]
) -> None:
    air = Volume(np.full((32, 32, 4), -1000, np.int16), np.diag([-4.0, -4.0, 5.0, 1.0]))
    nobody = [Acquisition("air", air)]
    for pair in ((nobody, targets), (targets, nobody)):
        with pytest.raises(InputError, match="no soft tissue"):
            Validation(*pair, translator=towards_truth(0.0))


@pytest.mark.parametrize("neighbors", [1, 3])
def test_networks_with_direct_output_are_scored_on_their_own_grid(
    neighbors: int,
    sources: list[Acquisition],
    targets: list[Acquisition],
    generating: Callable[..., Translator],
) -> None:
    translator = generating(
        lambda stacks, _: stacks, output="direct", spacing_mm=3.0, neighbors=neighbors
    )
    validation = Validation(sources[:1], targets[:2], translator=translator)
    scored = validation.score(translator)
    assert scored.figures["null_by_source_hu_fat"] == pytest.approx(0, abs=0.1)
    assert scored.figures["cycle_error"] == pytest.approx(0, abs=0.1)
