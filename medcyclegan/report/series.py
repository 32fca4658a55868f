"""A figure over the steps of a run, however long that is, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

MOST_POINTS = 600  # more cannot be told apart in a plot


@dataclass
class Point:
    """Neighbouring values as one.

    Args:
        step: their mean step.
        mean: their mean.
        low: the smallest of them.
        high: the largest.
        count: how many they are.
    """

    step: float
    mean: float
    low: float
    high: float
    count: int = 1

    def joined(self, other: Point) -> Point:
        """Return this point and another as one."""
        count = self.count + other.count
        share = other.count / count
        return Point(
            self.step + (other.step - self.step) * share,
            self.mean + (other.mean - self.mean) * share,
            min(self.low, other.low),
            max(self.high, other.high),
            count,
        )


class Series:
    """A figure's values in order; where they are many, neighbours become one point.

    No more than 1200 points are kept, whatever comes: then each two become one.
    """

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._width = 1

    def add(self, step: float, value: float) -> None:
        """Take the next value."""
        point = Point(step, value, value, value)
        if self.points and self.points[-1].count < self._width:
            self.points[-1] = self.points[-1].joined(point)
        else:
            self.points.append(point)
        if len(self.points) >= 2 * MOST_POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [first.joined(second) for first, second in pairs]
            self._width *= 2

    def smoothed(self) -> list[float]:
        """Return a running mean over a twenty-fifth of the points, one value for each point."""
        reach = len(self.points) // 50
        sums = [0.0]
        counts = [0]
        for point in self.points:
            sums.append(sums[-1] + point.mean * point.count)
            counts.append(counts[-1] + point.count)
        ends = [
            (max(0, place - reach), min(len(self.points), place + reach + 1))
            for place in range(len(self.points))
        ]
        return [(sums[high] - sums[low]) / (counts[high] - counts[low]) for low, high in ends]
