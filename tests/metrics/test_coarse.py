from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.coarse import bands, coarse_hu, coarse_scan, soft_tissue
from medcyclegan.metrics.reference import Hu, Scan


def test_slices_come_on_3_mm_clipped_and_not_too_many() -> None:
    hu = np.linspace(-1000, 1000, 100 * 60 * 60, dtype=np.float32).reshape(100, 60, 60)
    coarse = coarse_hu(hu, (1.0, 1.5, 2.0), Window(-200.0, 600.0))
    assert coarse.shape == (24, 30, 40)
    assert (coarse.min(), coarse.max()) == (-200.0, 600.0)


def test_bands_add_up_and_split_by_scale() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 10, (2, 64, 64)).astype(np.float32)
    slope = np.broadcast_to(np.arange(64, dtype=np.float32), noise.shape)
    np.testing.assert_allclose(sum(bands(noise + slope)), noise + slope, atol=1e-3)
    fine, middle, rest = (float(band.std()) for band in bands(noise))
    assert fine > 2 * middle > 1.5 * rest
    assert float(bands(slope)[2].std()) == pytest.approx(float(slope.std()), rel=0.02)


def test_soft_tissue_lies_where_it_lies(clean: Hu, scan: Callable[[Hu], Scan]) -> None:
    soft = soft_tissue(scan(clean))
    assert soft.mask.shape == (8, 43, 43)
    assert len(soft.places) == np.count_nonzero(soft.mask)
    numbers, rows, columns = np.unravel_index(soft.places, soft.mask.shape)
    assert soft.positions[:, 0] == pytest.approx(numbers / 7)
    # The body spans voxels 6 to 57 of 64, of 2 mm; the liver 12 to 43, the muscle to 53 or 55.
    assert soft.positions[:, 1].min() == pytest.approx(6 / 52, abs=0.03)
    assert soft.positions[:, 1].max() == pytest.approx(49 / 52, abs=0.03)
    assert soft.positions[:, 2].max() == pytest.approx(47 / 52, abs=0.03)
    assert rows.min() * 3 == pytest.approx(12 * 2, abs=3)
    assert columns.min() * 3 == pytest.approx(10 * 2, abs=3)


def test_the_table_is_no_soft_tissue(clean: Hu, scan: Callable[[Hu], Scan]) -> None:
    table = clean.copy()
    table[:, 61:64] = 60.0
    assert len(soft_tissue(scan(table)).places) == len(soft_tissue(scan(clean)).places)


def test_a_scan_of_air_has_none(clean: Hu, scan: Callable[[Hu], Scan]) -> None:
    assert soft_tissue(scan(np.full_like(clean, -1000.0))).positions.shape == (0, 3)


def test_a_coarse_scan_has_the_same_soft_tissue(clean: Hu, scan: Callable[[Hu], Scan]) -> None:
    fine, window = scan(clean), Window(-200.0, 600.0)
    coarse = coarse_scan(fine)
    assert coarse.hu.shape == (8, 43, 43)
    for one, other in zip(soft_tissue(fine), soft_tissue(coarse), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        coarse_hu(fine.hu, fine.spacing_mm, window), coarse_hu(coarse.hu, coarse.spacing_mm, window)
    )
