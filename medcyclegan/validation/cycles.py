"""Cycles: whether the way back reads the source from a hidden trace in the translated image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medcyclegan.body import body_mask
from medcyclegan.metrics.reference import Hu
from medcyclegan.translator import Translator
from medcyclegan.validation.patients import Excerpt, on_grid

NOISE_HU = 3.0  # standard deviation: a quarter of what a scan of low noise has
SEED = 0


@dataclass(frozen=True)
class Cycles:
    """What there and back makes of some slices, on the networks' own grid.

    Resampling would wipe a trace out, and so would rounding to whole HU: networks were trained
    with neither.

    Args:
        error_hu: root mean square of what is not as it was, HU.
        with_noise_hu: the same where a little noise was added to the translated slices.
    """

    error_hu: float
    with_noise_hu: float

    @property
    def excess(self) -> float:
        """How much more the noise adds than if it were passed on as it is; 1 where it is."""
        return self.with_noise_hu / float(np.hypot(self.error_hu, NOISE_HU))


def measure_cycles(translator: Translator, excerpts: Sequence[Excerpt]) -> Cycles:
    """Return the errors of there and back, with and without noise in between.

    Chu et al. 2017 (arXiv:1712.02950): a generator may hide what it takes away in a faint pattern
    from which the other one restores it; noise fainter than anything seen then spoils the way
    back.

    Args:
        translator: both directions are used.
        excerpts: of domain a; at least one shows a body.
    """
    squares = np.zeros(3)
    rng = np.random.default_rng(SEED)
    window = translator.window
    for excerpt in excerpts:
        seen = on_grid(excerpt, translator.spacing_mm)
        before = seen.seen(seen.volume)
        inside = body_mask(before) & (before > window.low_hu) & (before < window.high_hu)
        made = translator.translate(seen.volume, "a_to_b")
        drawn = rng.standard_normal(made.array.shape, dtype=np.float32)
        noisy = replace(made, array=made.array + np.float32(NOISE_HU) * drawn)
        for place, volume in enumerate((made, noisy)):
            after: Hu = seen.seen(translator.translate(volume, "b_to_a"))
            squares[place] += np.square(after - before)[inside].sum(dtype=np.float64)
        squares[2] += np.count_nonzero(inside)
    error, with_noise = np.sqrt(squares[:2] / max(1.0, squares[2]))
    return Cycles(float(error), float(with_noise))
