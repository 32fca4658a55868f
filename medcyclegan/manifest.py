"""The folder of an augmented data set: a manifest says what was made from what, by which model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from medcyclegan.domains import Direction
from medcyclegan.errors import InputError, MedCycleGANError
from medcyclegan.files import NOT_OURS, TEMPORARY_PREFIX, sha256, write_bytes

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


def labels_beside(output: str) -> str:
    """Return the name of the label map that goes with an output, relative to the same folder."""
    return f"labels/{output}"


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
        self._before: dict[str, Entry] = {}
        if self.path.is_file():
            try:
                self._before = _read(self.path)
            except InputError:
                if not overwrite:
                    raise
            self.entries = {} if overwrite else dict(self._before)
        elif not overwrite and _holds_something(folder):
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
        """Take in an entry, in place of an older one of the same output, and write the file.

        A label map of the older one is removed where the new one has none.

        Raises:
            MedCycleGANError: a file cannot be written or removed.
        """
        self.entries[entry.output] = entry
        old = self._before.get(entry.output)
        if old is not None and old.labels and entry.labels is None:
            self._remove_labels(entry.output)
        self.write()

    def _remove_labels(self, output: str) -> None:
        name = labels_beside(output)  # whatever the file says: nothing else is ours to remove
        if name in self.entries:
            return
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise MedCycleGANError(
                f"{self.folder / name}: cannot be removed ({error.strerror}), and its volume has "
                "no labels any more; remove it"
            ) from error

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
        try:
            return path.is_file() and sha256(path) == expected
        except OSError:
            return False


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
    except NOT_OURS as error:
        raise InputError(
            f"{path}: line {len(entries) + 1} cannot be read as ours; choose another folder, or "
            "--overwrite"
        ) from error
    return entries


def _holds_something(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return any(not entry.name.startswith(TEMPORARY_PREFIX) for entry in folder.iterdir())


def check_paths(inputs: Iterable[Path], out: Path) -> None:
    """Check that inputs are there, and that `out` can be a folder apart from them.

    Raises:
        InputError: it is not so.
    """
    inputs = tuple(inputs)
    for path in inputs:
        if not (path.is_file() or path.is_dir()):
            raise InputError(f"{path}: no such file or folder")
    for path in (out, *out.parents):
        if path.exists() and not path.is_dir():
            where = "is a file" if path == out else f"lies below the file {path}"
            raise InputError(f"{out}: {where}; give a folder to write to")
    check_apart(inputs, out)


def check_apart(inputs: Iterable[Path], out: Path) -> None:
    """Check that neither of input and output lies in the other, whatever links lead there.

    Raises:
        InputError: one does.
    """
    target = out.resolve()
    for path in inputs:
        origin = path.resolve()
        if target == origin:
            raise InputError(f"{out}: is the input itself; choose another folder to write to")
        if target.is_relative_to(origin):
            raise InputError(f"{out}: lies inside the input {path}; choose a folder outside it")
        if origin.is_relative_to(target):
            raise InputError(f"{out}: the input {path} lies inside it; choose another folder")
