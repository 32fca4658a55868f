"""Volumes of two domains made ready: what trains, what validates, what is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from medcyclegan.config import Config
from medcyclegan.data.augmentation import SliceAugmentation
from medcyclegan.data.index import Content, content_of, open_domain
from medcyclegan.data.position import match_positions, one_group
from medcyclegan.data.split import balance, split_volumes
from medcyclegan.data.store import SliceStore, StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window

SHOWN = 4  # slices of each domain in a picture of samples

Say = Callable[[str], None]


class Data(NamedTuple):
    """What is trained on and what is looked at.

    Args:
        train: draws the batches.
        shown: draws slices for pictures, of patients that do not train where there are some.
        held_out: volumes of patients that do not train, of each domain; maybe none.
        trained: volumes of those that do.
    """

    train: UnpairedSlices
    shown: UnpairedSlices
    held_out: Pair[list[StoredVolume]]
    trained: Pair[list[StoredVolume]]


def open_data(config: Config, say: Say) -> Data:
    """Return the volumes of both domains ready for training, and say how they were taken.

    Raises:
        InputError: a domain has no volume that can be trained on.
        MedCycleGANError: the slice store's disk is full or cannot be written.
    """
    window = Window(config.window.low_hu, config.window.high_hu)
    split = split_volumes(_load_volumes(config, window, say), config.training.validation_fraction)
    say(split.message)
    names = Pair(config.domains.a.name, config.domains.b.name)

    def slices(
        of: Pair[list[StoredVolume]],
        batch_size: int,
        tell: Say,
        augmentation: SliceAugmentation | None = None,
    ) -> UnpairedSlices:
        groups = match_positions(of, names) if config.slices.match_position else one_group(of)
        if groups.message:
            tell(groups.message)
        return UnpairedSlices(
            of,
            window=window,
            size=config.slices.size,
            neighbors=config.slices.neighbors,
            batch_size=batch_size,
            seed=config.training.seed,
            groups=groups,
            augmentation=augmentation,
        )

    augmentation = SliceAugmentation(**config.training.augmentation.model_dump())
    train = slices(split.train, config.training.batch_size, say, augmentation)
    if uneven := balance(split.train, names):
        say(uneven)
    for name, count, cut in zip(names, map(len, split.train), train.cut, strict=True):
        say(f"domain {name}: {count} volumes; {cut:.0%} of their slices are larger than the crop")
    if any(train.cut) and not config.model.crop_safe:
        say(
            "warning: instance norm and crops smaller than the body: whole slices will be "
            "translated otherwise than crops were; use norm: batch, or a larger slices.size"
        )
    unseen = split.validation if all(split.validation) else split.train
    shown = slices(unseen, SHOWN, lambda line: None)
    return Data(train, shown, split.validation, split.train)


def _load_volumes(config: Config, window: Window, say: Say) -> Pair[list[StoredVolume]]:
    """Return the volumes of both domains from the slice store, and say what is odd about them."""
    store = SliceStore(config.slices.spacing_mm, window, warn=lambda line: say(f"warning: {line}"))
    volumes: list[list[StoredVolume]] = []
    contents: list[set[Content]] = []
    for key, domain in (("a", config.domains.a), ("b", config.domains.b)):
        found = open_domain(domain.volumes, f"domains.{key}.volumes", config.reading)
        stored = store.load_domain(domain.name, found.sources, found.patients)
        for message in (*found.messages, *stored.messages):
            say(f"warning: {message}")
        volumes.append(stored.volumes)
        contents.append({content_of(source) for source in found.sources})
    if both := len(contents[0] & contents[1]):
        say(f"warning: {both} volumes are in both domains; a volume belongs to one")
    store.trim()
    return Pair(*volumes)
