"""MONAI dictionary transforms that take a CT from a file to the slices networks see.

They work on channel-first `MetaTensor`s (C, I, J, K) in HU whose affine leads to RAS+ mm, next to
MONAI's own spatial transforms (`Orientationd`, `Spacingd`, ...) and inside its `Compose`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform
from monai.utils.enums import TraceKeys
from monai.utils.misc import ensure_tuple_rep
from monai.utils.type_conversion import convert_to_tensor

from medcyclegan.body import AIR_HU, body_mask
from medcyclegan.data.grid import RESAMPLE, Mode, plane_shape, slices_to_array
from medcyclegan.data.metatensors import (
    channels,
    shift,
    to_metatensor,
    to_volume,
    traced,
    with_tensor,
)
from medcyclegan.intensity import Window
from medcyclegan.slices import (
    from_slices,
    resampled_size,
    slice_frame,
    to_slices,
)
from medcyclegan.volume import Volume

if TYPE_CHECKING:
    from medcyclegan.io import Source


class ReadVolumed(MapTransform):
    """CT volumes read from disk, checked to be one in HU: `MetaTensor` (1, I, J, K), float32.

    Each key holds the path of a file or of a series folder, a `Source` that `find_volumes` found,
    or a `Volume`. The meta data are those MONAI's readers give (affine in RAS+ mm, original
    affine, shape, file name) and the provenance (format, patient key, qform and sform code); no
    header text comes along.

    Args:
        keys: what to read.
        allow_missing_keys: pass over keys that are not there.

    Raises:
        VolumeError: when called, for a file that is no CT in HU or cannot be read right.
    """

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with the volumes read."""
        d: dict[Any, Any] = dict(data)
        for key in self.key_iterator(d):
            d[key] = to_metatensor(read(d[key]))
        return d


class WindowHUd(MapTransform, InvertibleTransform):
    """HU clipped to a window and mapped linearly to [-1, 1], in float32.

    The inverse gives HU again: exactly (to float32) inside the window; what was outside it comes
    back as the window's end.

    Args:
        keys: images of any shape, HU.
        low_hu: HU that becomes -1.
        high_hu: HU that becomes +1.
        allow_missing_keys: pass over keys that are not there.

    Raises:
        ConfigError: `low_hu` is not below `high_hu`.
    """

    def __init__(
        self, keys: KeysCollection, low_hu: float, high_hu: float, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.window = Window(low_hu, high_hu)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its images mapped to [-1, 1]."""
        d = dict(data)
        for key in self.key_iterator(d):
            hu = convert_to_tensor(d[key], dtype=torch.float32, track_meta=True)
            d[key] = traced(self, hu, self.window.to_unit(hu.as_tensor()))
        return d

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its images mapped back to HU."""
        d = dict(data)
        for key in self.key_iterator(d):
            self.pop_transform(d[key])
            d[key] = self.window.to_hu(d[key])
        return d


class BodyCropd(MapTransform, InvertibleTransform):
    """Volumes cropped to the box around the patient: air, table and clothes beyond it go.

    A volume that shows no body is left whole. The inverse puts the crop back where it was.

    Args:
        keys: what to crop, (C, I, J, K), all on the same grid.
        source_key: the CT in HU whose body sets the box; by default the first of `keys`.
        margin_mm: how much is kept around the body, mm.
        fill: what the inverse puts around the crop, one value or one for each key: air (-1000 HU)
            for images; give 0 for label maps.
        allow_missing_keys: pass over keys that are not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        source_key: Hashable | None = None,
        margin_mm: float = 10.0,
        fill: float | Sequence[float] = AIR_HU,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.source_key = self.keys[0] if source_key is None else source_key
        self.margin_mm = margin_mm
        self.fill = ensure_tuple_rep(fill, len(self.keys))

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its volumes cropped."""
        d = dict(data)
        box = _body_box_3d(to_volume(d[self.source_key]), self.margin_mm)
        start = tuple(part.start for part in box)
        for key in self.key_iterator(d):
            crop = d[key].as_tensor()[(slice(None), *box)]
            d[key] = traced(self, d[key], crop, shift(start), {"start": start})
        return d

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its volumes on their whole grid again."""
        d = dict(data)
        for key, fill in self.key_iterator(d, self.fill):
            done = self.pop_transform(d[key])
            start = [int(first) for first in done[TraceKeys.EXTRA_INFO]["start"]]
            crop = d[key].as_tensor()
            size = [int(length) for length in done[TraceKeys.ORIG_SIZE]]
            whole = crop.new_full((len(crop), *size), fill)
            box = tuple(
                slice(first, first + n) for first, n in zip(start, crop.shape[1:], strict=True)
            )
            whole[(slice(None), *box)] = crop
            d[key] = with_tensor(d[key], whole, shift([-first for first in start]))
        return d


class ExtractSlicesd(MapTransform, InvertibleTransform):
    """Volumes as the slices networks see: `MetaTensor` (C, S, H, W).

    Slices lie across the axis nearest foot-head and run feet to head, their rows toward the
    patient's back, their columns toward the left, whatever the order of the file; coronal,
    sagittal and oblique stacks are cut across their own stacking axis (see `medcyclegan.slices`).
    In plane they are resampled about their centre to square pixels, never stretched: the very
    grid that training and `Translator` use. The affine follows, so the result is still a volume
    in the patient; to go on slice by slice, split it with MONAI's `SplitDimd(keys, dim=1)`.

    The inverse brings slices back to the volume's grid: exactly where nothing was resampled, else
    by the same interpolation.

    Args:
        keys: volumes (C, I, J, K), any orientation and spacing.
        spacing_mm: distance of rows and of columns wanted, mm; None keeps the file's.
        mode: "linear" for images or "nearest" for label maps; one, or one for each key.
        allow_missing_keys: pass over keys that are not there.

    Raises:
        GeometryError: when called, for what is no volume with right-angled axes.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing_mm: float | None = None,
        mode: Mode | Sequence[Mode] = "linear",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.spacing_mm = spacing_mm
        self.mode = ensure_tuple_rep(mode, len(self.keys))

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its volumes cut into slices."""
        d = dict(data)
        for key, mode in self.key_iterator(d, self.mode):
            image = d[key]
            volume = to_volume(image)
            frame = slice_frame(volume.array.shape, volume.affine)
            old = plane_shape(volume.array.shape, frame)
            _, rows, columns = frame.spacing_mm
            new_spacing = (self.spacing_mm or rows, self.spacing_mm or columns)
            new = (
                resampled_size(old[0], rows, new_spacing[0]),
                resampled_size(old[1], columns, new_spacing[1]),
            )
            resample = RESAMPLE[mode]
            slices = [
                resample(to_slices(channel, frame), (rows, columns), new, new_spacing)
                for channel in channels(image)
            ]
            d[key] = traced(
                self,
                image,
                torch.from_numpy(np.stack(slices)),
                slices_to_array(volume.array.shape, frame, new, new_spacing),
                {"affine": volume.affine, "spacing_mm": new_spacing},
            )
        return d

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its slices put back on the volumes' grid."""
        d = dict(data)
        for key, mode in self.key_iterator(d, self.mode):
            done = self.pop_transform(d[key])
            affine = np.asarray(done[TraceKeys.EXTRA_INFO]["affine"], np.float64)
            rows, columns = (float(mm) for mm in done[TraceKeys.EXTRA_INFO]["spacing_mm"])
            size = tuple(int(length) for length in done[TraceKeys.ORIG_SIZE])
            frame = slice_frame(size, affine)
            resample, back = RESAMPLE[mode], (frame.spacing_mm[1], frame.spacing_mm[2])
            arrays = [
                from_slices(
                    resample(slices, (rows, columns), plane_shape(size, frame), back), frame
                )
                for slices in channels(d[key])
            ]
            d[key] = with_tensor(d[key], torch.from_numpy(np.stack(arrays)))
            d[key].affine = torch.from_numpy(affine)
        return d


def read(item: str | Path | Source | Volume) -> Volume:
    """Return the volume that `item` names, or is; see `ReadVolumed`."""
    if isinstance(item, Volume):
        return item
    from medcyclegan.io import read_source, read_volume

    return read_volume(Path(item)) if isinstance(item, str | Path) else read_source(item)


def _body_box_3d(volume: Volume, margin_mm: float) -> tuple[slice, ...]:
    frame = slice_frame(volume.array.shape, volume.affine)
    mask = from_slices(body_mask(to_slices(volume.array, frame)), frame)
    if not mask.any():
        return tuple(slice(0, length) for length in mask.shape)
    margins = [int(np.ceil(margin_mm / spacing)) for spacing in volume.spacing_mm]
    box = []
    for axis, margin in enumerate(margins):
        inside = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        first, last = int(inside[0]) - margin, int(inside[-1]) + margin
        box.append(slice(max(0, first), min(mask.shape[axis], last + 1)))
    return tuple(box)
