"""Validation: a translator scored on held-out patients, beside what simple rivals score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from medcyclegan.errors import InputError
from medcyclegan.intensity import Window
from medcyclegan.metrics import METRICS
from medcyclegan.metrics.coarse import coarse_scan
from medcyclegan.metrics.curves import Curve, fit_histogram_matching
from medcyclegan.metrics.metric import WHOLE
from medcyclegan.metrics.reference import Hu, Reference, Scan
from medcyclegan.translator import Translator
from medcyclegan.validation.cycles import measure_cycles
from medcyclegan.validation.figures import Figures, Tally
from medcyclegan.validation.guards import warn_of
from medcyclegan.validation.patients import (
    MOST_PATIENTS,
    MOST_TARGETS,
    Acquisition,
    Excerpt,
    on_grid,
    one_of_each,
    read_excerpts,
)
from medcyclegan.validation.score import SCORE, Scale, Scored

CYCLED = 2  # patients whose way there and back is looked at
CYCLED_SLICES = 6
NO_BODY = "validation: the patients of a domain show no soft tissue; hold others out"


class Validation:
    """Held-out patients of domain a, and real patients of domain b to hold their translation to.

    At most 24 slices of at most 8 and 16 patients are kept, one volume of each, as they were
    stored; they are read once. Nothing random is drawn from a shared source, and the networks are
    left as they were.

    Args:
        sources: held-out volumes of domain a.
        targets: volumes of domain b, those held out first; patients who are sources, too, are
            left out.
        translator: how networks see volumes: grid, window, stacks; its weights are not used.

    Attributes:
        candidates: score of each rival: "identity" and "histogram_matching".

    Raises:
        InputError: no source, no target, or nothing in them to compare.
        VolumeError: a volume cannot be read any more.
    """

    def __init__(
        self,
        sources: Sequence[Acquisition],
        targets: Sequence[Acquisition],
        *,
        translator: Translator,
    ) -> None:
        scored = one_of_each(sources, MOST_PATIENTS)
        names = {patient for patient, _ in sources}
        others = [target for target in targets if target.patient not in names]
        held_to = one_of_each(others, MOST_TARGETS)
        if not scored or not held_to:
            raise InputError("validation: needs patients of both domains; hold some of them out")
        spacing_mm = translator.spacing_mm if translator.output == "direct" else None
        stacks = translator.neighbors
        self._excerpts = [
            on_grid(excerpt, spacing_mm) if spacing_mm else excerpt
            for excerpt in read_excerpts(scored, neighbors=stacks)
        ]
        self._cycled = [*read_excerpts(scored[:CYCLED], neighbors=stacks, most=CYCLED_SLICES)]
        scans = [excerpt.scan() for excerpt in self._excerpts]
        if not any(scan.body.any() for scan in scans):
            raise InputError(NO_BODY)
        seen: list[Scan] = []
        curve = fit_histogram_matching(scans, _seen(read_excerpts(held_to, neighbors=1), seen))
        self._references = [
            Reference(patient, scan, translator.window, targets=seen)
            for (patient, _), scan in zip(scored, scans, strict=True)
        ]
        unchanged = self._measure(lambda _, reference: reference.source.hu)
        if "patch_distance" not in unchanged:
            raise InputError(NO_BODY)
        identity = unchanged["patch_distance"]
        self._scale = Scale(identity, _distance_within(seen, translator.window, identity))
        matched = self._measure(lambda _, reference: _through(curve, reference.source.hu))
        self.candidates = {
            "identity": self._scale.score(unchanged),
            "histogram_matching": self._scale.score(matched),
        }

    def score(self, translator: Translator, *, armed: bool = True) -> Scored:
        """Return the score of a translator from domain a to b, with the figures behind it.

        Args:
            translator: of the same grid, window and stacks as the one given at first.
            armed: whether training is far enough, a tenth of its steps, for it to be wrong that
                nothing is translated.

        Returns:
            `figures`: `score`, what `Tally.figures` tells, `cycle_error` and
            `cycle_error_with_noise`, HU, of there and back, and for comparison
            `identity_score`, `histogram_matching_score` and `target_patients_distance`.

        Raises:
            VolumeError: the networks give values that are not finite.
        """

        def translated(excerpt: Excerpt, _: Reference) -> Hu:
            return excerpt.seen(translator.translate(excerpt.volume, "a_to_b"))

        figures = self._measure(translated)
        cycles = measure_cycles(translator, self._cycled)
        score = self._scale.score(figures)
        warnings = [*warn_of(figures, cycles, armed=armed)]
        if armed:
            warnings += [
                f"no better than {name.replace('_', ' ')}: score {score:.6g} against {rival:.6g}"
                for name, rival in self.candidates.items()
                if score >= rival
            ]
        return Scored(
            {
                SCORE: score,
                **figures,
                "cycle_error": cycles.error_hu,
                "cycle_error_with_noise": cycles.with_noise_hu,
                **{f"{name}_{SCORE}": rival for name, rival in self.candidates.items()},
                "target_patients_distance": self._scale.target_patients,
            },
            tuple(warnings),
        )

    def _measure(self, output: Callable[[Excerpt, Reference], Hu]) -> Figures:
        tally = Tally()
        for excerpt, reference in zip(self._excerpts, self._references, strict=True):
            tally.add(reference, output(excerpt, reference))
        return tally.figures()


def _through(curve: Curve, hu: Hu) -> Hu:
    return np.rint(curve.at(hu))


def _seen(excerpts: Iterable[Excerpt], seen: list[Scan]) -> Iterator[Scan]:
    """Yield each excerpt's scan, and keep it on the coarse grid, which is all that patches need."""
    for excerpt in excerpts:
        scan = excerpt.scan()
        if scan.body.any():
            yield scan
            seen.append(coarse_scan(scan))
    if not seen:
        raise InputError(NO_BODY)


def _distance_within(targets: Sequence[Scan], window: Window, unknown: float) -> float:
    """Return the mean patch distance of each target patient to the others; of one, `unknown`."""
    metric = METRICS["patch_distance"]
    parts = []
    for number, scan in enumerate(targets):
        others = [*targets[:number], *targets[number + 1 :]]
        if others:
            found = metric.measure(Reference("", scan, window, targets=others), scan.hu)
            parts += [found[WHOLE]] if WHOLE in found else []
    return metric.combine(np.array(parts)) if parts else unknown
