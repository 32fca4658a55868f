"""nnU-Net and Medical Segmentation Decathlon folders: which files are CT, and what labels mean.

Both keep training images in `imagesTr`, label maps in `labelsTr` and say more in `dataset.json`.
nnU-Net (Isensee et al. 2021) has one file for each channel, `case_0000` the first of `case`; the
Decathlon (Antonelli et al. 2022) one file for each case, all channels in it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medcyclegan.files import NOT_OURS
from medcyclegan.io.formats import format_of, split_suffix
from medcyclegan.io.stored import one_line, printable

IMAGES, LABELS, DESCRIPTION = "imagesTr", "labelsTr", "dataset.json"
CHANNEL = re.compile(r"_(\d{4})$")
CT_WORDS = {"ct", "cta", "ctpa", "cect", "ncct", "nect", "ldct", "cbct", "mdct"}
NORMALISATIONS = {"", "nonorm", "zscore", "rescale_to_0_1"}  # nnU-Net takes them for a modality
MOST_BYTES = 1 << 24
LONGEST_NAME = 64


@dataclass(frozen=True)
class DataSet:
    """What a data set folder says about its files.

    Args:
        images: the folder of training images.
        labels: the folder of their label maps; None where there is none.
        names: label value -> name, without the background; empty where `dataset.json` is silent.
        channels: channel number -> name, from `dataset.json`.
        warnings: what was wrong with `dataset.json`, one line each, beginning with its path.
    """

    images: Path
    labels: Path | None
    names: Mapping[int, str] = field(default_factory=dict)
    channels: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def skips(self, file_name: str) -> str:
        """Return why a file below `images` is no CT image, by its name; empty if it may be one."""
        if not format_of(file_name):
            return ""
        stem, suffix = split_suffix(file_name)
        channel = CHANNEL.search(stem)
        number = int(channel[1]) if channel else -1
        if number in self.channels:
            name = self.channels[number]
            return "" if _may_be_ct(name) else f"channel {number} of the data set is {name}, not CT"
        if self.channels and not any(map(_may_be_ct, self.channels.values())):
            return f"the data set holds {' and '.join(self.channels.values())}, no CT"
        if number > 0 and not self.channels:
            first = self.images / f"{stem[: -len('_0000')]}_0000{suffix}"
            if first.is_file():
                return f"channel {number} of {first.name}, and no {DESCRIPTION} says that it is CT"
        return ""


def open_data_set(root: Path) -> DataSet | None:
    """Return what a data set folder says about its files; None where `root` holds no `imagesTr`.

    A `dataset.json` that is damaged or absent leaves names and channels empty; the images and
    labels can be read without.
    """
    try:
        if not (root / IMAGES).is_dir():
            return None
    except PermissionError:  # the search says so
        return None
    labels = root / LABELS if (root / LABELS).is_dir() else None
    path = root / DESCRIPTION
    if not path.is_file():
        return DataSet(root / IMAGES, labels)
    try:
        content = _strict_json(path)
        names, channels = _label_names(content.get("labels", {})), _channels(content)
    except NOT_OURS as error:
        reason = error.strerror or "" if isinstance(error, OSError) else one_line(error)
        warning = f"{path}: cannot be used ({reason}); channels and label names stay unknown"
        return DataSet(root / IMAGES, labels, warnings=(warning,))
    return DataSet(root / IMAGES, labels, names, channels)


def short_name(text: str) -> str:
    """Return a name that a file gives to a label, as one short line of printable text.

    >>> short_name(" left  kidney ")
    'left kidney'
    """
    return printable(text)[:LONGEST_NAME].strip()


def _strict_json(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MB")
    content = json.loads(
        data.decode("utf-8-sig"), object_pairs_hook=_unique_keys, parse_constant=_no_constant
    )
    if not isinstance(content, dict):
        raise TypeError("no JSON object")
    return content


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {short_name(twice)!r} twice")
    return keys


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _label_names(labels: Any) -> dict[int, str]:
    """Return value -> name, from nnU-Net's {name: value} or the Decathlon's {value: name}.

    Regions, which are lists of values, and the background are left out.
    """
    names: dict[int, str] = {}
    for key, value in labels.items():
        if isinstance(value, list):
            continue
        number, name = (key, value) if isinstance(value, str) else (value, key)
        if isinstance(number, bool) or int(number) != float(number):
            raise TypeError(f"label {short_name(name)!r} has a value that is no whole number")
        if int(number) in names:
            raise ValueError(f"label value {int(number)} has two names")
        names[int(number)] = short_name(name)
    names.pop(0, None)
    return {value: name for value, name in sorted(names.items()) if name}


def _channels(content: Mapping[str, Any]) -> dict[int, str]:
    named = content.get("channel_names", content.get("modality", {}))
    if not all(isinstance(name, str) for name in named.values()):
        raise TypeError("a channel's name is no text")
    return {int(number): short_name(name) for number, name in sorted(named.items())}


def _may_be_ct(name: str) -> bool:
    words = re.split(r"[^a-z0-9]+", name.lower())
    return name.lower() in NORMALISATIONS or not CT_WORDS.isdisjoint(words)
