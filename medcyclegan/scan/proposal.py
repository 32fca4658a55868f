"""A training config from what a scan has found: two domains, and what was left out of them."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medcyclegan.errors import InputError
from medcyclegan.files import write_bytes
from medcyclegan.io import own_name
from medcyclegan.io.stored import ReadOptions
from medcyclegan.scan.doubts import SYNTHETIC
from medcyclegan.scan.rows import ScanRow

LEAST_CONFIDENCE = 0.8
DOMAINS = {"a": "contrast", "b": "noncontrast"}
FIELD_MM = 384.0  # of a training crop: most bodies whole
SPACING_MM = 1.5
SIZE_MULTIPLE = 32


class Proposal(NamedTuple):
    """A config and what is not in it.

    Args:
        text: YAML, as `train --config` takes it.
        left_out: one line for each volume that is in neither domain: path, and why.
        patients: how many are in each domain, by its name.
    """

    text: str
    left_out: list[str]
    patients: dict[str, int]


def propose_config(
    rows: Sequence[ScanRow], folder: Path, target: Path, options: ReadOptions = ReadOptions()
) -> Proposal:
    """Write a training config with the volumes whose contrast phase is sure.

    Volumes are listed by patient, relative to the working directory. In are those that can be used
    and are not synthetic, with a confidence of at least 0.8; where a path stands for several
    volumes, all have to agree. Pixels are 1.5 mm and crops 256 pixels; where half of the volumes
    have coarser pixels, theirs, and as many as make 384 mm.

    Args:
        rows: of a scan.
        folder: what was scanned, as typed.
        target: file to write; must not exist.
        options: how the volumes were read, and are to be read again.

    Raises:
        InputError: `target` exists, or a domain stays empty; nothing was written.
        MedCycleGANError: the disk is full or not ours.
    """
    if target.exists():
        raise InputError(f"{target}: exists; choose another name, or remove it first")
    chosen, left_out = _choose(rows, folder)
    for name in DOMAINS.values():
        if not any(row.phase == name for row in chosen.values()):
            count = len(rows)
            raise InputError(
                f"{folder}: no volume of {count} is surely {name}, so there is no config to "
                "propose; add some, or write the config by hand"
            )
    patients = {
        name: len({row.patient for row in chosen.values() if row.phase == name})
        for name in DOMAINS.values()
    }
    text = _config(chosen, target, options)
    write_bytes(target, text.encode(errors="replace"))
    return Proposal(text, left_out, patients)


def _choose(rows: Sequence[ScanRow], folder: Path) -> tuple[dict[str, ScanRow], list[str]]:
    """Return rows by path, relative to the working directory, and lines on the others."""
    by_path: dict[str, list[ScanRow]] = defaultdict(list)
    for row in rows:
        by_path[row.path].append(row)
    chosen, left_out = {}, []
    for path, sharing in by_path.items():
        inside = [other for other in by_path if other.startswith(f"{path}/")]
        reason = next(filter(None, map(_unfit, sharing)), "")
        if not reason and len({row.phase for row in sharing}) > 1:
            reason = "holds volumes of both domains; give each a folder of its own"
        if not reason and inside:
            reason = f"other volumes lie below it, such as {inside[0]}; give it a folder of its own"
        typed = _typed(folder, path)
        if not reason and not _is_text(os.path.relpath(typed)):
            reason = "its path is not UTF-8 text, as a config must be; rename it"
        if reason:
            left_out += [f"{typed}: left out, {reason}"] * len(sharing)
        else:
            chosen[os.path.relpath(typed)] = sharing[0]
    return chosen, left_out


def _unfit(row: ScanRow) -> str:
    if not row.accepted:
        return row.problems[0]
    if SYNTHETIC in row.problems:
        return SYNTHETIC
    if row.phase == "unknown":
        return "its contrast phase is unknown"
    if row.confidence < LEAST_CONFIDENCE:
        return f"{row.phase} with a confidence of {row.confidence:.2f} alone"
    return ""


def _typed(folder: Path, path: str) -> Path:
    """Return a row's path as the user would type it; rows name the scanned folder by its name."""
    inside = folder / path
    return folder if path == own_name(folder) and not inside.exists() else inside


def _config(chosen: dict[str, ScanRow], target: Path, options: ReadOptions) -> str:
    """Return the YAML; texts are quoted as JSON, which YAML reads alike."""
    lines = ["# Proposed by `medcyclegan scan`; check the verdicts before training.", "domains:"]
    for key, name in DOMAINS.items():
        lines += [f"  {key}:", f"    name: {name}", "    volumes:"]
        patients: dict[str, list[str]] = defaultdict(list)
        for path, row in chosen.items():
            if row.phase == name:
                patients[row.patient].append(path)
        for patient, paths in patients.items():
            lines += [f"      # patient {patient}", *(f"      - {_text(path)}" for path in paths)]
    spacing, size = _plane(list(chosen.values()))
    read = [name for name in ("resample_tilt", "split_4d") if getattr(options, name)]
    if read:
        lines += [f"reading: {{{', '.join(f'{name}: true' for name in read)}}}"]
    lines += [
        "window: {low_hu: -200, high_hu: 600}",
        f"slices: {{size: {size}, spacing_mm: {spacing:g}, neighbors: 1}}",
        f"output: {_text(f'runs/{target.stem}')}",
    ]
    return "\n".join(lines) + "\n"


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(text: str) -> str:
    """Return a text as JSON, with what cannot be seen escaped: in YAML it may end a line."""
    seen = (
        one if one.isprintable() else f"\\U{ord(one):08x}"
        for one in json.dumps(text, ensure_ascii=False)
    )
    return "".join(seen)


def _plane(rows: Sequence[ScanRow]) -> tuple[float, int]:
    """Return pixel spacing, mm, and size of crops for volumes such as these."""
    usual = float(np.median([sorted(row.spacing_mm)[1] for row in rows]))
    spacing = SPACING_MM if usual <= SPACING_MM else round(usual, 1)
    size = SIZE_MULTIPLE * max(2, round(FIELD_MM / spacing / SIZE_MULTIPLE))
    return spacing, size
