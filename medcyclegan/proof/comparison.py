"""The arms of a protocol held against each other: figures, differences, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.config.segmentation import ProtocolConfig, StatisticsConfig
from medcyclegan.proof.arms import ARMS
from medcyclegan.proof.statistics import (
    Draws,
    difference,
    estimate,
    holm,
    recovery,
    sign_flip_test,
)

MEAN = "mean"  # the row of the mean over organs
REFERENCE = "standard"
REFERENCES = ("nothing", "standard", "strong")  # arms that others are held against
MEASURES = ("dice", "surface_mm", "surface95_mm")

Values = npt.NDArray[np.float64]
Scores = dict[str, dict[str, Values]]  # arm -> row -> (T, S, P)
Record = Mapping[str, Any]


def compare_arms(
    records: Mapping[str, Sequence[Sequence[Record]]],
    organs: Sequence[str],
    config: ProtocolConfig,
) -> dict[str, Any]:
    """Return figures of all arms, in and out of distribution, and what follows from them.

    Args:
        records: of each arm, by translation seed, then by segmentation seed; see `Work.record`.
        organs: what was segmented.
        config: of the protocol.

    Returns:
        JSON: `arms`, `against` other arms, `gap` to the oracle, and `verdicts`: recovery of that
        gap where it is large enough and sure, else whether an arm is not inferior.
    """
    result: dict[str, Any] = {"arms": {}, "against": {}, "gap": {}, "verdicts": {}}
    for arm in records:
        trainings = sum(len(row) for row in records[arm])
        made = ARMS[arm]
        result["arms"][arm] = {"title": made.title, "about": made.about, "trainings": trainings}
    for domain in ("in", "out"):
        patients = list(next(iter(records.values()))[0][0]["test"][domain])
        measured = {
            measure: _scores(records, domain, patients, organs, measure) for measure in MEASURES
        }
        draws = Draws(
            len(patients),
            len(config.translation.seeds),
            len(config.training.seeds),
            config.statistics.resamples,
            config.statistics.seed,
        )
        for arm in records:
            result["arms"][arm][domain] = _figures(arm, measured, draws)
        dice = measured["dice"]
        result["against"][domain] = {
            reference: _differences(dice, reference, draws, config.statistics)
            for reference in REFERENCES
            if reference in dice
        }
        gap, verdicts = _verdicts(dice, draws, config.statistics)
        result["gap"][domain], result["verdicts"][domain] = gap, verdicts
    return result


def _scores(
    records: Mapping[str, Sequence[Sequence[Record]]],
    domain: str,
    patients: Sequence[str],
    organs: Sequence[str],
    measure: str,
) -> Scores:
    """Return a measure of each arm and organ, and its mean over organs, as arrays (T, S, P)."""

    def value(record: Record, patient: str, organ: str) -> float:
        found = record["test"][domain][patient].get(organ, {}).get(measure)
        return np.nan if found is None else float(found)

    scores: Scores = {}
    for arm, by_translation in records.items():
        array = np.array(
            [
                [[[value(record, p, o) for p in patients] for o in organs] for record in row]
                for row in by_translation
            ]
        )  # (T, S, O, P)
        known = np.isfinite(array)
        count = known.sum(axis=2)
        total = np.where(known, array, 0.0).sum(axis=2)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        rows = {organ: array[:, :, number] for number, organ in enumerate(organs)}
        scores[arm] = {MEAN: mean, **rows}
    return scores


def _figures(arm: str, measured: Mapping[str, Scores], draws: Draws) -> dict[str, Any]:
    """Return the figures of one arm by row, with the share of organs that were missed whole."""
    rows: dict[str, Any] = {}
    for row in measured["dice"][arm]:
        figures = {
            name: estimate(scores[arm][row], draws)._asdict() for name, scores in measured.items()
        }
        dice, surface = measured["dice"][arm][row], measured["surface_mm"][arm][row]
        there = np.isfinite(dice)
        missed = int(np.count_nonzero(there & ~np.isfinite(surface)))
        rows[row] = {**figures, "missed": missed / max(1, int(np.count_nonzero(there)))}
    lost = [row["missed"] for name, row in rows.items() if name != MEAN]
    rows[MEAN]["missed"] = float(np.mean(lost))
    return rows


def _differences(
    dice: Scores, reference: str, draws: Draws, statistics: StatisticsConfig
) -> dict[str, Any]:
    """Return how far each other arm lies above a reference, with tests of the mean over organs."""
    others = [arm for arm in dice if arm != reference]
    tests = {
        arm: sign_flip_test(
            dice[arm][MEAN], dice[reference][MEAN], statistics.resamples, statistics.seed
        )
        for arm in others
    }
    raw = {arm: test[0] for arm, test in tests.items() if test is not None}
    adjusted = holm(raw)
    return {
        arm: {
            "p": raw.get(arm),
            "p_holm": adjusted.get(arm),
            "rows": {
                row: difference(scores, dice[reference][row], draws)._asdict()
                for row, scores in dice[arm].items()
            },
        }
        for arm in others
    }


def _verdicts(
    dice: Scores, draws: Draws, statistics: StatisticsConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the gap from the standard arm to the oracle by row, and what each arm makes of it."""
    gaps: dict[str, Any] = {}
    verdicts: dict[str, Any] = {arm: {} for arm in dice if arm not in (REFERENCE, "oracle")}
    for row, reference in dice[REFERENCE].items():
        oracle = dice["oracle"][row] if "oracle" in dice else None
        gaps[row] = _gap(reference, oracle, draws, statistics)
        for arm, found in verdicts.items():
            scores = dice[arm][row]
            if oracle is not None and gaps[row]["large_and_sure"]:
                closed = recovery(scores, reference, oracle, draws)
                found[row] = {"kind": "recovery", **closed._asdict()}
                continue
            low = difference(scores, reference, draws).low
            met = None if low is None else low > -statistics.margin
            found[row] = {"kind": "non_inferiority", "met": met}
    return gaps, verdicts


def _gap(
    reference: Values, oracle: Values | None, draws: Draws, statistics: StatisticsConfig
) -> dict[str, Any]:
    if oracle is None:
        return {"value": None, "low": None, "high": None, "large_and_sure": False}
    gap = difference(oracle, reference, draws)
    sure = (
        gap.value is not None
        and gap.low is not None
        and gap.value > statistics.least_gap
        and gap.low > 0
    )
    return {**gap._asdict(), "large_and_sure": sure}
