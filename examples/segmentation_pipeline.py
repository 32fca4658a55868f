"""Train a segmentation network on scans of which half are translated to another phase on the fly.

    python examples/segmentation_pipeline.py                    phantoms and an untrained model
    python examples/segmentation_pipeline.py runs/ct_contrast   phantoms and your trained run

The lines that matter are the `Compose` below: read, translate at random, cut into slices, window.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from monai.data import DataLoader, Dataset
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, LoadImaged, RandSpatialCropd

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.io import write_labels, write_volume
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.phantom import LABELS, make_case
from medcyclegan.transforms import ExtractSlicesd, RandTranslateDomaind, ReadVolumed, WindowHUd

EPOCHS = 2


def make_patients(folder: Path, count: int) -> list[dict[str, str]]:
    """Write phantom patients with contrast medium and their labels; return their paths."""
    patients = []
    for seed in range(count):
        case = make_case(seed, "venous", size=64, slices=8)
        image, label = folder / f"{seed}.nii.gz", folder / f"{seed}_label.nii.gz"
        write_volume(case.image, image)
        write_labels(case.labels, label, like=case.image)
        patients.append({"image": str(image), "label": str(label)})
    return patients


def make_untrained_model(folder: Path) -> Path:
    """Save a model that knows nothing yet; `medcyclegan train` makes one that does."""
    config = {
        "kind": "cyclegan",
        "output": "residual",
        "generator": {"kind": "resnet", "filters": 4, "blocks": 1},
        "discriminator": {"kind": "patchgan", "filters": 4},
    }
    card = ModelCard(
        model=config,
        window=Window(-200, 600),
        spacing_mm=6.0,
        size=64,
        neighbors=1,
        domains=Pair("contrast", "noncontrast"),
        versions={},
    )
    save_model(folder, make_model(parse_model(config)), card)
    return folder


def make_pipeline(model: Path) -> Compose:
    """Return the transforms from two files to what the segmentation network is fed."""
    both = ["image", "label"]
    return Compose(
        [
            ReadVolumed("image"),
            LoadImaged("label", reader="NibabelReader", ensure_channel_first=True),
            # Before windowing, in HU: every other scan loses its contrast medium, more or less.
            RandTranslateDomaind("image", model, to="noncontrast", prob=0.5, strength=(0.5, 1.0)),
            ExtractSlicesd(both, spacing_mm=6.0, mode=("linear", "nearest")),
            WindowHUd("image", low_hu=-200, high_hu=600),
            RandSpatialCropd(both, roi_size=(8, 48, 48), random_size=False),
        ]
    )


def train(patients: list[dict[str, str]], pipeline: Compose) -> None:
    """Train a small U-Net for two epochs."""
    torch.manual_seed(0)
    pipeline.set_random_state(0)
    loader = DataLoader(Dataset(patients, pipeline), batch_size=2, shuffle=True, num_workers=1)
    classes = max(LABELS.values()) + 1
    network = UNet(3, 1, classes, channels=(8, 16), strides=(2,))
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for epoch in range(EPOCHS):
        for batch in loader:
            loss = loss_of(network(batch["image"]), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            shape = tuple(batch["image"].shape)
            print(f"epoch {epoch}: batch {shape}, loss {loss.item():.3f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else make_untrained_model(scratch / "model")
        train(make_patients(scratch, 4), make_pipeline(run))
