"""Volumes as MetaTensors and back: nothing lost, nothing shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.transforms.spatial.dictionary import Orientationd

from medcyclegan.data.metatensors import shift, to_metatensor, to_volume, with_tensor
from medcyclegan.volume import Volume

AFFINE = np.array([[0.0, -1.5, 0, 20], [0.7, 0, 0, -30], [0, 0, 3.3, 9], [0, 0, 0, 1.0]])


def volume() -> Volume:
    return Volume(np.arange(60, dtype=np.int16).reshape(5, 4, 3), AFFINE)


def test_volumes_survive_the_way_to_monai_and_back() -> None:
    back = to_volume(to_metatensor(volume()))
    np.testing.assert_array_equal(back.array, volume().array)
    np.testing.assert_array_equal(back.affine, AFFINE)
    assert back.orientation == volume().orientation


def test_the_tensor_is_a_copy() -> None:
    original = volume()
    to_metatensor(original).as_tensor().zero_()
    np.testing.assert_array_equal(original.array, volume().array)
    floating = Volume(original.array.astype(np.float32), AFFINE)
    to_metatensor(floating).as_tensor().zero_()
    assert floating.array.any()


def test_what_is_made_of_an_image_shares_no_meta_data_with_it() -> None:
    data: dict[Any, Any] = {"ct": to_metatensor(volume())}
    image: Any = Orientationd("ct", "RAS", labels=None)(data)["ct"]
    made = with_tensor(image, torch.zeros(1, 2, 2, 2))
    made.meta["patient"] = "another"
    made.applied_operations.clear()
    made.affine[0, 0] = 99
    assert image.meta["patient"] == ""
    assert len(image.applied_operations) == 1
    assert float(image.affine[0, 0]) != 99


def test_a_crop_lies_where_it_was_cut() -> None:
    image = to_metatensor(volume())
    crop = with_tensor(image, image.as_tensor()[:, 2:, 1:], shift((2, 1, 0)))
    assert torch.equal(crop.affine, image.affine @ torch.from_numpy(shift((2, 1, 0))))
    np.testing.assert_allclose(crop.affine[:3, 3], AFFINE[:3] @ [2, 1, 0, 1])
