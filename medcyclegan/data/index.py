"""Which volumes a domain is made of: files, folders, globs and tables of the config, resolved."""

from __future__ import annotations

import glob
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from medcyclegan.config import ReadingConfig, TableConfig
from medcyclegan.data.table import NamedVolume, read_table
from medcyclegan.errors import InputError

if TYPE_CHECKING:
    from medcyclegan.io import Found, Source
    from medcyclegan.io.stored import ReadOptions

KEY = re.compile("[0-9a-f]{16}")
STRICT = ReadingConfig()
Content = tuple[object, ...]  # what tells the voxels of one source from those of another


class DomainSources(NamedTuple):
    """The volumes a domain names, and lines on what was found that is none.

    Args:
        sources: the volumes.
        messages: for people.
        patients: the patient key of each source; empty where no table names the patient.
    """

    sources: list[Source]
    messages: list[str]
    patients: list[str]


def open_domain(
    volumes: str | TableConfig | Sequence[str | TableConfig],
    key: str,
    reading: ReadingConfig = STRICT,
) -> DomainSources:
    """Return the volumes that `volumes` names, in its order, each once.

    A folder is searched to its depth. A glob (`*`, `?`, `[...]`, `**`) stands for the files and
    folders it matches, sorted; where it matches all DICOM files of a series they are one volume,
    else each file is one of its own. A path that exists is never read as a glob. A row of a table
    names a file, or the series in a folder, or all volumes below a folder that holds none itself.
    Files that are no CT in HU, or cannot be read right, are left out with a message.

    Args:
        volumes: a file, folder, glob or table, or a list of them, relative to the working
            directory.
        key: the config key that named them, for example "domains.a.volumes".
        reading: what is read that is refused otherwise.

    Raises:
        InputError: nothing is at a path, a glob matches nothing, a folder holds no volume, a
            table is at fault, a volume is given to two patients, or no volume is left; the
            message names `key` and the path as given.
    """
    from medcyclegan.io.stored import ReadOptions

    options = ReadOptions(**reading.model_dump())
    domain = DomainSources([], [], [])
    place: dict[Content, int] = {}
    for entry in [volumes] if isinstance(volumes, str | TableConfig) else volumes:
        if isinstance(entry, TableConfig):
            found = _table(entry, key, options)
        else:
            found = _entry(entry, key, options)
        domain.messages.extend(found.messages)
        for source, patient in zip(found.sources, found.patients, strict=True):
            at = place.setdefault(content_of(source), len(place))
            if at == len(domain.sources):
                domain.sources.append(source)
                domain.patients.append(patient)
            elif patient and domain.patients[at] not in {"", patient}:
                raise InputError(f"{key}: {source.path}: is given to two patients; correct that")
            domain.patients[at] = domain.patients[at] or patient
    if not domain.sources:
        reason = f"; {domain.messages[0]}" if domain.messages else "; the list is empty"
        raise InputError(f"{key}: no CT volume to be used{reason}")
    return domain


def content_of(source: Source) -> Content:
    """Return what tells the voxels of a source from those of another, whatever it is called."""
    files = tuple(file.resolve() for file in source.files)
    return files, source.members, source.part


def patient_key(named: str) -> str:
    """Return the key of a patient whom a table calls `named`: that of DICOM with this PatientID.

    A key, as `medcyclegan scan` prints them, is taken as it is.
    """
    return named if KEY.fullmatch(named) else hashlib.sha256(named.encode()).hexdigest()[:16]


def _entry(entry: str, key: str, options: ReadOptions) -> DomainSources:
    if Path(entry).exists():
        try:
            return _search(Path(entry), options)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    if not glob.has_magic(entry):
        raise InputError(f"{key}: {entry}: no such file or folder; correct the path")
    matches = sorted(glob.glob(entry, recursive=True))
    if not matches:
        raise InputError(f"{key}: {entry}: matches no file or folder; correct the pattern")
    found = DomainSources([], [], [])
    for match in matches:
        try:
            searched = _search(Path(match), options)
        except InputError as error:
            found.messages.append(str(error))
        else:
            found.sources.extend(searched.sources)
            found.messages.extend(searched.messages)
    sources = _grouped(found.sources, options)
    return DomainSources(sources, found.messages, [""] * len(sources))


def _search(path: Path, options: ReadOptions) -> DomainSources:
    from medcyclegan.io import find_volumes

    found = find_volumes(path, options)
    return DomainSources(list(found.sources), _said(found), [""] * len(found.sources))


def _said(found: Found) -> list[str]:
    from medcyclegan.io.skipped import skip_lines

    return [*(f"{file}: {reason}" for file, reason in found.refused), *skip_lines(found.skipped)]


def _table(table: TableConfig, key: str, options: ReadOptions) -> DomainSources:
    """Return the volumes that the rows of a table name."""
    domain = DomainSources([], [], [])
    searched: dict[Path, DomainSources] = {}
    try:
        rows = read_table(table)
        of_path = Counter((row.path, row.series) for row in rows)
        for row in rows:
            if row.path not in searched:
                searched[row.path] = _search(row.path, options)
                domain.messages.extend(searched[row.path].messages)
            for source in _meant(row, searched[row.path].sources, of_path, table):
                domain.sources.append(source)
                domain.patients.append(patient_key(row.patient) if row.patient else "")
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    return domain


def _meant(
    row: NamedVolume,
    sources: list[Source],
    of_path: Counter[tuple[Path, str]],
    table: TableConfig,
) -> list[Source]:
    """Return which of the volumes found at a row's path the row names."""
    where = f"{table.csv}: line {row.line}: {row.path}"
    own = [source for source in sources if source.path == row.path]
    if not own:
        return sources
    if row.series:
        own = [source for source in own if source.uid == row.series]
        if not own:
            raise InputError(f"{where}: holds no volume of series {row.series}; correct the table")
    rows = of_path[row.path, row.series]
    if rows < len(own):
        raise InputError(
            f"{where}: holds {len(own)} volumes and the table does not say which is meant; "
            "say series: in the config, or give each a folder of its own"
        )
    return own


def _grouped(sources: list[Source], options: ReadOptions) -> list[Source]:
    """Return `sources` with single DICOM files that make up whole series put together."""
    single = {
        source.files[0]: source
        for source in sources
        if source.format == "dicom" and len(source.files) == 1 and not source.members
    }
    series: dict[Path, Source] = {}
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in single:
        folders[file.parent].append(file)
    for folder in sorted(folders):
        if len(folders[folder]) > 1:
            for source in _search(folder, options).sources:
                if len(source.files) > 1 and single.keys() >= set(source.files):
                    series |= dict.fromkeys(source.files, source)
    result: dict[Content, Source] = {}
    for source in sources:
        whole = series.get(source.files[0], source) if not source.members else source
        result[whole.files, whole.members, whole.part] = whole
    return list(result.values())
