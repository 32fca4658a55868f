"""How a config names volumes: paths, globs, and the rows of a table."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from medcyclegan.config.section import Section

PATH, LIST, TABLE = "<path>", "<list>", "<table>"  # no keys of YAML look like these
VOLUMES = "must be a path (file, folder or glob), {csv: FILE, ...}, or a list of these"


def _path(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a path")
    if "\0" in value:
        raise ValueError("must be a path: it holds a NUL character")
    return value


def _cells(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must be a section: the name of a column, and what its cells must say")
    return {column: _wanted(column, one) for column, one in value.items()}


def _wanted(column: str, value: Any) -> list[str] | str:
    if isinstance(value, list) and value:
        return [_text(column, one) for one in value]
    return _text(column, value)


def _text(column: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"column {column!r}: must be text, a number, true or false, or a list of them")


OnePath = Annotated[str, BeforeValidator(_path)]
Column = Annotated[str, Field(min_length=1)]


class TableConfig(Section):
    """Volumes named by the rows of a table, for example what `medcyclegan scan --csv` prints."""

    csv: OnePath
    """The table: comma-separated, its first line names the columns; relative to the working
    directory."""
    column: Column = "path"
    """Column that holds the path of each volume, a file or a series folder, never a glob."""
    folder: OnePath | None = None
    """What these paths are relative to: for a table of `scan FOLDER` that FOLDER. Null: the
    table's own folder, or where nothing lies there the working directory."""
    where: Annotated[
        dict[str, str | list[str]],
        BeforeValidator(
            _cells,
            json_schema_input_type=dict[str, str | float | bool | list[str | float | bool]],
        ),
    ] = Field(default_factory=dict)
    """Which rows are meant: column and what its cell must say, or a list of which it must say
    one; small or capital letters and spaces around are the same. By default all."""
    patient: Column | None = None
    """Column that names the patient, so that no patient both trains and validates; null takes
    what the files say, which only DICOM does."""
    series: Column | None = None
    """Column that holds the SeriesInstanceUID, where a folder holds several series."""


def _kind(value: Any) -> str:
    return LIST if isinstance(value, list) else _kind_in_list(value)


def _kind_in_list(value: Any) -> str:
    return TABLE if isinstance(value, dict | TableConfig) else PATH


def _named(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError(VOLUMES)
    return _path(value)


def _not_empty(value: Any) -> Any:
    if not value:
        raise ValueError(VOLUMES)
    return value


_Named = Annotated[str, BeforeValidator(_named), Tag(PATH)]
_Table = Annotated[TableConfig, Tag(TABLE)]
VolumesEntry = Annotated[_Named | _Table, Discriminator(_kind_in_list)]
Volumes = Annotated[
    _Named | _Table | Annotated[list[VolumesEntry], BeforeValidator(_not_empty), Tag(LIST)],
    Discriminator(_kind),
]
