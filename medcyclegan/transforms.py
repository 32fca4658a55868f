"""The public MONAI dictionary transforms.

Those that feed training, for any pipeline that wants the same slices: `ReadVolumed`,
`BodyCropd`, `ExtractSlicesd`, `WindowHUd`; and those that take a trained model into one:
`TranslateDomaind` and `RandTranslateDomaind`. All stand next to MONAI's own in a `Compose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform, RandomizableTransform

from medcyclegan.data.metatensors import to_volume, with_tensor
from medcyclegan.data.transforms import BodyCropd, ExtractSlicesd, ReadVolumed, WindowHUd
from medcyclegan.domains import direction_into
from medcyclegan.errors import GeometryError
from medcyclegan.translator import Translator

__all__ = [
    "BodyCropd",
    "ExtractSlicesd",
    "RandTranslateDomaind",
    "ReadVolumed",
    "TranslateDomaind",
    "WindowHUd",
]


class TranslateDomaind(MapTransform):
    """CT volumes as they would look in another domain, on their own grid.

    Takes and gives `MetaTensor` (1, I, J, K) in HU, any orientation and spacing, before it is
    windowed or scaled; a single slice is (1, I, J, 1). Affine, meta data, applied operations,
    device and floating-point type stay as they are. A label map needs no transform: anatomy
    does not move.

    Args:
        keys: what to translate.
        translator: a `Translator`, or the path of a run folder, a model folder or its
            `.safetensors`. A path is opened at the first call, once in each worker process.
        to: the domain to translate into, by the user's name for it.
        strength: share of the change that is applied, 0 to 2; 1 is what the model asks for.
        device: where the networks run if a path was given; "cpu" is right for `DataLoader` workers.
        allow_missing_keys: pass over keys that are not there.

    Raises:
        InputError: when called, if the model knows no domain `to`, or `strength` is no share.
        CheckpointError: when called, if there is no model at the path.
        TypeError: when called, for what is no `MetaTensor`.
        GeometryError: when called, for what is no single-channel volume.
    """

    def __init__(
        self,
        keys: KeysCollection,
        translator: Translator | str | Path,
        to: str,
        *,
        strength: float = 1.0,
        device: str = "cpu",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.translator = translator
        self.to = to
        self.strength = strength
        self.device = device
        self._opened: Translator | None = None

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data` with its volumes translated."""
        return self.translate(data, self.strength)

    def translate(self, data: Mapping[Any, Any], strength: float) -> dict[Any, Any]:
        """Return `data` with its volumes translated by `strength` instead of the one given."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self._translated(d[key], strength)
        return d

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled to a worker: of a model given by path, the path alone."""
        return self.__dict__ | {"_opened": None}

    def _open(self) -> Translator:
        if isinstance(self.translator, Translator):
            return self.translator
        if self._opened is None:
            self._opened = Translator.load(Path(self.translator), device=self.device)
        return self._opened

    def _translated(self, image: MetaTensor, strength: float) -> MetaTensor:
        volume = to_volume(image)
        if len(image) != 1:
            raise GeometryError(f"has {len(image)} channels, need one: CT in HU, (1, I, J, K)")
        translator = self._open()
        direction = direction_into(self.to, translator.domains)
        array = translator.translate(volume, direction, strength=strength).array
        tensor = torch.from_numpy(np.ascontiguousarray(array)[None])
        return with_tensor(image, tensor.to(image.dtype) if image.is_floating_point() else tensor)


class RandTranslateDomaind(RandomizableTransform, MapTransform):
    """CT volumes translated into another domain, at random: augmentation inside a pipeline.

    Draws from `self.R`, so MONAI's `set_random_state` and `set_determinism` hold, then leaves the
    work to `TranslateDomaind`. All keys of one call share the draw.

    Args:
        keys: what to translate; see `TranslateDomaind`.
        translator: a `Translator` or the path of a run or model.
        to: the domain to translate into, by the user's name for it.
        prob: how often, from 0 to 1.
        strength: share of the change that is applied, or the two ends it is drawn between.
        device: where the networks run if a path was given.
        allow_missing_keys: pass over keys that are not there.

    Raises:
        As `TranslateDomaind`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        translator: Translator | str | Path,
        to: str,
        *,
        prob: float = 0.5,
        strength: float | Sequence[float] = 1.0,
        device: str = "cpu",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.translate_domain = TranslateDomaind(
            keys, translator, to, device=device, allow_missing_keys=allow_missing_keys
        )
        low, high = strength if isinstance(strength, Sequence) else (strength, strength)
        self.strength = (low, high)
        self._drawn_strength = 1.0

    def randomize(self, data: Any = None) -> None:
        """Draw whether to translate, and how strongly."""
        super().randomize(None)
        self._drawn_strength = float(self.R.uniform(*self.strength))

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return `data`, its volumes translated if the draw says so."""
        self.randomize()
        if not self._do_transform:
            return dict(data)
        return self.translate_domain.translate(data, self._drawn_strength)
