"""The manifest of an augmented data set: which file was made from what, and by which model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from medcyclegan.domains import Direction
from medcyclegan.errors import InputError
from medcyclegan.files import TEMPORARY_PREFIX, sha256, write_bytes

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Origin:
    """All that decides how an output looks: equal origins, equal bytes.

    Args:
        source: the volume, relative to the folder given.
        source_sha256: of its files.
        labels_source_sha256: of its label map; None without one.
        direction: "a_to_b" or "b_to_a".
        model: hash of the weights.
        strength: share of the change that was applied.
    """

    source: str
    source_sha256: str
    labels_source_sha256: str | None
    direction: Direction
    model: str
    strength: float


@dataclass(frozen=True)
class Entry:
    """One line of the manifest.

    Args:
        origin: what the output was made from.
        output: the translated volume, relative to the folder of the manifest.
        output_sha256: of its bytes.
        labels: the label map beside it; None without one.
        labels_sha256: of its bytes.
        versions: of the software that made it.
    """

    origin: Origin
    output: str
    output_sha256: str
    labels: str | None
    labels_sha256: str | None
    versions: dict[str, str]


class Manifest:
    """The entries of a folder, on disk in the order of their sources after every addition.

    Args:
        folder: where `manifest.jsonl` lies or will lie.
        overwrite: begin anew, whatever the folder holds.

    Raises:
        InputError: the folder holds something and no manifest of ours, or the manifest cannot be
            read.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self.folder = folder
        self.path = folder / MANIFEST
        self.entries: dict[str, Entry] = {}
        if overwrite:
            return
        if self.path.is_file():
            self.entries = _read(self.path)
        elif _holds_something(folder):
            raise InputError(
                f"{folder}: is not empty and holds no {MANIFEST} of ours; choose another folder, "
                "or --overwrite"
            )

    def check_same_making(self, model: str, strength: float) -> None:
        """Check that all entries were made by this model at this strength.

        Raises:
            InputError: one was not.
        """
        for entry in self.entries.values():
            if (entry.origin.model, entry.origin.strength) != (model, strength):
                raise InputError(
                    f"{self.folder}: {entry.output} was made by model {entry.origin.model[:12]} at "
                    f"strength {entry.origin.strength:g}, not by {model[:12]} at {strength:g}; "
                    "choose another folder, or --overwrite"
                )

    def is_finished(self, output: str, origin: Origin) -> bool:
        """Return whether `output` is there, whole, and was made from this very origin."""
        entry = self.entries.get(output)
        return (
            entry is not None
            and entry.origin == origin
            and self._is_whole(entry.output, entry.output_sha256)
            and (entry.labels is None or self._is_whole(entry.labels, entry.labels_sha256))
        )

    def add(self, entry: Entry) -> None:
        """Take in an entry, in place of an older one of the same output, and write the file."""
        self.entries[entry.output] = entry
        self.write()

    def write(self) -> None:
        """Write the file, empty at first: it tells the next run that the folder is ours."""
        order = sorted(
            self.entries.values(),
            key=lambda entry: (PurePosixPath(entry.origin.source).parts, entry.output),
        )
        lines = (json.dumps(_flat(entry), allow_nan=False) + "\n" for entry in order)
        write_bytes(self.path, "".join(lines).encode())

    def _is_whole(self, name: str, expected: str | None) -> bool:
        path = self.folder / name
        return path.is_file() and sha256(path) == expected


def _flat(entry: Entry) -> dict[str, object]:
    fields = asdict(entry)
    return fields.pop("origin") | fields


def _read(path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            origin = {name: fields.pop(name) for name in Origin.__dataclass_fields__}
            origin["strength"] = float(origin["strength"])
            entry = Entry(origin=Origin(**origin), **fields)
            entries[entry.output] = entry
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: line {len(entries) + 1} cannot be read as ours; choose another folder, or "
            "--overwrite"
        ) from error
    return entries


def _holds_something(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return any(not entry.name.startswith(TEMPORARY_PREFIX) for entry in folder.iterdir())
