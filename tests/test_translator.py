"""Volumes in, volumes out: what the networks ask for, and nothing else, reaches the voxels."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medcyclegan.config import parse_model
from medcyclegan.domains import DIRECTIONS, Direction, Pair
from medcyclegan.errors import (
    CheckpointError,
    GeometryError,
    InputError,
    IntensityError,
    VolumeError,
)
from medcyclegan.intensity import Window, apply_change
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.translator import Translator
from medcyclegan.volume import Provenance, Volume

WINDOW = Window(-200, 600)
DOMAINS = Pair("contrast", "noncontrast")
OPTIONS: dict[str, Any] = {
    "window": WINDOW,
    "spacing_mm": 1.5,
    "neighbors": 1,
    "domains": DOMAINS,
}
SMALL = {
    "kind": "cyclegan",
    "output": "residual",
    "generator": {"kind": "unet", "filters": 3, "depth": 2, "norm": "instance"},
    "discriminator": {"kind": "patchgan", "filters": 2},
}


class Model(nn.Module):
    """A method whose generators do what a function says; it remembers the stacks it was shown."""

    def __init__(self, middle: Callable[[Tensor], Tensor], multiple: int = 4) -> None:
        super().__init__()
        self.generators = nn.ModuleDict({name: nn.Linear(1, 1) for name in DIRECTIONS})
        self.discriminators = nn.ModuleDict()
        self.middle = middle
        self.multiple = multiple
        self.seen: list[Tensor] = []

    def generator_losses(self, real: Pair[Tensor]) -> tuple[dict[str, Tensor], Pair[Tensor]]:
        raise NotImplementedError

    def discriminator_losses(self, real: Pair[Tensor], fake: Pair[Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def translate(
        self, slices: Tensor, direction: Direction, *, style: Tensor | None = None
    ) -> Tensor:
        assert not self.training
        assert slices.dtype == torch.float32
        self.seen.append(slices.clone())
        return self.middle(slices)


def unchanged(slices: Tensor) -> Tensor:
    channel = slices.shape[1] // 2
    return slices[:, channel : channel + 1]


def raised_by(hu: float) -> Callable[[Tensor], Tensor]:
    return lambda slices: unchanged(slices) + hu / (WINDOW.width_hu / 2)


def translator(middle: Callable[[Tensor], Tensor] = unchanged, **options: Any) -> Translator:
    multiple = options.pop("multiple", 4)
    return Translator(Model(middle, multiple), **(OPTIONS | options))


def shown_to(translator: Translator) -> Tensor:
    model = translator.model
    assert isinstance(model, Model)
    return torch.cat(model.seen)


def axial_affine(spacing: tuple[float, float, float] = (1.0, 1.0, 5.0)) -> npt.NDArray[np.float64]:
    """Return the affine of a scanner's usual order: I left, J back, K head."""
    return np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])


def body(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.int16]:
    """Return noise of all values a CT knows around an off-centre block."""
    generator = np.random.default_rng(seed)
    hu = generator.integers(-1024, -900, shape)
    inside = tuple(slice(n // 5, max(1, n * 3 // 4)) for n in shape[:2])
    hu[inside] = generator.integers(-300, 1500, hu[inside].shape)
    return hu.astype(np.int16)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Volumes of any order of axes, spacing, tilt, size from one voxel, and type."""
    shape = draw(st.tuples(*[st.integers(1, 17)] * 3))
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 6.0)] * 3))
    angle = draw(st.floats(-0.6, 0.6))
    matrix = np.zeros((3, 3))
    for axis in range(3):
        matrix[order[axis], axis] = signs[axis] * spacing[axis]
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ matrix
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    kind = draw(st.sampled_from([np.int16, np.int32, np.float32, np.uint16]))
    array = body(shape, draw(st.integers(0, 100)))
    if kind is np.uint16:
        array = array.clip(0)
    array = array.astype(kind)
    if kind is np.float32:
        array = (array + np.float32(0.37)).astype(np.float32)
    return Volume(array, affine)


@settings(max_examples=60, deadline=None)
@given(
    volumes(),
    st.sampled_from([None, 0.7, 1.5]),
    st.sampled_from([1, 3]),
    st.sampled_from(DIRECTIONS),
    st.sampled_from([1.0, 0.3]),
)
def test_a_generator_that_changes_nothing_gives_the_input_back_bit_for_bit(
    volume: Volume,
    spacing_mm: float | None,
    neighbors: int,
    direction: Direction,
    strength: float,
) -> None:
    made = translator(spacing_mm=spacing_mm, neighbors=neighbors).translate(
        volume, direction, strength=strength
    )
    assert np.array_equal(made.array, volume.array)
    assert np.array_equal(made.affine, volume.affine)
    if volume.array.dtype == np.float32:
        assert made.array.tobytes() == volume.array.tobytes()
    else:
        assert made.array.dtype == np.int16


@settings(max_examples=60, deadline=None)
@given(volumes(), st.sampled_from([None, 0.7, 1.5]), st.integers(-300, 300))
def test_a_constant_change_arrives_in_each_voxel_of_the_window_and_in_none_below(
    volume: Volume, spacing_mm: float | None, asked_hu: int
) -> None:
    made = translator(raised_by(asked_hu), spacing_mm=spacing_mm).translate(volume, "a_to_b")
    hu = volume.array.astype(np.float32)
    below = hu <= WINDOW.low_hu
    faded_in = (hu >= WINDOW.low_hu + 0.05 * WINDOW.width_hu) & (hu <= WINDOW.high_hu)
    step = 0.5 if volume.array.dtype.kind != "f" else 0.0
    assert np.array_equal(made.array[below], volume.array[below])
    assert np.abs(made.array - hu - asked_hu)[faded_in].max(initial=0) <= step + 1e-3
    expected = apply_change(hu, np.full_like(hu, asked_hu), WINDOW)
    assert np.abs(made.array - expected).max() <= step + 1e-2


def busy(slices: Tensor) -> Tensor:
    """Return something that knows rows from columns, up from down and each slice from the next."""
    rows = torch.linspace(-1, 1, slices.shape[2])[:, None]
    columns = torch.linspace(-1, 1, slices.shape[3]) ** 2
    blurred = nn.functional.avg_pool2d(slices, 3, 1, 1).roll(1, 2)
    first = blurred[:, :1] * 0.3 + unchanged(blurred) * 0.2
    return (unchanged(slices) + 0.2 * first + 0.1 * rows - 0.3 * columns).clamp(-1, 1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_a_files_axes_changes_nothing(order: tuple[int, int, int]) -> None:
    array, affine = body((23, 18, 5)), axial_affine((0.9, 1.1, 5.0))
    reference = translator(busy, neighbors=3).translate(Volume(array, affine), "a_to_b").array
    assert not np.array_equal(reference, array)
    for flips in itertools.product([False, True], repeat=3):
        turned, matrix = _reordered(array, affine, order, flips)
        made = translator(busy, neighbors=3).translate(Volume(turned, matrix), "a_to_b")
        expected, _ = _reordered(reference, affine, order, flips)
        assert np.array_equal(made.array, expected)


def _reordered(
    array: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    order: tuple[int, int, int],
    flips: tuple[bool, ...],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    matrix = affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:3, 3] += matrix[:3, axis] * (array.shape[axis] - 1)
            matrix[:3, axis] *= -1
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    return array[steps].transpose(order), matrix[:, [*order, 3]]


@pytest.mark.parametrize("spacing", [0.6, 1.5, 2.9])
def test_the_change_lands_where_it_was_asked_for(spacing: float) -> None:
    hu = np.full((61, 50, 1), 0, np.float32)
    hu[12:27, 30:44] = 300
    water = float(WINDOW.to_unit(np.float32(0)))
    lowered = translator(lambda x: x - (x - water) / 3, multiple=16, size=32)
    volume = Volume(hu, axial_affine((spacing, spacing * 1.3, 3.0)))
    change = lowered.translate(volume, "a_to_b").array - hu
    block = hu == 300
    for axis in (0, 1):
        index = np.indices(hu.shape)[axis]
        assert np.average(index, weights=change) == pytest.approx(index[block].mean(), abs=0.1)
    assert change[17:22, 35:39] == pytest.approx(-100, abs=0.01)
    assert change[40:, :20] == pytest.approx(0, abs=0.01)


def test_networks_see_the_whole_slice_head_on_padded_with_air() -> None:
    array = np.full((7, 5, 2), -1000, np.int16)
    array[0, 2, :] = 600  # I grows to the left: this is on the right side, in the middle row
    array[3, 0, :] = 200  # J grows to the back: this is in front
    knows = translator(multiple=8, spacing_mm=None, size=9)
    knows.translate(Volume(array, axial_affine()), "a_to_b")
    seen = shown_to(knows)
    assert seen.shape == (2, 1, 16, 16)
    assert seen[0, 0].max(dim=1).values.argmax() == 5 + 2  # rows: five, padded five before
    assert seen[0, 0].max(dim=0).values.argmax() == 4 + 0  # columns: seven, padded four before
    assert seen[0, 0, 5, 4 + 3] == 0
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[5:10, 4:11] = True
    assert (seen[:, 0, ~inside] == -1).all()


def test_stacks_hold_the_slices_below_and_above() -> None:
    array = np.full((4, 4, 6), 100, np.int16)
    array += np.arange(6, dtype=np.int16) * 10
    below = translator(lambda slices: slices[:, :1], neighbors=3, spacing_mm=None)
    volume = Volume(array, axial_affine())
    for batch_size in (1, 4, 100):
        made = below.translate(volume, "a_to_b", batch_size=batch_size)
        assert made.array[0, 0].tolist() == [100, 100, 110, 120, 130, 140]
    feet_first = Volume(array, axial_affine() * [1, 1, -1, 1])  # K now grows toward the feet
    assert below.translate(feet_first, "a_to_b").array[0, 0].tolist() == [
        110, 120, 130, 140, 150, 150
    ]  # fmt: skip


def test_slices_of_air_do_not_pass_the_networks() -> None:
    array = np.full((6, 6, 5), -1000, np.int16)
    array[2, 2, 3] = 50
    array[2, 3, 1] = -200  # the window's lower end is air to the networks
    lazy = translator(raised_by(50))
    reported: list[tuple[int, int]] = []
    volume = Volume(array, axial_affine())
    made = lazy.translate(volume, "a_to_b", report=lambda *done: reported.append(done))
    assert len(shown_to(lazy)) == 1
    assert reported == [(1, 1)]
    assert np.flatnonzero(made.array != array).tolist() == np.flatnonzero(array == 50).tolist()


def test_there_is_no_cliff_at_the_windows_edges() -> None:
    ramp = np.arange(-400, 1200, dtype=np.float32).reshape(1, -1, 1)
    volume = Volume(np.repeat(ramp, 3, axis=0), axial_affine())
    for asked_hu in (-300, -60, 120):
        made = translator(raised_by(asked_hu), spacing_mm=None).translate(volume, "a_to_b").array
        change = made[1, :, 0] - ramp[0, :, 0]
        steps = np.abs(np.diff(change))
        assert steps.max() <= 1.5 * abs(asked_hu) / (0.05 * WINDOW.width_hu) + 0.01
        assert np.array_equal(change[:200], np.zeros(200))


def test_strength_is_the_share_of_the_change() -> None:
    volume = Volume(body((9, 8, 2)).astype(np.float32), axial_affine())
    lowering = translator(raised_by(-200))
    full = lowering.translate(volume, "a_to_b").array - volume.array
    half = lowering.translate(volume, "a_to_b", strength=0.5).array - volume.array
    none = lowering.translate(volume, "a_to_b", strength=0.0).array
    assert half == pytest.approx(full / 2, abs=1e-3)
    assert np.array_equal(none, volume.array)
    for wrong in (-0.1, 2.1, 1e39, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"--strength .*from 0 to 2"):
            lowering.translate(volume, "a_to_b", strength=wrong)


def test_whole_hu_stay_whole_and_saturate() -> None:
    array = np.array([32760, 300, -200, -1024], np.int32).reshape(2, 2, 1)
    upward = translator(raised_by(100.4))
    made = upward.translate(Volume(array, axial_affine()), "a_to_b").array
    assert made.dtype == np.int16
    assert made.ravel().tolist() == [32767, 400, -200, -1024]
    array[0, 0, 0] = 40000
    wide = upward.translate(Volume(array, axial_affine()), "a_to_b").array
    assert wide.dtype == np.int32
    assert wide.ravel().tolist() == [40100, 400, -200, -1024]


def test_voxels_that_do_not_change_keep_even_what_float32_cannot_hold() -> None:
    whole = np.array([2**24 + 1, 300, 0, -1024], np.int32).reshape(2, 2, 1)
    zeros = np.array([-0.0, 0.0, 300.0, -1024.0], np.float32).reshape(2, 2, 1)
    for array in (whole, zeros):
        made = translator().translate(Volume(array, axial_affine()), "a_to_b").array
        assert made.tobytes() == array.tobytes()


def test_bone_and_metal_keep_their_hu_where_the_networks_leave_them_alone() -> None:
    array = np.array([700, 1200, 3000, 601], np.int16).reshape(2, 2, 1)
    soft = translator(lambda x: torch.where(x < 0.99, x - 0.2, x), spacing_mm=None)
    made = soft.translate(Volume(array, axial_affine()), "a_to_b").array
    assert np.array_equal(made, array)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_the_batch_size_changes_no_voxel(norm: str) -> None:
    torch.manual_seed(3)
    generator = {"kind": "resnet", "filters": 6, "blocks": 2, "norm": norm}
    model = make_model(parse_model(SMALL | {"generator": generator, "output": "direct"}), 3)
    knows = Translator(model, window=WINDOW, spacing_mm=None, neighbors=3, domains=DOMAINS)
    volume = Volume(body((40, 37, 7)), axial_affine())
    made = [knows.translate(volume, "b_to_a", batch_size=n).array for n in (1, 2, 3, 8)]
    assert not np.array_equal(made[0], volume.array)
    for other in made[1:]:
        assert np.array_equal(other, made[0])


def test_direct_output_within_one_hu_and_only_at_its_own_spacing() -> None:
    volume = Volume(body((20, 20, 3)), axial_affine((1.506, 1.494, 4.0)))
    rounded = translator(lambda x: unchanged(x) + 1e-4, output="direct")
    made = rounded.translate(volume, "a_to_b")
    assert np.abs(made.array.astype(int) - volume.array).max() <= 1
    assert shown_to(rounded).shape[-2:] == (20, 20)  # one percent is not resampled
    coarse = Volume(volume.array, axial_affine((1.6, 1.5, 4.0)))
    with pytest.raises(GeometryError, match=r"1\.5 x 1\.6 mm.*direct output.*1\.5 mm"):
        rounded.translate(coarse, "a_to_b")
    translator(output="direct", spacing_mm=None).translate(coarse, "a_to_b")


def test_voxels_that_are_no_number_are_refused() -> None:
    array = np.zeros((2, 2, 2), np.float32)
    array[0, 0, 0] = np.nan
    with pytest.raises(IntensityError, match="not finite"):
        translator().translate(Volume(array, axial_affine()), "a_to_b")


def test_networks_that_give_no_number_are_refused() -> None:
    broken = translator(lambda x: unchanged(x) / 0 * 0)
    with pytest.raises(InputError, match="not finite"):
        broken.translate(Volume(np.zeros((2, 2, 2), np.int16), axial_affine()), "a_to_b")


@pytest.mark.parametrize(("asked_hu", "strength"), [(1e39, 1.0), (3e38, 2.0)])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_numbers_too_large_to_hold_are_refused(
    asked_hu: float, strength: float, kind: type
) -> None:
    ct = Volume(np.full((2, 2, 2), 40, kind), axial_affine())
    with pytest.raises(VolumeError, match="not finite"):
        translator(raised_by(asked_hu)).translate(ct, "a_to_b", strength=strength)


def test_a_check_refuses_what_translation_would() -> None:
    own = axial_affine((1.5, 1.5, 4.0))
    direct = translator(output="direct")
    direct.check(Volume(body((4, 4, 2)), own))
    for array, affine in (
        (body((4, 4, 2)), axial_affine((1.6, 1.5, 4.0))),
        (np.full((4, 4, 2), np.nan, np.float32), own),
    ):
        volume = Volume(array, affine)
        with pytest.raises(VolumeError) as checked:
            direct.check(volume)
        with pytest.raises(VolumeError) as translated:
            direct.translate(volume, "a_to_b")
        assert str(checked.value) == str(translated.value)
    assert isinstance(direct.model, Model)
    assert not direct.model.seen


def test_the_provenance_names_model_and_direction_and_keeps_the_rest() -> None:
    provenance = Provenance(
        path=Path("ct.nii.gz"),
        format="nifti",
        patient="p1",
        tags={"agent": "x"},
        qform_code=2,
        sform_code=4,
        warnings=("odd",),
    )
    volume = Volume(body((4, 4, 2)), axial_affine(), provenance)
    made = translator(identity="abc").translate(volume, "b_to_a").provenance
    assert made.tags == {
        "agent": "x",
        "model": "abc",
        "direction": "b_to_a",
        "domain": "contrast",
    }
    assert (made.path, made.qform_code, made.sform_code) == (Path("ct.nii.gz"), 2, 4)
    assert volume.provenance.tags == {"agent": "x"}


def test_a_model_in_training_is_left_as_it_was() -> None:
    knows = translator()
    assert isinstance(knows.model, nn.Module)
    knows.model.train()
    knows.translate(Volume(body((4, 4, 2)), axial_affine()), "a_to_b")
    assert knows.model.training
    assert all(module.training for module in knows.model.modules())


def test_weights_name_the_model_where_no_hash_is_given() -> None:
    model = Model(unchanged)
    first = Translator(model, **OPTIONS).identity
    assert len(first) == 64
    assert Translator(model, **OPTIONS).identity == first
    with torch.no_grad():
        next(model.generators.parameters()).add_(1)
    assert Translator(model, **OPTIONS).identity != first


def test_names_that_lead_out_of_the_folder_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"domain '\.\./x'"):
        translator(domains=Pair("a", "../x"))


def test_memory_is_the_result_and_a_batch() -> None:
    array = np.full((128, 128, 400), 40, np.int16)
    knows = translator(raised_by(10), spacing_mm=None)
    model = knows.model
    assert isinstance(model, Model)
    model.seen = _Forgetful()
    tracemalloc.start()
    try:
        knows.translate(Volume(array, axial_affine()), "a_to_b", batch_size=4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * array.nbytes  # as float32 the volume alone would be twice its size


class _Forgetful(list[Tensor]):
    def append(self, item: Tensor) -> None:
        """Keep nothing."""


# ------------------------------------------------------------------------------ from disk


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run folder with a small untrained model."""
    torch.manual_seed(0)
    card = ModelCard(
        model=parse_model(SMALL).model_dump(),
        window=WINDOW,
        spacing_mm=1.5,
        size=16,
        neighbors=3,
        domains=DOMAINS,
        versions={},
    )
    folder = tmp_path / "run"
    save_model(folder / "model", make_model(parse_model(SMALL), 3), card)
    return folder


def test_a_run_a_model_folder_or_its_weights_give_the_same_translator(run: Path) -> None:
    volume = Volume(body((12, 14, 4)), axial_affine())
    paths = [run, run / "model", run / "model" / "model.safetensors"]
    made = [Translator.load(path, "cpu") for path in paths]
    arrays = [one.translate(volume, "a_to_b").array for one in made]
    assert len({one.identity for one in made}) == 1
    assert np.array_equal(arrays[0], arrays[1])
    assert np.array_equal(arrays[0], arrays[2])
    assert (made[0].window, made[0].neighbors, made[0].size) == (WINDOW, 3, 16)
    assert (made[0].output, made[0].domains, made[0].spacing_mm) == ("residual", DOMAINS, 1.5)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", "no such run or model"),
        ("notes.txt", "is no model"),
        ("empty", "holds no model.json"),
        ("unfinished", "has no trained model yet"),
        ("alone/model.safetensors", "is no model"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, path: str, reason: str) -> None:
    for folder in ("empty", "unfinished", "alone"):
        (tmp_path / folder).mkdir()
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "unfinished" / "config.yaml").write_text("")
    (tmp_path / "alone" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=reason) as caught:
        Translator.load(tmp_path / path)
    assert str(tmp_path / path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_number_are_refused(run: Path) -> None:
    weights = run / "model" / "model.safetensors"
    state = safetensors.torch.load(weights.read_bytes())
    state[sorted(state)[0]].reshape(-1)[0] = float("nan")
    weights.write_bytes(safetensors.torch.save(state))
    with pytest.raises(CheckpointError):
        Translator.load(run)
    model = Model(unchanged)
    torch.nn.init.constant_(next(model.generators.parameters()), float("inf"))
    with pytest.raises(CheckpointError, match="not finite"):
        Translator(model, **OPTIONS)


def test_a_device_that_is_not_there_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="device 'warp:9'"):
        Translator.load(run, "warp:9")


def test_a_card_can_be_read_by_people(run: Path) -> None:
    card = json.loads((run / "model" / "model.json").read_text())
    assert card["domains"] == {"a": "contrast", "b": "noncontrast"}
