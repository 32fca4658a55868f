from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from medcyclegan.intensity import Window
from medcyclegan.metrics.metric import WHOLE
from medcyclegan.metrics.reference import Hu, LabelMap, Reference
from medcyclegan.metrics.structure import EDGES_INVENTED, STRUCTURE_KEPT, gradient

LIVER = 2
Make = Callable[..., Reference]
Noise = Callable[[int], Hu]


def kept(known: Reference, output: Hu) -> float:
    return STRUCTURE_KEPT.measure(known, output)[WHOLE][0]


def invented(known: Reference, output: Hu) -> float:
    return EDGES_INVENTED.combine(np.array([EDGES_INVENTED.measure(known, output)[WHOLE]]))


def test_slopes_are_hu_per_mm_inside_the_window() -> None:
    rows = np.arange(40, dtype=np.float32)[:, None]
    hu = np.broadcast_to(10.0 * rows, (2, 40, 40))
    found = gradient(hu, (5.0, 2.0, 1.0), Window(-200.0, 1000.0))
    assert found[0, :, 10:30] == pytest.approx(5.0, rel=0.01)
    assert found[1] == pytest.approx(0.0, abs=1e-4)
    clipped = gradient(hu, (5.0, 2.0, 1.0), Window(-200.0, 100.0))
    assert clipped[0, :, 20:30] == pytest.approx(0.0, abs=1e-4)


def test_the_source_keeps_all_and_an_inverted_image_less_than_nothing(
    reference: Make, clean: Hu, truth: Hu, noise: Noise
) -> None:
    known = reference()
    assert kept(known, known.source.hu) == pytest.approx(1.0)
    assert kept(known, truth + noise(1)) > 0.8
    inverted = np.where(clean > -500, 400.0 - known.source.hu, clean).astype(np.float32)
    assert kept(known, inverted) < -0.3  # the skin keeps its edge
    assert kept(known, np.zeros_like(clean)) == 0.0


def test_displaced_and_blurred_structure_is_lost_by_degrees(
    reference: Make, truth: Hu, noise: Noise
) -> None:
    known = reference()
    output = truth + noise(1)
    scores = [kept(known, np.roll(output, by, axis=1)) for by in (0, 1, 2, 4)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[3] + 0.3
    assert kept(known, ndimage.gaussian_filter(output, (0, 3, 3))) < scores[0] - 0.1


def test_new_edges_are_counted_and_old_ones_are_not(
    reference: Make, truth: Hu, labels: LabelMap, noise: Noise
) -> None:
    known = reference()
    assert invented(known, known.source.hu) == 0.0
    assert invented(known, truth + noise(1)) < 0.01
    blob = np.zeros(labels.shape, np.float32)
    blob[:, 14:22, 14:22] = 150.0  # within the liver, 4 mm from its edge and more from the lesion
    found = EDGES_INVENTED.measure(known, truth + blob)[WHOLE]
    assert 8 * 8 * 2 < found[0] < 8 * 4 * 10 * 4  # a frame of 2 to 4 voxels, 8 slices
    assert found[0] < found[1]
    faint = EDGES_INVENTED.measure(known, truth + 0.1 * blob)[WHOLE]
    assert faint[0] == 0.0


def test_an_edge_that_moved_by_a_voxel_is_no_new_one(reference: Make) -> None:
    known = reference()
    moved = [invented(known, np.roll(known.source.hu, by, axis=1)) for by in (1, 12)]
    assert moved[0] < 0.01
    assert moved[1] > 0.1


def test_an_output_without_edges_has_no_share(reference: Make, truth: Hu) -> None:
    assert np.isnan(invented(reference(), np.zeros_like(truth)))
