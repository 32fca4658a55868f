"""The arms of the protocol: what a segmentation network is trained on beside labelled scans."""

from __future__ import annotations

from typing import Literal, NamedTuple

from medcyclegan.config.segmentation import ProtocolConfig

Variant = Literal["histogram_matching", "label_shift", "twin", "translated"]
Source = Variant | Literal["on_the_fly"] | None


class Arm(NamedTuple):
    """One way to train.

    Args:
        title: what tables call it.
        second: what the second domain's batches hold, the labels being those of the first: a
            variant of the labelled scans made beforehand, a translation of each sample as it is
            drawn, or nothing.
        moved: whether samples are turned, scaled and shifted at random.
        intensity: which random changes of grey values, a key of `INTENSITIES`; empty for none.
        about: what to know of it, one sentence.
    """

    title: str
    second: Source
    moved: bool
    intensity: str
    about: str


ARMS: dict[str, Arm] = {
    "nothing": Arm("no augmentation", None, False, "", "Labelled scans as they are."),
    "standard": Arm(
        "standard augmentation",
        None,
        True,
        "mild",
        "Rotation, scale, shift, and a little noise, contrast and gamma; all arms below have these "
        "too, unless they say strong.",
    ),
    "strong": Arm(
        "strong intensity",
        None,
        True,
        "strong",
        "Noise, resolution, brightness, contrast and gamma as hard as nnU-Net's, and random "
        "curves of grey values, falling ones among them.",
    ),
    "histogram_matching": Arm(
        "histogram matching",
        "histogram_matching",
        True,
        "mild",
        "A second domain: labelled scans sent through the curve that gives their pooled voxels "
        "the other domain's distribution.",
    ),
    "label_shift": Arm(
        "label-wise shift",
        "label_shift",
        True,
        "mild",
        "A second domain: each organ of the labelled scans shifted by the difference of the "
        "domains' mean HU in it, which is taken from labels of the other domain that no other "
        "arm is told.",
    ),
    "cyclegan_offline": Arm(
        "CycleGAN, offline",
        "translated",
        True,
        "mild",
        "A second domain: labelled scans translated once, as `medcyclegan augment` does.",
    ),
    "cyclegan_on_the_fly": Arm(
        "CycleGAN, on the fly",
        "on_the_fly",
        True,
        "mild",
        "A second domain: each sample translated as it is drawn, by a random share of the change.",
    ),
    "cyclegan_strong": Arm(
        "CycleGAN and strong intensity",
        "translated",
        True,
        "strong",
        "Offline translations, and strong intensity changes in both domains.",
    ),
    "oracle": Arm(
        "oracle",
        "twin",
        True,
        "mild",
        "A second domain: true scans of the same patients in the other phase; what a perfect "
        "translation would give.",
    ),
}


def variants_of(config: ProtocolConfig) -> list[Variant]:
    """Return the variants of labelled scans that the arms of a protocol need, each once."""
    wanted: list[Variant] = []
    for name in config.arms:
        second = ARMS[name].second
        if second is not None and second != "on_the_fly" and second not in wanted:
            wanted.append(second)
    return wanted


def domains_of(arm: Arm) -> int:
    """Return how many domains an arm's batches alternate between."""
    return 1 if arm.second is None else 2
