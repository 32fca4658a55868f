"""Unpaired batches: slices of two domains, drawn at random, that owe each other nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from medcyclegan.body import Box
from medcyclegan.data.position import PositionGroups, one_group
from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.slices import neighbor_indices

if TYPE_CHECKING:
    from medcyclegan.data.augmentation import SliceAugmentation

GROUPS = 2  # the place of the draw of groups among the draws of domains 0 and 1
CHANGES = 3  # and of those of changes: 3 and 4
JITTER = 4  # pixels by which a crop may lie off the body's centre, while the body stays inside

T = TypeVar("T")


class UnpairedSlices:
    """Batches of slices of both domains, the same for the same seed and step.

    Both domains draw from one group of slices of like position, see `PositionGroups`; where there
    is but one, each draws for itself. In the group a domain draws a patient, one of the patient's
    volumes, one of its slices that show a body, each evenly, so that a long scan counts no more
    than a short one, and a small domain no less than a large one. Around the slice,
    `size` x `size` pixels are cut about the body's centre give or take 4 pixels; where the body
    is larger than that the cut lies anywhere on it, and beyond the slice there is air (-1).
    Unless `augmentation` says so nothing is turned or mirrored: the liver stays on the right.

    What is drawn depends on (seed, step, domain, index in the batch), the group on all of these
    but the domain, and on nothing else, so prefetching, workers and resuming cannot change it.
    Pickled for a worker, the slices of a store are mapped again there, not copied.

    Args:
        volumes: the volumes of each domain, at least one, each with slices to be drawn.
        window: what of the HU scale becomes [-1, 1].
        size: rows and columns of the batch.
        neighbors: slices in a stack, odd; 1 = the slice alone.
        batch_size: slices (or stacks) of each domain in a batch.
        seed: of the draws, from 0.
        groups: which slices belong together; by default each domain draws from all.
        augmentation: how stacks are changed at random; by default not at all.

    Attributes:
        cut: in each domain, the share of the slices drawn from whose body is larger than `size`.
    """

    def __init__(
        self,
        volumes: Pair[list[StoredVolume]],
        *,
        window: Window,
        size: int,
        neighbors: int,
        batch_size: int,
        seed: int,
        groups: PositionGroups | None = None,
        augmentation: SliceAugmentation | None = None,
    ) -> None:
        groups = groups or one_group(volumes)
        self._made_again = partial(
            UnpairedSlices,
            volumes,
            window=window,
            size=size,
            neighbors=neighbors,
            batch_size=batch_size,
            seed=seed,
            groups=groups,
            augmentation=augmentation,
        )
        self.window = window
        self.size = size
        self.neighbors = neighbors
        self.batch_size = batch_size
        self.seed = seed
        changes = augmentation is not None and augmentation.changes_anything
        self._augmentation = augmentation if changes else None
        ends = np.cumsum(groups.shares)
        self._ends = ends / ends[-1]
        self._patients = Pair(
            _by_patient(volumes.a, groups.drawn.a, neighbors),
            _by_patient(volumes.b, groups.drawn.b, neighbors),
        )
        self.cut = Pair(_share_cut(volumes.a, size), _share_cut(volumes.b, size))

    def __reduce__(self) -> tuple[Callable[[], UnpairedSlices], tuple[()]]:
        return self._made_again, ()

    def batch(self, step: int, part: slice = slice(None)) -> Pair[torch.Tensor]:
        """Return the batch of a step: for each domain (B, C, H, W), float32, in [-1, 1].

        Args:
            step: from 0.
            part: which elements of the batch; they are those of the whole batch.
        """
        return Pair(self._domain_batch(step, 0, part), self._domain_batch(step, 1, part))

    def names(self, step: int, part: slice = slice(None)) -> tuple[str, ...]:
        """Return the volumes the batch of a step draws from, as they were named, each once."""
        drawn = (draw for domain in (0, 1) for draw in self._draws(step, domain, part))
        return tuple(dict.fromkeys(draw.volume.name for draw in drawn))

    def _domain_batch(self, step: int, domain: int, part: slice) -> torch.Tensor:
        drawn = self._draws(step, domain, part)
        unit = np.empty((len(drawn), self.neighbors, self.size, self.size), np.float32)
        if self._augmentation is None:
            for stack, draw in zip(unit, drawn, strict=True):
                self._fill_stack(stack, draw)
        else:
            chances = np.random.default_rng((self.seed, step, CHANGES + domain))
            draws = chances.random((self.batch_size, 3))[part]
            self._fill_changed(unit, drawn, draws, self._augmentation)
        return torch.from_numpy(unit)

    def _draws(self, step: int, domain: int, part: slice) -> list[_Draw]:
        # One row of draws for each index in the batch: a larger batch begins with the same slices.
        groups = np.random.default_rng((self.seed, step, GROUPS)).random(self.batch_size)[part]
        draws = np.random.default_rng((self.seed, step, domain)).random((self.batch_size, 5))[part]
        drawn = []
        for group, draw in zip(np.searchsorted(self._ends, groups, "right"), draws, strict=True):
            volume = _pick(_pick(self._patients[domain][group], draw[0]), draw[1])
            drawn.append(_Draw(volume, _pick(volume.drawn, draw[2]), draw[3], draw[4]))
        return drawn

    def _fill_changed(
        self,
        unit: npt.NDArray[np.float32],
        drawn: list[_Draw],
        chances: npt.NDArray[np.float64],
        augmentation: SliceAugmentation,
    ) -> None:
        margin = augmentation.margin(self.size)
        side = self.size + 2 * margin
        larger = np.empty((self.neighbors, side, side), np.float32)
        for stack, draw, chance in zip(unit, drawn, chances, strict=True):
            self._fill_stack(larger, draw, margin)
            stack[:] = augmentation.apply(larger, augmentation.change(chance), self.size)

    def _fill_stack(self, stack: npt.NDArray[np.float32], draw: _Draw, margin: int = 0) -> None:
        volume = draw.volume
        top, bottom, left, right = volume.boxes[draw.middle]
        height, width = volume.slices.shape[1:]
        side = self.size + 2 * margin
        first_row = _corner(top, bottom, self.size, draw.row) - margin
        first_column = _corner(left, right, self.size, draw.column) - margin
        rows, there_rows = _overlap(first_row, side, height)
        columns, there_columns = _overlap(first_column, side, width)
        if (rows.stop - rows.start, columns.stop - columns.start) != (side, side):
            stack[:] = -1.0
        for channel, index in zip(stack, volume.stacks[draw.middle], strict=True):
            here = channel[there_rows, there_columns]
            here[:] = volume.slices[index, rows, columns]
            _to_unit(here, self.window)


class _Drawable(NamedTuple):
    """A stored volume made ready: slices (S, H, W), boxes by slice, slices to draw, stacks."""

    name: str
    slices: npt.NDArray[np.int16]
    boxes: Sequence[Box]
    drawn: Sequence[int]
    stacks: npt.NDArray[np.int64]


class _Draw(NamedTuple):
    """What is cut: around which slice of which volume, and where, from 0 to 1 of what may be."""

    volume: _Drawable
    middle: int
    row: float
    column: float


def _to_unit(hu: npt.NDArray[np.float32], window: Window) -> None:
    """Make HU of the window `window.to_unit` of them, in place and so in half the time."""
    hu -= window.low_hu
    hu *= 2.0 / window.width_hu
    hu -= 1.0
    np.clip(hu, -1.0, 1.0, out=hu)


def _by_patient(
    volumes: Sequence[StoredVolume], drawn: Sequence[Sequence[tuple[int, ...]]], neighbors: int
) -> list[list[list[_Drawable]]]:
    """Return for each group the patients who have slices in it, for each of them the volumes."""
    of_group: list[dict[str, list[_Drawable]]] = [{} for _ in drawn[0]]
    for volume, own in zip(volumes, drawn, strict=True):
        facts = volume.facts
        plain = np.asarray(volume.slices)  # a memmap takes several times as long to cut from
        stacks = neighbor_indices(len(plain), neighbors)
        for patients, indices in zip(of_group, own, strict=True):
            if indices:
                drawable = _Drawable(volume.name, plain, facts.boxes, indices, stacks)
                patients.setdefault(facts.patient, []).append(drawable)
    return [list(patients.values()) for patients in of_group]


def _share_cut(volumes: Sequence[StoredVolume], size: int) -> float:
    every = (volume.facts for volume in volumes)
    boxes = np.array([facts.boxes[index] for facts in every for index in facts.drawn])
    lengths = boxes[:, [1, 3]] - boxes[:, [0, 2]]
    return float((lengths > size).any(axis=1).mean())


def _pick(items: Sequence[T], draw: float) -> T:
    return items[int(draw * len(items))]


def _corner(first: int, last: int, size: int, draw: float) -> int:
    """Return where a cut of `size` pixels starts for a body from `first` to before `last`."""
    if last - first > size:
        return first + int(draw * (last - first - size + 1))
    jitter = min(JITTER, (size - (last - first)) // 2)
    return (first + last - size) // 2 - jitter + int(draw * (2 * jitter + 1))


def _overlap(start: int, size: int, length: int) -> tuple[slice, slice]:
    """Return which part of a line of `length` pixels a cut covers, and where in the cut it lies."""
    here = slice(max(0, start), min(length, start + size))
    return here, slice(here.start - start, here.stop - start)
