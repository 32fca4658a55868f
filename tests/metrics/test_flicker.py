from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medcyclegan.metrics.flicker import FLICKER, FLICKER_SOURCE
from medcyclegan.metrics.metric import WHOLE
from medcyclegan.metrics.reference import Hu, LabelMap, Reference

LIVER = 2
STEPS = np.array([0, 6, 0, 6, 0, 6, 0, 6], np.float32)[:, None, None]
Make = Callable[..., Reference]


def test_flicker_by_hand(reference: Make, clean: Hu, truth: Hu) -> None:
    slope = np.arange(8, dtype=np.float32)[:, None, None]  # the true change drifts: var 5.25
    known = reference(source=clean)
    object.__setattr__(known, "truth", truth + slope)
    parts = FLICKER.measure(known, clean - 55.0 + 2.0 * slope)
    assert parts["liver"] == pytest.approx((4 * 5.25, 5.25), rel=1e-4)
    values = np.array([parts["liver"], (0.0, 3 * 5.25)])
    assert FLICKER.combine(values) == pytest.approx(1.0, rel=1e-4)  # variances are averaged
    assert FLICKER.combine(values[:1]) == pytest.approx(2.0, rel=1e-4)


def test_the_truth_has_a_ratio_of_1_and_identity_of_0(reference: Make, truth: Hu) -> None:
    known = reference()
    for output, wanted in ((truth, 1.0), (known.source.hu, 0.0), (truth + STEPS, 2.0)):
        parts = FLICKER.measure(known, output)
        assert set(parts) == {"liver", "muscle"}
        figure = FLICKER.combine(np.array([parts["liver"]]))
        assert figure == wanted if wanted < 2 else figure > wanted


def test_nothing_is_said_where_the_true_change_is_even(
    reference: Make, clean: Hu, truth: Hu
) -> None:
    known = reference(source=np.where(clean > 0, truth + 50.0, truth))
    parts = FLICKER.measure(known, truth + STEPS)
    assert np.isnan(FLICKER.combine(np.array([parts["liver"]])))


def test_slices_with_few_voxels_and_organs_with_few_slices_do_not_count(
    reference: Make, truth: Hu, labels: LabelMap
) -> None:
    known = reference()
    few = labels.copy()
    few[2:][few[2:] == LIVER] = 1
    object.__setattr__(known.source, "labels", few)
    assert set(FLICKER.measure(known, truth)) == {"muscle"}


def test_the_step_between_slices_by_hand(
    reference: Make, clean: Hu, noise: Callable[[int], Hu]
) -> None:
    known = reference()
    source = known.source.hu
    assert FLICKER_SOURCE.measure(known, source) == {WHOLE: (0.0,)}
    stepped = FLICKER_SOURCE.measure(known, source + STEPS)
    assert stepped[WHOLE][0] == pytest.approx(6.0, abs=1e-4)
    even = FLICKER_SOURCE.measure(known, source - 55.0)
    assert even[WHOLE][0] == pytest.approx(0.0, abs=1e-4)
    assert FLICKER_SOURCE.measure(known, clean + noise(1))[WHOLE][0] < 1.0


def test_anatomy_that_ends_between_slices_is_no_step(reference: Make, clean: Hu) -> None:
    half = clean.copy()
    half[4:, 12:44, 12:44] = -100.0  # the liver ends
    known = reference(source=half)
    output = np.where(half > 65.0, half - 55.0, half).astype(np.float32)
    assert FLICKER_SOURCE.measure(known, output)[WHOLE][0] < 1e-3


def test_tissues_that_follow_each_other_are_no_step_where_their_hu_differ(
    reference: Make, clean: Hu
) -> None:
    other = clean.copy()
    other[4:, 12:44, 12:44] = 45.0  # fluid above the liver
    output = np.where(other > 65.0, other - 55.0, other).astype(np.float32)
    stepped = FLICKER_SOURCE.measure(reference(source=other), output)[WHOLE][0]
    assert stepped < 1.0


def test_one_slice_alone_has_no_step(reference: Make, clean: Hu) -> None:
    known = reference()
    for name in ("hu", "labels"):
        object.__setattr__(known.source, name, getattr(known.source, name)[:1])
    assert FLICKER_SOURCE.measure(known, clean[:1]) == {}
