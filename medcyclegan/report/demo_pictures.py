"""Pictures of a translated case beside its source and its true twin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom import label_values
from medcyclegan.report.panels import colored, gray, png
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Labels, Volume

IN_VIEW = ("kidneys", "liver", "pancreas")  # a slice is chosen that shows all of these well
DIFFERENCE_HU = 100.0  # colours of the difference reach this far both ways


class ShownCase(NamedTuple):
    """One case for pictures.

    Args:
        name: what people call it.
        image: the source, HU.
        translated: the source in the other domain, HU, on its grid.
        twin: the truth, HU, on the same grid.
        labels: on the same grid.
    """

    name: str
    image: Volume
    translated: Volume
    twin: Volume
    labels: Labels


def case_pictures(case: ShownCase) -> tuple[bytes, bytes, bytes, bytes]:
    """Return PNGs of one slice: source, translated, twin, and translated less twin.

    The first three in the same greys, -160 to 240 HU; the last blue where the translated slice is
    lower than the twin, red where it is higher, full colour at 100 HU.
    """
    number = choose_slice(case.labels)
    source, translated, twin = (
        _slices(volume)[number] for volume in (case.image, case.translated, case.twin)
    )
    difference = colored(translated - twin, DIFFERENCE_HU)
    return png(gray(source)), png(gray(translated)), png(gray(twin)), png(difference)


def choose_slice(labels: Labels) -> int:
    """Return the number of the slice that shows kidneys, liver and pancreas best, from the foot.

    Best is where the smallest of their areas, each as a share of the organ's largest, is largest;
    organs the labels do not hold are passed over.
    """
    slices = to_slices(labels.array, slice_frame(labels.array.shape, labels.affine))
    areas = np.stack([np.isin(slices, label_values(name)).sum(axis=(1, 2)) for name in IN_VIEW])
    largest = areas.max(axis=1, keepdims=True)
    shares = np.where(largest > 0, areas / np.maximum(largest, 1), 1.0)
    return int(shares.min(axis=0).argmax())


def _slices(volume: Volume) -> npt.NDArray[np.float32]:
    frame = slice_frame(volume.array.shape, volume.affine)
    return to_slices(volume.array, frame).astype(np.float32)
