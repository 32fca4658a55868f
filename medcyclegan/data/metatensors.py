"""Volumes as MONAI `MetaTensor`s and back."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform

from medcyclegan.errors import GeometryError
from medcyclegan.volume import Affine, Volume


def to_metatensor(volume: Volume) -> MetaTensor:
    """Return a volume as a `MetaTensor` (1, I, J, K) in HU, float32, with affine and meta data."""
    provenance = volume.provenance
    meta = {
        "filename_or_obj": "" if provenance.path is None else str(provenance.path),
        "original_affine": volume.affine.copy(),
        "spatial_shape": np.asarray(volume.array.shape),
        "space": "RAS",
        "format": provenance.format,
        "patient": provenance.patient,
        "qform_code": provenance.qform_code,
        "sform_code": provenance.sform_code,
    }
    hu = torch.from_numpy(np.array(volume.array[None], np.float32))
    return MetaTensor(hu, affine=torch.from_numpy(np.array(volume.affine)), meta=meta)


def to_volume(image: MetaTensor) -> Volume:
    """Return the first channel of a `MetaTensor` (C, I, J, K) as a volume.

    Raises:
        TypeError: `image` is no `MetaTensor`: a bare array has no place in the patient.
        GeometryError: it has not the four axes (C, I, J, K), or no right-angled grid.
    """
    if not isinstance(image, MetaTensor):
        raise TypeError(
            f"got {type(image).__name__}, need a MetaTensor with an affine: "
            "read it with ReadVolumed or MONAI's LoadImaged"
        )
    if image.ndim != 4:
        raise GeometryError(
            f"has shape {tuple(image.shape)}, need (C, I, J, K): a slice is a volume (C, I, J, 1)"
        )
    return Volume(channels(image)[0], image.affine.cpu().numpy().astype(np.float64))


def channels(image: MetaTensor) -> npt.NDArray[Any]:
    """Return the values of a `MetaTensor` as an array on the CPU, channel first."""
    array: npt.NDArray[Any] = image.as_tensor().detach().cpu().numpy()
    return array


def with_tensor(
    image: MetaTensor, tensor: torch.Tensor, index_change: Affine | None = None
) -> MetaTensor:
    """Return `tensor` with the meta data, applied operations and device of `image`.

    Args:
        image: where the meta data come from.
        tensor: the new values, channel first.
        index_change: 4x4, index in `tensor` -> index in `image`; None where they are the same.
    """
    result = MetaTensor(
        tensor.to(image.device),
        meta=deepcopy(image.meta),
        applied_operations=image.applied_operations,
    )
    if index_change is not None:
        result.affine = image.affine @ torch.from_numpy(index_change).to(image.affine)
    return result


def traced(
    transform: InvertibleTransform,
    image: MetaTensor,
    tensor: torch.Tensor,
    index_change: Affine | None = None,
    extra_info: dict[str, Any] | None = None,
) -> MetaTensor:
    """Return what `transform` made of `image`, with the step written down for its inverse.

    Args:
        transform: which transform it was.
        image: what it was given.
        tensor: what it made of it, channel first.
        index_change: 4x4, index in `tensor` -> index in `image`; None where they are the same.
        extra_info: what the inverse needs to know besides the shape of `image`.
    """
    return transform.push_transform(
        with_tensor(image, tensor),
        affine=index_change,
        orig_size=tuple(image.shape[1:]),
        extra_info=extra_info,
    )


def shift(start: Sequence[int]) -> Affine:
    """Return the 4x4 map from indices of a crop to those of the whole, cut from at `start`."""
    matrix = np.eye(4)
    matrix[:3, 3] = start
    return matrix
