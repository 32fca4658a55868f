from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from medcyclegan.phase import image_evidence, judge_phase
from medcyclegan.phase.image import bright_tissue
from medcyclegan.volume import Volume

MakeBody = Callable[..., Volume]


@pytest.mark.parametrize("blood_hu", [110, 160, 250, 400])
def test_bright_smooth_vessels_speak_for_contrast(make_body: MakeBody, blood_hu: float) -> None:
    volume = make_body(blood_hu)
    found = bright_tissue(volume)
    assert 0.015 < found.share < 0.06
    assert found.level_hu == pytest.approx(blood_hu, abs=15)
    assert judge_phase(volume).verdict == "contrast"


@pytest.mark.parametrize("blood_hu", [35, 60])
def test_marrow_is_no_vessel(make_body: MakeBody, blood_hu: float) -> None:
    volume = make_body(blood_hu)
    assert bright_tissue(volume).share < 0.003
    assert judge_phase(volume).verdict == "noncontrast"


def test_what_was_drunk_is_beside_gas_and_does_not_count(make_body: MakeBody) -> None:
    volume = make_body(45)
    array = volume.array.copy()
    array[90:105, 50:70] = 300  # in the bowel
    array[90:105, 44:50] = -950
    drunk = Volume(array, volume.affine)
    assert bright_tissue(drunk).share < 0.005
    array[90:105, 44:50] = 55
    assert bright_tissue(Volume(array, volume.affine)).share > 0.01


def test_the_weight_grows_with_the_share_and_has_no_steps(make_body: MakeBody) -> None:
    volume = make_body(250)
    weights = []
    for height in np.linspace(0, 80, 21):  # of what is left of the vessels, mm
        array = volume.array.copy()
        kept = np.abs(np.arange(array.shape[1]) - array.shape[1] / 2) * 2.0 < height / 2
        blood = (array > 150) & (array < 350) & (np.indices(array.shape)[1] < 125)
        array[blood & ~kept[None, :, None]] = 55
        weights.append(image_evidence(Volume(array, volume.affine))[0].log_odds)
    assert weights == sorted(weights)
    assert weights[0] == -1.8
    assert weights[-1] > 1
    assert max(np.diff(weights)) < 1.5


def test_streaks_of_metal_do_not_count(make_body: MakeBody) -> None:
    volume = make_body(45)
    array = volume.array.copy()
    array[60:80, 55:75, :3] = 300
    streaks = bright_tissue(Volume(array.copy(), volume.affine))
    array[90:94, 55:59, :3] = 3000
    assert streaks.share > 0.01
    assert bright_tissue(Volume(array, volume.affine)).share < 0.003
    everywhere = volume.array.copy()
    everywhere[90:94, 55:59] = 3000
    (evidence,) = image_evidence(Volume(everywhere, volume.affine))
    assert evidence.log_odds == -0.45
    assert "hardly be seen" in evidence.says


def test_where_medium_was_drunk_what_is_bright_leaves_it_unknown(make_body: MakeBody) -> None:
    for agent, verdict in (("ORAL", "unknown"), ("ORAL & IV", "contrast")):
        for blood_hu in (250, 45):
            volume = make_body(blood_hu)
            tags = {"ContrastBolusAgent": agent}
            volume = replace(volume, provenance=replace(volume.provenance, tags=tags))
            phase = judge_phase(volume)
            if blood_hu == 250:
                assert phase.verdict == verdict
                assert ("drunk" in phase.evidence[1]) == (agent == "ORAL")
            elif agent == "ORAL":
                assert phase.verdict == "noncontrast"


def test_the_order_and_sense_of_axes_do_not_matter(make_body: MakeBody) -> None:
    volume = make_body(180)
    turned = Volume(
        volume.array.transpose(2, 1, 0)[:, ::-1], volume.affine[:, [2, 1, 0, 3]] * [1, -1, 1, 1]
    )
    assert image_evidence(turned) == image_evidence(volume)


def test_a_leg_and_coarse_pixels_leave_it_unknown(make_body: MakeBody) -> None:
    leg = judge_phase(make_body(45, half_width_mm=50))
    coarse = judge_phase(make_body(45, pixel_mm=4.0))
    assert (leg.verdict, coarse.verdict) == ("unknown", "unknown")
    assert "hardly be seen" in leg.evidence[0]
    assert 0.5 < leg.confidence < 0.7


def test_air_says_nothing() -> None:
    air = Volume(np.full((40, 40, 3), -1000, np.int16), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert image_evidence(air) == []
    phase = judge_phase(air)
    assert (phase.verdict, phase.confidence) == ("unknown", 0.0)
