"""Which patients train and which validate."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import Pair

UNEVEN = 2  # times as many patients as the other domain is worth a word
LEAST_PATIENTS = 5  # a domain with fewer gives none away for validation


class Split(NamedTuple):
    """Volumes that train and volumes that validate, and a line that says how they were split.

    Args:
        train: volumes of each domain to train on, never empty.
        validation: volumes of each domain to validate on; both empty where patients are too few.
        message: for people.
    """

    train: Pair[list[StoredVolume]]
    validation: Pair[list[StoredVolume]]
    message: str


def split_volumes(volumes: Pair[list[StoredVolume]], fraction: float) -> Split:
    """Return the volumes of each domain split by patient; see `split_patients`."""
    patients = Pair(
        {volume.facts.patient for volume in volumes.a},
        {volume.facts.patient for volume in volumes.b},
    )
    chosen = split_patients(patients, fraction)
    train, validation = (
        Pair(
            [volume for volume in volumes.a if (volume.facts.patient in chosen) == validates],
            [volume for volume in volumes.b if (volume.facts.patient in chosen) == validates],
        )
        for validates in (False, True)
    )
    counts = f"{len(patients.a)} and {len(patients.b)} patients"
    if not chosen:
        few = "too few for a validation split, " if fraction else ""
        return Split(train, validation, f"{counts}: {few}all train")
    held = f"{len(chosen & patients.a)} and {len(chosen & patients.b)}"
    return Split(train, validation, f"{counts}: {held} of them validate, the others train")


def balance(volumes: Pair[list[StoredVolume]], names: Pair[str]) -> str:
    """Return how much oftener a patient of the smaller domain is drawn; empty below twice.

    Both domains are drawn from equally often, each evenly by patient, however many it has.

    Args:
        volumes: that train.
        names: of the domains.
    """
    counts = [len({volume.facts.patient for volume in domain}) for domain in volumes]
    small, large = sorted(range(2), key=counts.__getitem__)
    times = counts[large] / counts[small]
    if times < UNEVEN:
        return ""
    return (
        f"{counts[small]} patients of {names[small]} to {counts[large]} of {names[large]}: both "
        f"domains are drawn equally often, so each of the few comes up {times:.0f} times as often"
    )


def split_patients(patients: Pair[set[str]], fraction: float) -> frozenset[str]:
    """Return the patients that validate, in whichever domain they appear.

    The order of a hash of the patient key decides, so the split depends neither on the order
    of the volumes nor on what else is drawn. A patient in both domains stays on one side; such
    patients are taken first, because that alone can fill the share of both domains.

    Args:
        patients: the patient keys of each domain.
        fraction: of each domain's patients that validate, rounded, at least one; below 1/2. With
            0 none do.

    Returns:
        Patient keys; none where a domain has fewer than 5 patients, or none are asked for.
    """
    a, b = patients
    if fraction == 0 or min(len(a), len(b)) < LEAST_PATIENTS:
        return frozenset()
    wanted = Pair(max(1, round(fraction * len(a))), max(1, round(fraction * len(b))))
    chosen: set[str] = set()
    for patient in sorted(a | b, key=lambda key: (not (key in a and key in b), _rank(key))):
        room = Pair(len(chosen & a) < wanted.a, len(chosen & b) < wanted.b)
        if (room.a or patient not in a) and (room.b or patient not in b):
            chosen.add(patient)
    return frozenset(chosen)


def _rank(patient: str) -> str:
    return hashlib.sha256(patient.encode()).hexdigest()
