"""The folder of an augmented data set: a manifest says what was made from what, by which model."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from medcyclegan.domains import DIRECTIONS, Direction
from medcyclegan.errors import InputError, MedCycleGANError, VolumeError
from medcyclegan.files import LOCK, NOT_OURS, TEMPORARY_PREFIX, sha256, write_bytes
from medcyclegan.io.formats import WRITERS, split_suffix

MANIFEST = "manifest.jsonl"
SLICE_NAME = re.compile(r"IM\d{4,}\.dcm")  # of the files of a series that we wrote


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
        format: of the output, a key of `io.WRITERS`.
        keep_identifiers: whether it says of the patient what its DICOM source said.
    """

    source: str
    source_sha256: str
    labels_source_sha256: str | None
    direction: Direction
    model: str
    strength: float
    format: str = "nifti"
    keep_identifiers: bool = False


@dataclass(frozen=True)
class Entry:
    """One line of the manifest.

    Args:
        origin: what the output was made from.
        output: the translated volume, relative to the folder of the manifest.
        output_sha256: of its bytes; of a series, of its files' in order of name.
        labels: the label map beside it; None without one.
        labels_sha256: of its bytes.
        versions: of the software that made it.
        label_names: what the label map's values are called, where its source says.
        notes: what was odd about the source or done to it on reading, such as gantry tilt.
    """

    origin: Origin
    output: str
    output_sha256: str
    labels: str | None
    labels_sha256: str | None
    versions: dict[str, str]
    label_names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def labels_beside(output: str) -> str:
    """Return the name of the label map that goes with an output, relative to the same folder.

    >>> labels_beside("p1/ct_b.nii.gz"), labels_beside("p1/ct_b")
    ('labels/p1/ct_b.nii.gz', 'labels/p1/ct_b.nii.gz')
    """
    return f"labels/{split_suffix(output)[0]}.nii.gz"


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

    def check_same_making(self, making: Origin) -> None:
        """Check that all entries are of the model, strength and format of `making`.

        Raises:
            InputError: one is not.
        """
        for entry in self.entries.values():
            if _making(entry.origin) != _making(making):
                raise InputError(
                    f"{self.folder}: {entry.output} was made by {_making(entry.origin)}, not by "
                    f"{_making(making)}; choose another folder, or --overwrite"
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

    def make_room(self, output: str) -> None:
        """Remove the series that an earlier run left where one is to be written.

        Raises:
            VolumeError: what is there is no series of ours.
            MedCycleGANError: it cannot be removed.
        """
        path = self.folder / output
        if not path.exists():
            return
        if not path.is_dir() or not all(SLICE_NAME.fullmatch(file.name) for file in path.iterdir()):
            raise VolumeError(f"{path}: is in the way and no series of ours; remove it")
        try:
            with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=path.parent) as aside:
                shutil.move(path, aside)  # in one step: half a series never stands there
        except OSError as error:
            raise _cannot_remove(path, error) from error

    def _remove_labels(self, output: str) -> None:
        name = labels_beside(output)  # whatever the file says: nothing else is ours to remove
        if name in self.entries:
            return
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_remove(self.folder / name, error) from error

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
            return path.exists() and output_sha256(path) == expected
        except OSError:
            return False


def output_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a series one after the other."""
    return sha256(*sorted(path.iterdir())) if path.is_dir() else sha256(path)


def _cannot_remove(path: Path, error: OSError) -> MedCycleGANError:
    return MedCycleGANError(
        f"{path}: is of an earlier run and cannot be removed ({error.strerror}); remove it"
    )


def _making(origin: Origin) -> str:
    return (
        f"model {origin.model[:12]} at strength {origin.strength:g} as {origin.format}"
        f"{' with identifiers' * origin.keep_identifiers}"
    )


def _flat(entry: Entry) -> dict[str, object]:
    flat = asdict(entry)
    return flat.pop("origin") | flat


def _read(path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            names = values.keys() & {field.name for field in fields(Origin)}
            origin = Origin(**{name: values.pop(name) for name in names})
            entry = Entry(origin=origin, **values)
            _check_types(entry)
            entries[entry.output] = entry
    except NOT_OURS as error:
        raise InputError(
            f"{path}: line {len(entries) + 1} cannot be read as ours; choose another folder, or "
            "--overwrite"
        ) from error
    return entries


def _check_types(entry: Entry) -> None:
    origin = entry.origin
    texts: tuple[Any, ...] = (
        *(origin.source, origin.source_sha256, origin.model),
        *(entry.output, entry.output_sha256),
        *(text for pair in entry.versions.items() for text in pair),
        *(text for pair in entry.label_names.items() for text in pair),
        *entry.notes,
    )
    perhaps = (origin.labels_source_sha256, entry.labels, entry.labels_sha256)
    known = origin.direction in DIRECTIONS and origin.format in WRITERS
    plain = isinstance(origin.strength, (int, float)) and isinstance(origin.keep_identifiers, bool)
    text = all(isinstance(value, str) for value in texts)
    if not (known and plain and text and all(isinstance(v, (str, type(None))) for v in perhaps)):
        raise TypeError("a field of another type than ours")


def _holds_something(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    ours = (TEMPORARY_PREFIX, LOCK)
    return any(not entry.name.startswith(ours) for entry in folder.iterdir())


def check_paths(inputs: Iterable[Path], out: Path) -> None:
    """Check that inputs are there, and that `out` can be a folder apart from them.

    Raises:
        InputError: it is not so.
    """
    inputs = tuple(inputs)
    for path in inputs:
        if not (path.is_file() or path.is_dir()):
            what = "is no regular file" if path.exists() else "no such file or folder"
            raise InputError(f"{path}: {what}; check the path")
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
