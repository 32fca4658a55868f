"""The transforms that feed training: the same slices as the functions, and back again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import decollate_batch, list_data_collate
from monai.transforms.compose import Compose
from monai.transforms.spatial.dictionary import Orientationd, Spacingd

from medcyclegan.data.metatensors import to_metatensor, to_volume
from medcyclegan.data.transforms import BodyCropd, ExtractSlicesd, ReadVolumed, WindowHUd
from medcyclegan.errors import ConfigError, GeometryError
from medcyclegan.slices import resample_slices, resampled_size, slice_frame, to_slices
from medcyclegan.volume import Provenance, Volume

HU = st.floats(-200.0, 600.0, width=32)


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, int, int], npt.NDArray[np.float64]]:
    """A small shape and a right-angled affine of any axis order, direction and tilt."""
    shape = draw(st.tuples(*[st.integers(2, 9)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.5, 5.0)] * 3))
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    angle = np.radians(draw(st.floats(-30.0, 30.0)))
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, list(order)] * signs * spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300.0, 300.0)] * 3))
    return shape, affine


def noise(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 300, shape).astype(np.float32)


def image_of(array: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> MetaTensor:
    return to_metatensor(Volume(array, affine))


def patient(margin: int = 6) -> npt.NDArray[np.int16]:
    """A block of tissue in air, with a table behind it, LPS-like (I left, J back)."""
    array = np.full((40, 40, 12), -1000, np.int16)
    array[margin : 40 - margin, margin : 30 - margin, 2:9] = 40
    array[2:38, 37, :] = 200
    return array


def test_reading_gives_hu_affine_and_provenance_without_header_text() -> None:
    provenance = Provenance(format="phantom", patient="p1", tags={"SeriesDescription": "Secret"})
    affine = np.diag([-0.8, -0.7, 3.0, 1.0])
    volume = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), affine, provenance)
    image = ReadVolumed("ct")({"ct": volume, "other": 1})["ct"]
    assert image.shape == (1, 2, 3, 4)
    assert image.dtype == torch.float32
    assert image.meta["patient"] == "p1"
    assert "Secret" not in str(image.meta)
    np.testing.assert_array_equal(image[0].numpy(), volume.array)
    np.testing.assert_array_equal(image.affine.numpy(), affine)


def test_a_missing_key_is_an_error_unless_allowed() -> None:
    with pytest.raises(KeyError):
        ReadVolumed("ct")({})
    for transform in (
        ReadVolumed("ct", allow_missing_keys=True),
        WindowHUd("ct", -200, 600, allow_missing_keys=True),
        ExtractSlicesd("ct", allow_missing_keys=True),
    ):
        assert transform({"label": 1}) == {"label": 1}


@given(st.lists(HU, min_size=1, max_size=20))
def test_the_window_is_undone_inside_it(values: list[float]) -> None:
    window = WindowHUd("ct", -200, 600)
    unit = window({"ct": torch.tensor([values])})
    assert float(unit["ct"].abs().max()) <= 1
    back = window.inverse(unit)["ct"]
    np.testing.assert_allclose(back[0].numpy(), values, atol=1e-3)
    assert not back.applied_operations


def test_what_is_outside_the_window_comes_back_as_its_end() -> None:
    window = WindowHUd("ct", -200, 600)
    unit = window({"ct": torch.tensor([[-1024, 600, 3000]], dtype=torch.int16)})
    assert unit["ct"].tolist() == [[-1, 1, 1]]
    assert window.inverse(unit)["ct"].tolist() == [[-200, 600, 600]]
    with pytest.raises(ConfigError, match="low_hu"):
        WindowHUd("ct", 600, -200)


@given(grids(), st.none() | st.floats(0.7, 4.0))
def test_slices_are_those_of_the_functions_the_translator_uses(
    grid: tuple[tuple[int, int, int], npt.NDArray[np.float64]], spacing: float | None
) -> None:
    shape, affine = grid
    array = noise(shape)
    frame = slice_frame(shape, affine)
    source = to_slices(array, frame)
    wanted = (spacing or frame.spacing_mm[1], spacing or frame.spacing_mm[2])
    plane = (
        resampled_size(source.shape[1], frame.spacing_mm[1], wanted[0]),
        resampled_size(source.shape[2], frame.spacing_mm[2], wanted[1]),
    )
    expected = resample_slices(source, frame.spacing_mm[1:], plane, wanted)
    slices = ExtractSlicesd("ct", spacing)({"ct": image_of(array, affine)})["ct"]
    np.testing.assert_array_equal(slices[0].numpy(), expected)
    np.testing.assert_allclose(to_volume(slices).spacing_mm, (frame.spacing_mm[0], *wanted))


@given(grids(), st.none() | st.floats(0.7, 4.0))
def test_the_affine_of_slices_says_where_each_pixel_lies(
    grid: tuple[tuple[int, int, int], npt.NDArray[np.float64]], spacing: float | None
) -> None:
    shape, affine = grid
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    # A volume that holds its own x, y or z coordinate: each pixel tells where it thinks it lies.
    for axis in range(3):
        image = image_of(world[..., axis].astype(np.float32), affine)
        slices = ExtractSlicesd("ct", spacing)({"ct": image})["ct"]
        inner = [np.arange(n)[1:-1] if n > 4 else np.array([n // 2]) for n in slices.shape[1:]]
        if any(n <= 4 for n in slices.shape[2:]):
            return  # all edge: the last sample goes on there
        s, h, w = np.meshgrid(np.arange(slices.shape[1]), *inner[1:], indexing="ij")
        homogeneous = np.stack([s, h, w, np.ones_like(s)], -1).astype(np.float64)
        expected = (homogeneous @ slices.affine.numpy().T)[..., axis]
        reach = max(to_volume(slices).spacing_mm[1:]) + max(to_volume(image).spacing_mm)
        np.testing.assert_allclose(slices[0].numpy()[s, h, w], expected, atol=reach)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL", "PIR", "ARI"])
@pytest.mark.parametrize("spacing", [None, 1.0, 2.5])
def test_a_marker_lands_toward_the_back_and_the_left(
    orientation: str, spacing: float | None
) -> None:
    array = np.zeros((21, 21, 7), np.float32)
    array[10:, 10:, 3] = 1000  # LPS: to the left and the back of the middle
    data: dict[Any, Any] = {"ct": image_of(array, np.diag([-2.0, -2.0, 3.0, 1.0]))}
    data = Orientationd("ct", orientation, labels=None)(data)
    slices = ExtractSlicesd("ct", spacing)(data)["ct"][0].numpy()
    bright = slices[3] > 500
    middle = bright.shape[0] // 2
    assert bright[middle + 1 :, middle + 1 :].all()
    assert not bright[: middle - 1].any()
    assert not bright[:, : middle - 1].any()
    assert not np.delete(slices, 3, axis=0).any()


@given(grids())
def test_slices_that_were_not_resampled_go_back_bit_for_bit(
    grid: tuple[tuple[int, int, int], npt.NDArray[np.float64]],
) -> None:
    shape, affine = grid
    image = image_of(noise(shape), affine)
    extract = ExtractSlicesd("ct")
    back = extract.inverse(extract({"ct": image}))["ct"]
    assert torch.equal(back.as_tensor(), image.as_tensor())
    np.testing.assert_allclose(back.affine, image.affine)
    assert not back.applied_operations


def test_resampled_slices_go_back_to_the_grid_they_came_from() -> None:
    i, j, k = np.meshgrid(np.arange(30), np.arange(40), np.arange(5), indexing="ij")
    array = (100 * np.sin(i / 6) + 80 * np.cos(j / 7) + k).astype(np.float32)
    affine = np.diag([-0.9, -0.8, 3.0, 1.0])
    extract = ExtractSlicesd("ct", 1.1)
    back = extract.inverse(extract({"ct": image_of(array, affine)}))["ct"]
    assert back.shape == (1, 30, 40, 5)
    np.testing.assert_allclose(back.affine.numpy(), affine)
    np.testing.assert_allclose(back[0, 3:-3, 3:-3].numpy(), array[3:-3, 3:-3], atol=5)


def test_labels_keep_their_values_and_their_place() -> None:
    labels = np.zeros((24, 24, 4), np.int16)
    labels[4:12, 10:20] = 7
    image = image_of(labels, np.diag([-1.0, -1.0, 3.0, 1.0]))
    extract = ExtractSlicesd(["ct", "label"], 2.1, mode=("linear", "nearest"))
    data = extract({"ct": image, "label": image})
    assert set(np.unique(data["label"].numpy())) == {0, 7}
    index = np.stack(np.meshgrid(*map(np.arange, data["label"].shape[1:]), indexing="ij"), -1)
    change = np.linalg.inv(image.affine.numpy()) @ data["label"].affine.numpy()
    i, j, k = (index @ change[:3, :3].T + change[:3, 3]).round().astype(int).clip(0, 23).T
    expected = labels[i, j, k.clip(0, 3)].T
    assert (data["label"][0].numpy() == expected).all()
    assert (data["ct"][0].numpy()[expected == 7] > 1).all()
    back = extract.inverse(data)["label"]
    assert (back[0].numpy() == labels).mean() > 0.95


def test_several_channels_are_cut_alike() -> None:
    array = noise((6, 7, 5))
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    two = MetaTensor(torch.from_numpy(np.stack([array, -array])), affine=torch.from_numpy(affine))
    slices = ExtractSlicesd("ct", 1.5)({"ct": two})["ct"]
    assert torch.equal(slices[0].as_tensor(), -slices[1].as_tensor())


def test_the_body_crop_leaves_air_and_table_out_and_stays_in_place() -> None:
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    affine[:3, 3] = 50, 60, -100
    image = image_of(patient(), affine)
    crop = BodyCropd("ct", margin_mm=4.0)
    cropped = crop({"ct": image})["ct"]
    # Body: 6..33, 6..23, 2..8, with 2 pixels or 1 slice around it.
    assert cropped.shape == (1, 32, 22, 9)
    np.testing.assert_allclose(cropped.affine[:3, 3], affine[:3] @ [4, 4, 1, 1])
    np.testing.assert_array_equal(cropped[0].numpy(), patient()[4:36, 4:26, 1:10])
    back = crop.inverse({"ct": cropped})["ct"]
    assert back.shape == image.shape
    np.testing.assert_allclose(back.affine, image.affine)
    np.testing.assert_array_equal(back[0, 4:36, 4:26, 1:10].numpy(), cropped[0].numpy())
    assert back[0, 2, 37, 0] == -1000, "the table is gone, air is there instead"


def test_labels_are_cropped_with_their_image_and_refilled_with_background() -> None:
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    data = {"ct": image_of(patient(), affine), "label": image_of((patient() == 40) * 3, affine)}
    crop = BodyCropd(["ct", "label"], fill=(-1000, 0))
    cropped = crop(data)
    assert cropped["ct"].shape == cropped["label"].shape != data["ct"].shape
    back = crop.inverse(cropped)
    assert torch.equal(back["label"].as_tensor(), data["label"].as_tensor())


def test_a_volume_without_a_body_is_left_whole() -> None:
    air = image_of(np.full((8, 9, 4), -1000, np.int16), np.eye(4))
    assert BodyCropd("ct")({"ct": air})["ct"].shape == (1, 8, 9, 4)


def test_the_input_of_a_transform_is_left_alone() -> None:
    image = image_of(patient(), np.diag([-2.0, -2.0, 5.0, 1.0]))
    before, affine = image.as_tensor().clone(), image.affine.clone()
    Compose([BodyCropd("ct"), ExtractSlicesd("ct", 3.0), WindowHUd("ct", -200, 600)])({"ct": image})
    assert torch.equal(image.as_tensor(), before)
    assert torch.equal(image.affine, affine)
    assert not image.applied_operations


def test_bare_arrays_and_single_planes_are_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match="LoadImaged"):
        ExtractSlicesd("ct")({"ct": np.zeros((1, 4, 4, 4), np.float32)})
    with pytest.raises(GeometryError, match=r"\(C, I, J, 1\)"):
        ExtractSlicesd("ct")({"ct": MetaTensor(torch.zeros(1, 4, 4))})


def test_they_work_among_monais_own_in_a_loader_and_backwards() -> None:
    volumes = [Volume(patient(), np.diag([-2.0, -2.0, 5.0, 1.0])) for _ in range(2)]
    pipeline = Compose(
        [
            ReadVolumed("ct"),
            Orientationd("ct", "RAS", labels=None),
            Spacingd("ct", (3.0, 3.0, 5.0)),
            BodyCropd("ct"),
            ExtractSlicesd("ct", 3.0),
            WindowHUd("ct", -200, 600),
        ]
    )
    loader = DataLoader(
        Dataset([{"ct": volume} for volume in volumes], pipeline),
        batch_size=2,
        collate_fn=list_data_collate,
    )
    batch = next(iter(loader))["ct"]
    assert batch.shape[:2] == (2, 1)
    assert batch.ndim == 5
    assert float(batch.min()) == -1
    one = decollate_batch(next(iter(loader)))[1]
    back = pipeline.inverse(one)["ct"]
    assert back.shape == (1, 40, 40, 12)
    assert abs(float(back[0, 20, 15, 5]) - 40) < 1
    assert float(back[0, 20, 3, 5]) <= -200
