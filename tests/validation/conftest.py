"""Small phantom patients, and translators that do to them what a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from medcyclegan.domains import DIRECTIONS, Direction, Pair
from medcyclegan.intensity import Window
from medcyclegan.phantom import PhantomCase, make_patients
from medcyclegan.translator import Translator
from medcyclegan.validation import Acquisition
from medcyclegan.volume import Volume

WINDOW = Window(-160.0, 600.0)
Translate = Callable[[Volume, Direction], Any]  # -> HU


class Model(nn.Module):
    """A method whose generators do what a function of stacks and direction says."""

    def __init__(self, generate: Callable[[Tensor, Direction], Tensor]) -> None:
        super().__init__()
        self.generators = nn.ModuleDict({name: nn.Linear(1, 1) for name in DIRECTIONS})
        self.discriminators = nn.ModuleDict()
        self.generate = generate
        self.multiple = 1

    def generator_losses(self, real: Pair[Tensor]) -> tuple[dict[str, Tensor], Pair[Tensor]]:
        raise AssertionError("is never trained")

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> dict[str, Tensor]:
        raise AssertionError("is never trained")

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        middle = slices.shape[1] // 2
        return self.generate(slices, direction)[:, middle : middle + 1]


class Told(Translator):
    """A translator that makes of a volume what a function says, whatever its networks."""

    told: Translate

    def translate(self, volume: Volume, direction: Direction, **_: Any) -> Volume:
        hu = np.asarray(self.told(volume, direction), np.float32)
        if volume.array.dtype.kind == "i":
            return replace(volume, array=np.rint(hu).astype(volume.array.dtype))
        return replace(volume, array=hu)


@pytest.fixture(scope="session")
def generating() -> Callable[..., Translator]:
    """(generate) -> the translator of a model whose generators do that; options as its own."""

    def make(generate: Callable[[Tensor, Direction], Tensor], **options: Any) -> Translator:
        given: dict[str, Any] = {
            "window": WINDOW,
            "spacing_mm": 5.0,
            "neighbors": 1,
            "domains": Pair("contrast", "noncontrast"),
            **options,
        }
        return Translator(Model(generate), **given)

    return make


@pytest.fixture(scope="session")
def telling() -> Callable[[Translate], Translator]:
    """(translate) -> the translator that does just that."""

    def make(translate: Translate) -> Translator:
        translator = Told(
            Model(lambda stacks, _: stacks),
            window=WINDOW,
            spacing_mm=5.0,
            neighbors=1,
            domains=Pair("contrast", "noncontrast"),
        )
        translator.told = translate
        return translator

    return make


@pytest.fixture(scope="session")
def cases() -> tuple[PhantomCase, ...]:
    """Three patients with contrast medium, with their twins."""
    return make_patients("contrast", 3, size=96, slices=10)


@pytest.fixture(scope="session")
def targets() -> list[Acquisition]:
    """Four other patients without."""
    made = make_patients("noncontrast", 4, size=96, slices=10)
    return [Acquisition(case.patient, case.image) for case in made]
