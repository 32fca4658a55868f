"""A patient built of blocks, whose figures can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Hu, LabelMap, Reference, Scan, TissueTable

SPACING_MM = (5.0, 2.0, 2.0)
AIR, FAT, LIVER, LESION, MUSCLE = range(5)
HU = np.array([-1000.0, -100.0, 110.0, 70.0, 60.0], np.float32)  # with contrast medium
TRUE_HU = np.array([-1000.0, -100.0, 55.0, 35.0, 50.0], np.float32)
TISSUES = TissueTable(
    organs={"liver": (LIVER,), "muscle": (MUSCLE,)},
    null_tissues={"fat": (FAT,), "air": (AIR,)},
    lesions={"cyst": (LESION,)},
    aside=frozenset({"air", "muscle"}),
)


@pytest.fixture(scope="session")
def labels() -> LabelMap:
    """Air (0) around fat (1) around liver (2) with a lesion (3) and muscle (4), (8, 64, 64)."""
    blocks = np.zeros((8, 64, 64), np.uint8)
    blocks[:, 6:58, 6:58] = FAT
    blocks[:, 12:44, 12:44] = LIVER
    blocks[3:5, 24:31, 24:31] = LESION  # 10 x 14 x 14 mm
    blocks[:, 48:56, 10:54] = MUSCLE
    return blocks


@pytest.fixture(scope="session")
def clean(labels: LabelMap) -> Hu:
    """The patient with contrast medium, without noise."""
    return HU[labels]


@pytest.fixture(scope="session")
def truth(labels: LabelMap) -> Hu:
    """The patient without contrast medium, without noise."""
    return TRUE_HU[labels]


@pytest.fixture(scope="session")
def noise(labels: LabelMap) -> Callable[[int], Hu]:
    """White noise of 10 HU by its seed."""
    return lambda seed: (
        np.random.default_rng(seed).normal(0.0, 10.0, labels.shape).astype(np.float32)
    )


@pytest.fixture(scope="session")
def scan(labels: LabelMap) -> Callable[[Hu], Scan]:
    """HU as a scan of the patient."""
    return lambda hu: Scan(hu.astype(np.float32), SPACING_MM, labels)


@pytest.fixture(scope="session")
def reference(
    truth: Hu, clean: Hu, noise: Callable[[int], Hu], scan: Callable[[Hu], Scan]
) -> Callable[..., Reference]:
    """(source=clean with noise 0, targets=()) -> all that is known of the patient."""

    def make(source: Hu | None = None, targets: tuple[Scan, ...] = ()) -> Reference:
        return Reference(
            patient="blocks",
            source=scan(clean + noise(0) if source is None else source),
            window=Window(-200.0, 600.0),
            tissues=TISSUES,
            truth=truth,
            second=truth + noise(1),
            targets=targets,
        )

    return make
