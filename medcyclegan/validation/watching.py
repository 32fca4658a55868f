"""Discriminator watch: whether the logged losses say that the game is over."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping

LINES = 10  # in a row that must say the same
# Of ten lines of the demo's recipe, ten steps apart, the largest loss is never below 0.2, where
# 0.25 is that of a discriminator that can tell nothing, and their range never below 0.02: what
# tests/benchmarks/bench_score.py prints.
WON = 0.05
STILL = 0.002
PREFIX = "discriminator_"


class DiscriminatorWatch:
    """Tells of a discriminator from which its generator learns nothing any more.

    Least-squares losses, as in Mao et al. 2017: half the squared distance from 1 of what a
    discriminator says of real images and from 0 of what it says of fakes. Ten logged lines in a row
    have to agree.
    """

    def __init__(self) -> None:
        self._last: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LINES))
        self._told: set[str] = set()

    def watch(self, step: int, losses: Mapping[str, float]) -> tuple[str, ...]:
        """Return a line for each discriminator that has collapsed, once until it recovers.

        Args:
            step: of the losses; they are logged in order.
            losses: by name, those of discriminators as `discriminator_<domain>`.
        """
        return tuple(self._judge(step, losses))

    def _judge(self, step: int, losses: Mapping[str, float]) -> Iterator[str]:
        for name in losses:
            if not name.startswith(PREFIX):
                continue
            last = self._last[name]
            last.append(losses[name])
            fault = _fault(last) if len(last) == LINES else ""
            if fault and name not in self._told:
                yield f"collapse: {name} {fault} over {LINES} lines up to step {step}"
            self._told -= {name}
            self._told |= {name} if fault else set()


def _fault(last: deque[float]) -> str:
    if max(last) < WON:
        return f"is at most {max(last):.4f}: it tells every fake, and its generator learns nothing"
    if max(last) - min(last) < STILL:
        return f"stays at {last[-1]:.4f}: it says the same of every image"
    return ""
