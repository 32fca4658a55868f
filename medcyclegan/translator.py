"""Translator: a trained model that takes a volume and gives it back as of the other domain."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from medcyclegan.domains import Direction, Pair, target_domain
from medcyclegan.errors import CheckpointError, GeometryError, IntensityError, VolumeError
from medcyclegan.intensity import Window, apply_change, check_strength
from medcyclegan.io.stored import as_hu
from medcyclegan.models import TranslationModel
from medcyclegan.models.artefact import CARD, WEIGHTS, load_model
from medcyclegan.models.evaluating import evaluating, whole
from medcyclegan.networks.convolution import choose_convolutions
from medcyclegan.slices import (
    SliceFrame,
    neighbor_indices,
    resample_slices,
    resampled_size,
    slice_frame,
    to_slices,
)
from medcyclegan.training.device import choose_device
from medcyclegan.volume import Provenance, Volume

AIR = -1.0  # what lies around a slice for the networks, as in training
SPACING_TOLERANCE = 0.01  # relative; a direct output may be this far from its training spacing
HOW_TO = f"give a run folder, a model folder, or its {WEIGHTS} with {CARD} beside"

Output = Literal["residual", "direct"]
CHANGING = ("residual", "enhancement")  # outputs of our methods that are a change of the input


@dataclass(frozen=True)
class _Grid:
    """A slice as stored, as the networks see it, and what is padded before and after, pixels."""

    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    seen_shape: tuple[int, int]
    seen_spacing_mm: tuple[float, float]
    margins: tuple[tuple[int, int], tuple[int, int]]


class Translator:
    """A model with all it takes to translate volumes of any grid.

    Args:
        model: trained, of any method; its weights stay where they are unless `device` is given.
        window: HU the networks see.
        spacing_mm: in-plane spacing of the training grid; None: each volume's own.
        neighbors: slices in a stack, odd.
        domains: the users' names of domains a and b.
        output: "residual", the networks change their input, or "direct", they make an image.
        size: height and width of training crops, pixels: smaller slices are padded to it with air.
        identity: hash that names the weights; made from them where none is given.
        device: "auto", "cpu", "cuda:0", ...

    Raises:
        CheckpointError: a weight is not finite, or a domain's name is no name for a file.
        InputError: this machine has no such device.
    """

    def __init__(
        self,
        model: TranslationModel,
        *,
        window: Window,
        spacing_mm: float | None,
        neighbors: int,
        domains: Pair[str],
        output: Output = "residual",
        size: int = 1,
        identity: str = "",
        device: str | None = None,
    ) -> None:
        self.model = model
        self.window = window
        self.spacing_mm = spacing_mm
        self.neighbors = neighbors
        self.domains = domains
        self.output = output
        self.size = size
        _check(model.generators, domains)
        self.identity = identity or _hash(model.generators)
        if device is not None:
            whole(model).to(choose_device(device))

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> Translator:
        """Return the translator at `path`; nothing that is read can run code.

        Args:
            path: a run folder, a model folder, or its `model.safetensors` with `model.json` beside.
            device: "auto", "cpu", "cuda:0", ...

        Raises:
            CheckpointError: `path` is missing, none of these, damaged, or holds weights that are
                not finite.
        """
        model, card, identity = load_model(_model_folder(path))
        choose_convolutions(model.generators, "winograd")
        return cls(
            model,
            window=card.window,
            spacing_mm=card.spacing_mm,
            neighbors=card.neighbors,
            domains=card.domains,
            output="residual" if card.model.get("output") in CHANGING else "direct",
            size=card.size,
            identity=identity,
            device=device,
        )

    def translate(
        self,
        volume: Volume,
        direction: Direction,
        *,
        strength: float = 1.0,
        batch_size: int = 8,
        report: Callable[[int, int], None] | None = None,
    ) -> Volume:
        """Return `volume` as it would look in the other domain, on the same voxel grid.

        The HU change that the networks ask for on the training grid is resampled to the volume's
        and added to its untouched voxels: noise and resolution survive, voxels below the window
        keep their value, and a generator that changes nothing gives the input back bit for bit.
        Slices of air alone are not touched.

        Args:
            volume: CT in HU, array (I, J, K) of any spacing and orientation.
            direction: "a_to_b" or "b_to_a"; `self.domains` says what a and b stand for.
            strength: share of the change that is applied, 0 to 2; 0 gives the input back.
            batch_size: slices that pass the networks at once.
            report: called with the slices done and those to do in all, after each batch.

        Returns:
            A new volume with the shape and affine of `volume`, in HU, whose provenance names
            this model and direction. Whole HU stay whole: int16, int32 where a value needs it;
            other volumes are float32.

        Raises:
            GeometryError: the output is direct and the volume's spacing is not that of training.
            IntensityError: a voxel is not finite.
            InputError: `strength` is not from 0 to 2.
            VolumeError: the networks give values that are not finite.
        """
        check_strength(strength)
        frame, grid = self._grids(volume)
        hu = as_hu(volume.array)
        result = hu.copy() if hu is volume.array else hu
        source, target = to_slices(volume.array, frame), to_slices(result, frame)
        stacks = neighbor_indices(len(source), self.neighbors)
        shown = np.flatnonzero(source.max(axis=(1, 2)) > self.window.low_hu)
        with evaluating(self.model):
            for start in range(0, len(shown), batch_size):
                batch = shown[start : start + batch_size]
                change_hu = self._change_hu(source, stacks[batch], grid, direction)
                target[batch] = _changed(target[batch], change_hu, self.window, strength)
                if report is not None:
                    report(start + len(batch), len(shown))
        return Volume(result, volume.affine, self._provenance(volume, direction))

    def check(self, volume: Volume) -> None:
        """Check that `translate` would take this volume, as far as that is known beforehand.

        Raises:
            VolumeError: as `translate`.
        """
        self._grids(volume)

    def _grids(self, volume: Volume) -> tuple[SliceFrame, _Grid]:
        if not np.isfinite(volume.array).all():
            raise IntensityError("has voxels that are not finite; give them a value in HU")
        frame = slice_frame(volume.array.shape, volume.affine)
        _, height, width = to_slices(volume.array, frame).shape
        native = (frame.spacing_mm[1], frame.spacing_mm[2])
        wanted = (self.spacing_mm or native[0], self.spacing_mm or native[1])
        if self.output == "direct":
            if not np.allclose(native, wanted, rtol=SPACING_TOLERANCE, atol=0):
                raise GeometryError(
                    f"has pixels of {native[0]:.4g} x {native[1]:.4g} mm, and this model with "
                    f"direct output knows {self.spacing_mm:g} mm only; resample the volume, or "
                    "train with output: residual"
                )
            wanted = native
        rows = resampled_size(height, native[0], wanted[0])
        columns = resampled_size(width, native[1], wanted[1])
        margins = self._pad(rows), self._pad(columns)
        return frame, _Grid((height, width), native, (rows, columns), wanted, margins)

    def _pad(self, length: int) -> tuple[int, int]:
        whole = max(length, self.size)
        missing = whole + -whole % self.model.multiple - length
        return missing // 2, missing - missing // 2

    def _change_hu(
        self,
        source: npt.NDArray[Any],
        stacks: npt.NDArray[np.int64],
        grid: _Grid,
        direction: Direction,
    ) -> npt.NDArray[np.float32]:
        """Return what the networks ask for in slices (B, H, W), HU, given their stacks (B, C)."""
        needed, places = np.unique(stacks, return_inverse=True)
        hu = source[needed].astype(np.float32).clip(self.window.low_hu, self.window.high_hu)
        hu = resample_slices(hu, grid.spacing_mm, grid.seen_shape, grid.seen_spacing_mm)
        unit = np.pad(self.window.to_unit(hu), ((0, 0), *grid.margins), constant_values=AIR)
        stacked = torch.from_numpy(unit[places.reshape(stacks.shape)])  # (B, C, H', W')
        weight = next(self.model.generators.parameters(), stacked)
        seen = stacked.to(weight.device)
        asked = self.model.translate(seen, direction)[:, 0] - seen[:, self.neighbors // 2]
        (top, _), (left, _) = grid.margins
        inside = asked[:, top : top + grid.seen_shape[0], left : left + grid.seen_shape[1]]
        change_hu = self.window.change_to_hu(inside.float()).cpu().numpy()
        _check_finite(change_hu)
        return resample_slices(change_hu, grid.seen_spacing_mm, grid.shape, grid.spacing_mm)

    def _provenance(self, volume: Volume, direction: Direction) -> Provenance:
        domain: str = getattr(self.domains, target_domain(direction))
        made = {"model": self.identity, "direction": direction, "domain": domain}
        return replace(volume.provenance, tags={**volume.provenance.tags, **made})


def _model_folder(path: Path) -> Path:
    if not path.exists():
        raise CheckpointError(f"{path}: no such run or model; {HOW_TO}")
    if path.is_file():
        if path.name == WEIGHTS and path.with_name(CARD).is_file():
            return path.parent
        raise CheckpointError(f"{path}: is no model; {HOW_TO}")
    for folder in (path, path / "model"):
        if (folder / CARD).is_file():
            return folder
    if (path / "config.yaml").is_file():
        raise CheckpointError(f"{path}: this run has no trained model yet; go on with its training")
    raise CheckpointError(f"{path}: holds no {CARD}; {HOW_TO}")


def _changed(
    stored: npt.NDArray[Any], change_hu: npt.NDArray[np.float32], window: Window, strength: float
) -> npt.NDArray[Any]:
    """Return voxels of the type of `stored`, changed; the very same where nothing changes."""
    hu = stored.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        new = apply_change(hu, change_hu, window, strength)
    _check_finite(new)
    same = new == hu
    if stored.dtype.kind == "i":
        limits = np.iinfo(stored.dtype)
        new = np.rint(new).astype(np.float64).clip(limits.min, limits.max)
    return np.where(same, stored, new.astype(stored.dtype))


def _check_finite(made: npt.NDArray[np.float32]) -> None:
    if not np.isfinite(made).all():
        raise VolumeError("makes the networks give values that are not finite; leave it out")


def _check(generators: nn.Module, domains: Pair[str]) -> None:
    for name, tensor in generators.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"weight {name} is not finite; use another checkpoint")
    for domain in domains:
        if not re.fullmatch("[a-z0-9_-]+", domain):
            raise CheckpointError(f"domain {domain!r}: names are made of a-z, 0-9, _ and - only")


def _hash(generators: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(generators.state_dict().items()):
        digest.update(name.encode() + b"\0")
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
