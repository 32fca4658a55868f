"""Unpaired batches: slices of two domains, drawn at random, that owe each other nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from medcyclegan.body import Box
from medcyclegan.data.position import PositionGroups, one_group
from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.slices import neighbor_indices

GROUPS = 2  # the place of the draw of groups among the draws of domains 0 and 1
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
    Nothing is turned or mirrored: the liver stays on the right.

    What is drawn depends on (seed, step, domain, index in the batch), the group on all of these
    but the domain, and on nothing else, so prefetching, workers and resuming cannot change it.

    Args:
        volumes: the volumes of each domain, at least one, each with slices to be drawn.
        window: what of the HU scale becomes [-1, 1].
        size: rows and columns of the batch.
        neighbors: slices in a stack, odd; 1 = the slice alone.
        batch_size: slices (or stacks) of each domain in a batch.
        seed: of the draws, from 0.
        groups: which slices belong together; by default each domain draws from all.

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
    ) -> None:
        self.window = window
        self.size = size
        self.neighbors = neighbors
        self.batch_size = batch_size
        self.seed = seed
        groups = groups or one_group(volumes)
        ends = np.cumsum(groups.shares)
        self._ends = ends / ends[-1]
        self._patients = Pair(
            _by_patient(volumes.a, groups.drawn.a, neighbors),
            _by_patient(volumes.b, groups.drawn.b, neighbors),
        )
        self.cut = Pair(_share_cut(volumes.a, size), _share_cut(volumes.b, size))

    def batch(self, step: int) -> Pair[torch.Tensor]:
        """Return the batch of a step: for each domain (B, C, H, W), float32, in [-1, 1].

        Args:
            step: from 0.
        """
        draws = np.random.default_rng((self.seed, step, GROUPS)).random(self.batch_size)
        groups = np.searchsorted(self._ends, draws, side="right")
        return Pair(self._domain_batch(step, 0, groups), self._domain_batch(step, 1, groups))

    def _domain_batch(self, step: int, domain: int, groups: npt.NDArray[np.int64]) -> torch.Tensor:
        shape = (self.batch_size, self.neighbors, self.size, self.size)
        unit = np.empty(shape, np.float32)
        # One row of draws for each index in the batch: a larger batch begins with the same slices.
        draws = np.random.default_rng((self.seed, step, domain)).random((self.batch_size, 5))
        for stack, draw, group in zip(unit, draws, groups, strict=True):
            self._fill_stack(stack, self._patients[domain][group], draw)
        return torch.from_numpy(unit)

    def _fill_stack(
        self,
        stack: npt.NDArray[np.float32],
        patients: list[list[_Drawable]],
        draw: npt.NDArray[np.float64],
    ) -> None:
        volume = _pick(_pick(patients, draw[0]), draw[1])
        middle = _pick(volume.drawn, draw[2])
        top, bottom, left, right = volume.boxes[middle]
        height, width = volume.slices.shape[1:]
        rows, there_rows = _overlap(_corner(top, bottom, self.size, draw[3]), self.size, height)
        columns, there_columns = _overlap(
            _corner(left, right, self.size, draw[4]), self.size, width
        )
        if (rows.stop - rows.start, columns.stop - columns.start) != (self.size, self.size):
            stack[:] = -1.0
        for channel, index in zip(stack, volume.stacks[middle], strict=True):
            here = channel[there_rows, there_columns]
            here[:] = volume.slices[index, rows, columns]
            _to_unit(here, self.window)


class _Drawable(NamedTuple):
    """A stored volume made ready: slices (S, H, W), boxes by slice, slices to draw, stacks."""

    slices: npt.NDArray[np.int16]
    boxes: Sequence[Box]
    drawn: Sequence[int]
    stacks: npt.NDArray[np.int64]


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
    for (slices, facts), own in zip(volumes, drawn, strict=True):
        plain = np.asarray(slices)  # a view: a memmap takes several times as long to cut from
        stacks = neighbor_indices(len(slices), neighbors)
        for patients, indices in zip(of_group, own, strict=True):
            if indices:
                drawable = _Drawable(plain, facts.boxes, indices, stacks)
                patients.setdefault(facts.patient, []).append(drawable)
    return [list(patients.values()) for patients in of_group]


def _share_cut(volumes: Sequence[StoredVolume], size: int) -> float:
    boxes = np.array([facts.boxes[index] for _, facts in volumes for index in facts.drawn])
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
