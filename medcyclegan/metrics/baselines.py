"""Baselines: what simple rivals make of the same patients, and what each of them knew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from medcyclegan.metrics.best_curve import fit_best_curve
from medcyclegan.metrics.curves import Curve, fit_histogram_matching, fit_least_squares_curve
from medcyclegan.metrics.reference import Hu, Reference, Scan

MOST_SHIFT_HU = 8.0  # of null tissue, on average, that the best curve is allowed

Transform = Callable[[Reference], Hu]  # a patient's source in, what a method makes of it out


@dataclass(frozen=True)
class Way:
    """One way of fitting a baseline.

    Args:
        fitted_on: what it learns from, in words.
        can: whether what is known of a patient is enough.
        fit: patients, walked through once -> the baseline.
    """

    fitted_on: str
    can: Callable[[Reference], bool]
    fit: Callable[[Iterable[Reference]], Transform]


@dataclass(frozen=True)
class Baseline:
    """A rival every method has to beat, or a ceiling it cannot.

    Args:
        title: what it does, in words.
        needs: what it takes to fit it, in words.
        ways: of fitting it, the first that can be is taken.
    """

    title: str
    needs: str
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Baselines:
    """Fitted baselines.

    Args:
        transforms: name -> the baseline.
        fitted_on: name -> what it learned from.
        left_out: name -> what it would have needed.
    """

    transforms: Mapping[str, Transform]
    fitted_on: Mapping[str, str]
    left_out: Mapping[str, str]


def fit_baselines(references: Iterable[Reference]) -> Baselines:
    """Return every baseline of `BASELINES` that can be fitted, and which cannot and why.

    Args:
        references: the patients to be translated, at least one. They are walked through once for
            each baseline, so that an iterable that reads them anew each time needs room for one.
            The same must be known of all; all have the same targets.
    """
    first = next(iter(references))
    transforms: dict[str, Transform] = {}
    fitted_on: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, baseline in BASELINES.items():
        way = next((way for way in baseline.ways if way.can(first)), None)
        if way is None:
            left_out[name] = baseline.needs
        else:
            transforms[name] = way.fit(references)
            fitted_on[name] = way.fitted_on
    return Baselines(transforms, fitted_on, left_out)


def _identity(references: Iterable[Reference]) -> Transform:
    del references
    return lambda reference: reference.source.hu


def _curve(fitted: Curve) -> Transform:
    return lambda reference: fitted.at(reference.source.hu)


def _match_targets(references: Iterable[Reference]) -> Transform:
    targets = next(iter(references)).targets
    return _curve(fit_histogram_matching((reference.source for reference in references), targets))


def _match_twins(references: Iterable[Reference]) -> Transform:
    return _curve(
        fit_histogram_matching((reference.source for reference in references), _twins(references))
    )


def _twins(references: Iterable[Reference]) -> Iterable[Scan]:
    for reference in references:
        twin = reference.truth if reference.second is None else reference.second
        assert twin is not None
        yield replace(reference.source, hu=twin)


def _shift_to_targets(references: Iterable[Reference]) -> Transform:
    first = next(iter(references))
    wanted: dict[int, list[float]] = defaultdict(list)
    for target in first.targets:
        assert target.labels is not None
        for value, mean in _label_means(target.hu, target, _values(first)).items():
            wanted[value].append(mean)
    had: dict[int, list[float]] = defaultdict(list)
    for reference in references:
        source = reference.source
        for value, mean in _label_means(source.hu, source, _values(reference)).items():
            had[value].append(mean)
    both = had.keys() & wanted.keys()
    return _shift({value: float(np.mean(wanted[value]) - np.mean(had[value])) for value in both})


def _shift_to_truth(references: Iterable[Reference]) -> Transform:
    changes: dict[int, list[float]] = defaultdict(list)
    for reference in references:
        assert reference.truth is not None
        change = reference.truth - reference.source.hu
        for value, mean in _label_means(change, reference.source, _values(reference)).items():
            changes[value].append(mean)
    return _shift({value: float(np.mean(means)) for value, means in changes.items()})


def _values(reference: Reference) -> set[int]:
    """Return the label values of what is to change: organs and lesions."""
    tissues = (*reference.tissues.organs.values(), *reference.tissues.lesions.values())
    return {value for values in tissues for value in values}


def _label_means(hu: Hu, scan: Scan, values: Iterable[int]) -> dict[int, float]:
    """Return the mean of `hu` over each label value that the scan has."""
    assert scan.labels is not None
    masks = ((value, scan.labels == value) for value in values)
    return {value: float(hu[mask].mean(dtype=np.float64)) for value, mask in masks if mask.any()}


def _shift(shifts: Mapping[int, float]) -> Transform:
    def shifted(reference: Reference) -> Hu:
        labels, output = reference.source.labels, reference.source.hu.copy()
        assert labels is not None
        for value, shift in shifts.items():
            output[labels == value] += np.float32(shift)
        return output

    return shifted


def _knows_truth(reference: Reference) -> bool:
    return reference.has("truth")


def _knows_tissues(reference: Reference) -> bool:
    tissues = reference.tissues
    changing = (tissues.organs.keys() | tissues.null_tissues.keys()) - tissues.aside
    return bool(changing) and reference.has("labels")


BASELINES: dict[str, Baseline] = {
    "identity": Baseline(
        "nothing is changed",
        "nothing",
        (Way("nothing", lambda reference: True, _identity),),
    ),
    "histogram_matching": Baseline(
        "one curve gives all sources together the HU distribution of the targets",
        "target patients, or twins",
        (
            Way(
                "all sources, and other patients in the target domain",
                lambda reference: reference.has("targets"),
                _match_targets,
            ),
            Way("all sources and their own twins", _knows_truth, _match_twins),
        ),
    ),
    "least_squares_curve": Baseline(
        "of all curves from HU to HU the one with the smallest squared error",
        "twins",
        (
            Way(
                "the truth itself",
                _knows_truth,
                lambda references: _curve(fit_least_squares_curve(references)),
            ),
        ),
    ),
    "best_curve": Baseline(
        "of all growing curves that shift null tissue by at most "
        f"{MOST_SHIFT_HU:g} HU on average, the one that closes most of the gaps",
        "twins and labels",
        (
            Way(
                "the truth itself",
                lambda reference: _knows_truth(reference) and _knows_tissues(reference),
                lambda references: _curve(fit_best_curve(references, most_shift_hu=MOST_SHIFT_HU)),
            ),
        ),
    ),
    "label_shift": Baseline(
        "every label of an organ or a lesion is shifted by a HU of its own",
        "labels, and labelled target patients or twins",
        (
            Way(
                "labels of the sources and of other patients in the target domain",
                lambda reference: (
                    _knows_tissues(reference)
                    and reference.has("targets")
                    and all(target.labels is not None for target in reference.targets)
                ),
                _shift_to_targets,
            ),
            Way(
                "the truth itself",
                lambda reference: _knows_truth(reference) and _knows_tissues(reference),
                _shift_to_truth,
            ),
        ),
    ),
}
