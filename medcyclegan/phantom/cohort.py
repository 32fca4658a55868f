"""Phantom cohorts: patients of one population; unpaired domains with test twins."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal, NamedTuple

import numpy as np

from medcyclegan.phantom.case import PhantomCase, make_case
from medcyclegan.phantom.population import DIFFERING, PLAIN, Domain, Populations

Role = Literal["train", "test"]
ROLES: dict[tuple[Domain, Role], int] = {  # no patient has two of them
    ("contrast", "train"): 0,
    ("noncontrast", "train"): 1,
    ("contrast", "test"): 2,
    ("noncontrast", "test"): 3,
}


@dataclass(frozen=True)
class Cohort:
    """Unpaired training cases of two domains, and test cases; no patient is in two of them."""

    contrast: tuple[PhantomCase, ...]
    noncontrast: tuple[PhantomCase, ...]
    test: tuple[PhantomCase, ...]


class Wanted(NamedTuple):
    """One patient of a cohort: all that a process needs to make him."""

    seed: int
    domain: Domain
    role: Role
    number: int
    populations: Populations
    setting: str
    size: int
    slices: int


def make_patients(
    domain: Domain,
    count: int,
    *,
    first: int = 0,
    seed: int = 0,
    role: Role = "train",
    populations: Populations = DIFFERING,
    setting: str = "abdomen",
    size: int = 128,
    slices: int = 32,
    workers: int = 1,
) -> tuple[PhantomCase, ...]:
    """Return patients of one domain; more of them begin with the same ones.

    Patients of another seed, domain or role are other people.

    Args:
        domain: whose population they are of; the phases of its images are taken in turn.
        count: number of patients.
        first: number of the first one, for a large cohort made bit by bit.
        seed: of the cohort.
        role: whether they are to train or to test.
        populations: of both domains: twins are also seen on a scanner of the other.
        setting: a key of `SETTINGS`.
        size: rows and columns of each slice.
        slices: number of slices of each volume.
        workers: processes that share the work; the patients do not depend on it. A script that
            asks for more than one needs the guard `if __name__ == "__main__":`.
    """
    wanted = [
        Wanted(seed, domain, role, number, populations, setting, size, slices)
        for number in range(first, first + count)
    ]
    return _make(wanted, workers)


def make_cohort(
    seed: int = 0,
    *,
    train_contrast: int = 24,
    train_noncontrast: int = 24,
    test: int = 8,
    populations: Populations = PLAIN,
    setting: str = "abdomen",
    size: int = 128,
    slices: int = 24,
    workers: int = 1,
) -> Cohort:
    """Return a cohort in which every patient is another person.

    With the `PLAIN` populations contrast patients are portal venous, every fourth arterial, and
    both domains come from both scanners in different proportions. Test cases are contrast patients
    with their non-contrast twins.

    Args:
        seed: of the whole cohort.
        train_contrast: number of training patients with contrast medium.
        train_noncontrast: number of training patients without.
        test: number of test patients.
        populations: of both domains.
        setting: a key of `SETTINGS`.
        size: rows and columns of each slice.
        slices: number of slices of each volume.
        workers: processes that share the work; the cohort does not depend on it. A script that
            asks for more than one needs the guard `if __name__ == "__main__":`.
    """
    groups: list[tuple[Domain, Role, int]] = [
        ("contrast", "train", train_contrast),
        ("noncontrast", "train", train_noncontrast),
        ("contrast", "test", test),
    ]
    wanted = [
        Wanted(seed, domain, role, number, populations, setting, size, slices)
        for domain, role, count in groups
        for number in range(count)
    ]
    cases = _make(wanted, workers)
    split = train_contrast + train_noncontrast
    return Cohort(cases[:train_contrast], cases[train_contrast:split], cases[split:])


def _make(wanted: Sequence[Wanted], workers: int) -> tuple[PhantomCase, ...]:
    if workers <= 1:
        return tuple(map(_make_one, wanted))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return tuple(pool.map(_make_one, wanted))


def _make_one(wanted: Wanted) -> PhantomCase:
    phases = wanted.populations[wanted.domain].phases
    key = (ROLES[wanted.domain, wanted.role], wanted.number)
    return make_case(
        np.random.SeedSequence(entropy=wanted.seed, spawn_key=key),
        phases[wanted.number % len(phases)],
        populations=wanted.populations,
        setting=wanted.setting,
        size=wanted.size,
        slices=wanted.slices,
    )
