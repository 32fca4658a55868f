from __future__ import annotations

import numpy as np

from medcyclegan.metrics.reference import Scan
from medcyclegan.metrics.remembered import Remembered


def scan(value: float) -> Scan:
    return Scan(np.full((1, 2, 2), value, np.float32), (1.0, 1.0, 1.0))


def test_a_scan_is_worked_out_once_for_each_set_of_arguments() -> None:
    asked: list[tuple[float, int]] = []

    @Remembered
    def times(of: Scan, factor: int) -> float:
        """Say something."""
        asked.append((float(of.hu[0, 0, 0]), factor))
        return float(of.hu[0, 0, 0]) * factor

    one, other = scan(1.0), scan(1.0)  # equal scans are two scans
    assert [times(one, 2), times(one, 2), times(one, 3), times(other, 2)] == [2.0, 2.0, 3.0, 2.0]
    assert asked == [(1.0, 2), (1.0, 3), (1.0, 2)]
    assert times.__doc__ == "Say something."


def test_what_was_worked_out_goes_with_the_scan() -> None:
    kept = Remembered(lambda of: of.hu.sum())
    for value in range(20):  # scans that follow each other are given the same place in memory
        each = scan(float(value))
        assert kept(each) == 4.0 * value
        del each
    assert not kept._known
