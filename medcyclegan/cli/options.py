"""What commands share: how paths are taken, options that mean the same everywhere, how to speak."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

FileFormat = Literal["nifti", "dicom", "mha", "nrrd"]  # of what is written


def path_of(typed: str | Path) -> Path:
    """Return the path a user typed.

    Raises:
        typer.BadParameter: nothing was typed: `Path("")` would mean this folder.
    """
    if not str(typed):
        raise typer.BadParameter("is empty: give a path (. is this folder)")
    return Path(typed)


def tell(line: str) -> None:
    """Say one line to people: on stderr, apart from what a command prints.

    What would break the line or command a terminal, as names of files can, is spelled out.
    """
    typer.echo("".join(map(_visible, line)), err=True)


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


OutFolder = Annotated[
    Path, typer.Argument(metavar="OUT", parser=path_of, help="Folder to write to.")
]
ConfigFile = Annotated[
    str,
    typer.Option(
        "--config", metavar="FILE", help="A YAML file, or one of those shipped: ct_contrast.yaml."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one value, for example training.steps=1000; repeatable.",
    ),
]
