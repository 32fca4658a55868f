"""A trained model inside a MONAI pipeline: same place, same meta data, drawn from `self.R`."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.spatial.dictionary import Orientationd

from medcyclegan import transforms
from medcyclegan.config import parse_model
from medcyclegan.data.metatensors import to_metatensor
from medcyclegan.domains import Pair
from medcyclegan.errors import CheckpointError, GeometryError, InputError
from medcyclegan.intensity import Window
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.transforms import (
    ExtractSlicesd,
    RandTranslateDomaind,
    ReadVolumed,
    TranslateDomaind,
    WindowHUd,
)
from medcyclegan.translator import Translator
from medcyclegan.volume import Volume

AFFINE = np.array([[-1.5, 0, 0, 20], [0, 0, 3, -30], [0, -1.5, 0, 9], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are random, and large enough to change what it sees."""
    config = {
        "kind": "cyclegan",
        "generator": {"kind": "unet", "filters": 3, "depth": 2},
        "discriminator": {"kind": "patchgan", "filters": 2},
    }
    torch.manual_seed(0)
    model = make_model(parse_model(config))
    with torch.no_grad():
        for parameter in model.generators.parameters():
            parameter.normal_(0, 0.3)
    card = ModelCard(
        model=config | {"output": "residual"},
        window=Window(-200, 600),
        spacing_mm=1.5,
        size=16,
        neighbors=1,
        domains=Pair("contrast", "noncontrast"),
        versions={},
    )
    folder = tmp_path_factory.mktemp("run") / "model"
    save_model(folder, model, card)
    return folder


@pytest.fixture(scope="module")
def translator(model_folder: Path) -> Translator:
    return Translator.load(model_folder, device="cpu")


def volume() -> Volume:
    array = np.random.default_rng(0).integers(0, 400, (14, 12, 6)).astype(np.int16)
    return Volume(array, AFFINE)


def image() -> MetaTensor:
    return to_metatensor(volume())


def test_a_volume_is_translated_as_the_translator_does_it(translator: Translator) -> None:
    data: dict[str, Any] = {"ct": image(), "label": "untouched"}
    translated = TranslateDomaind("ct", translator, "noncontrast")(data)
    expected = translator.translate(Volume(image()[0].numpy(), AFFINE), "a_to_b").array
    np.testing.assert_array_equal(translated["ct"][0].numpy(), expected)
    assert not torch.equal(translated["ct"].as_tensor(), image().as_tensor())
    assert translated["label"] == "untouched"
    assert torch.equal(data["ct"].as_tensor(), image().as_tensor()), "the input is left alone"


def test_to_chooses_the_direction(translator: Translator) -> None:
    into = {
        to: TranslateDomaind("ct", translator, to)({"ct": image()})["ct"].as_tensor()
        for to in translator.domains
    }
    assert not torch.equal(into["contrast"], into["noncontrast"])
    with pytest.raises(InputError, match="arterial"):
        TranslateDomaind("ct", translator, "arterial")({"ct": image()})


def test_affine_meta_data_and_applied_operations_stay(translator: Translator) -> None:
    pipeline = Compose(
        [
            ReadVolumed("ct"),
            Orientationd("ct", "SRA", labels=None),
            TranslateDomaind("ct", translator, "noncontrast"),
        ]
    )
    before = Compose(pipeline.transforms[:2])({"ct": volume()})["ct"]
    translated = pipeline({"ct": volume()})
    np.testing.assert_array_equal(translated["ct"].affine, before.affine)
    assert translated["ct"].meta.keys() == before.meta.keys()
    assert len(translated["ct"].applied_operations) == len(before.applied_operations) == 1
    back = pipeline.inverse(translated)["ct"]
    np.testing.assert_allclose(back.affine.numpy(), AFFINE)
    direct = TranslateDomaind("ct", translator, "noncontrast")({"ct": image()})["ct"]
    np.testing.assert_allclose(back.numpy(), direct.numpy(), atol=0.01)


def test_the_type_of_the_voxels_stays(translator: Translator) -> None:
    translate = TranslateDomaind("ct", translator, "noncontrast")
    whole = MetaTensor(torch.from_numpy(volume().array)[None], affine=torch.from_numpy(AFFINE))
    assert translate({"ct": whole})["ct"].dtype == torch.int16
    assert translate({"ct": image().double()})["ct"].dtype == torch.float64
    assert translate({"ct": image()})["ct"].dtype == torch.float32


def test_strength_scales_the_change(translator: Translator) -> None:
    changes = [
        TranslateDomaind("ct", translator, "noncontrast", strength=strength)({"ct": image()})["ct"]
        .sub(image())
        .as_tensor()
        for strength in (0.0, 0.5, 1.0)
    ]
    assert not changes[0].any()
    torch.testing.assert_close(2 * changes[1], changes[2], atol=0.01, rtol=0)


def test_what_is_no_volume_in_place_is_refused(translator: Translator) -> None:
    translate = TranslateDomaind("ct", translator, "noncontrast")
    with pytest.raises(TypeError, match="MetaTensor"):
        translate({"ct": torch.zeros(1, 8, 8, 8)})
    with pytest.raises(GeometryError, match=r"\(C, I, J, 1\)"):
        translate({"ct": MetaTensor(torch.zeros(1, 8, 8))})
    with pytest.raises(GeometryError, match="2 channels"):
        translate({"ct": MetaTensor(torch.zeros(2, 8, 8, 8))})
    with pytest.raises(KeyError):
        translate({})
    allowed = TranslateDomaind("ct", translator, "noncontrast", allow_missing_keys=True)
    assert allowed({"label": 1}) == {"label": 1}


def test_a_path_is_opened_at_the_first_call(model_folder: Path, translator: Translator) -> None:
    expected = TranslateDomaind("ct", translator, "noncontrast")({"ct": image()})["ct"]
    for path in (model_folder, str(model_folder), model_folder.parent):
        from_path = TranslateDomaind("ct", path, "noncontrast")
        assert torch.equal(from_path({"ct": image()})["ct"].as_tensor(), expected.as_tensor())
        assert copy.copy(from_path)._opened is None, "a worker is sent the path alone"
    missing = TranslateDomaind("ct", "no/such/run", "noncontrast")
    with pytest.raises(CheckpointError, match="no/such/run"):
        missing({"ct": image()})


def test_random_translation_draws_from_its_own_state(translator: Translator) -> None:
    def drawn(seed: int) -> list[float]:
        transform = RandTranslateDomaind(
            "ct", translator, "noncontrast", prob=0.5, strength=(0.25, 1.0)
        )
        transform.set_random_state(seed)
        whole = TranslateDomaind("ct", translator, "noncontrast")({"ct": image()})["ct"]
        change = float((whole - image()).abs().mean())
        results = [transform({"ct": image()})["ct"] for _ in range(24)]
        return [float((result - image()).abs().mean()) / change for result in results]

    strengths = drawn(1)
    assert strengths == drawn(1)
    assert strengths != drawn(2)
    applied = [strength for strength in strengths if strength]
    assert 6 <= len(applied) <= 18
    assert all(0.24 < strength < 1.01 for strength in applied)
    assert len({round(strength, 2) for strength in applied}) > len(applied) / 2


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_never_and_always(translator: Translator, prob: float) -> None:
    transform = RandTranslateDomaind("ct", translator, "noncontrast", prob=prob)
    expected = image().as_tensor()
    if prob:
        expected = TranslateDomaind("ct", translator, "noncontrast")({"ct": image()})["ct"]
    for _ in range(3):
        assert torch.equal(transform({"ct": image()})["ct"].as_tensor(), torch.as_tensor(expected))


def test_all_keys_share_the_draw(translator: Translator) -> None:
    transform = RandTranslateDomaind(
        ["one", "two"], translator, "noncontrast", prob=0.5, strength=(0, 1)
    )
    transform.set_random_state(0)
    for _ in range(6):
        data = transform({"one": image(), "two": image()})
        assert torch.equal(data["one"].as_tensor(), data["two"].as_tensor())
    missing = RandTranslateDomaind(
        ["one", "two"], translator, "noncontrast", prob=1.0, allow_missing_keys=True
    )
    assert set(missing({"one": image()})) == {"one"}


def test_it_runs_in_workers_that_share_no_memory(model_folder: Path) -> None:
    translate = RandTranslateDomaind("ct", model_folder, "noncontrast", prob=1.0)
    pipeline = Compose(
        [ReadVolumed("ct"), translate, ExtractSlicesd("ct", 1.5), WindowHUd("ct", -200, 600)]
    )
    here: Any = pipeline({"ct": volume()})  # the model is open now; its path goes to the worker
    loader = DataLoader(
        Dataset([{"ct": volume()}] * 2, pipeline),
        batch_size=2,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    batch = next(iter(loader))["ct"]
    assert batch.shape == (2, *here["ct"].shape)
    torch.testing.assert_close(batch[1].as_tensor(), here["ct"].as_tensor())
    assert math.isclose(float(batch.max()), float(here["ct"].max()), abs_tol=1e-6)


def test_the_public_names_are_these() -> None:
    assert transforms.__all__ == [
        "BodyCropd",
        "ExtractSlicesd",
        "RandTranslateDomaind",
        "ReadVolumed",
        "TranslateDomaind",
        "WindowHUd",
    ]
    assert all(getattr(transforms, name).__doc__ for name in transforms.__all__)
