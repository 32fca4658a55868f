"""The command `cache`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medcyclegan.data.cache import Entry


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all entries.")] = False,
    limit: Annotated[
        float | None,
        typer.Option(
            "--limit",
            metavar="GB",
            min=0,
            help="Remove entries, those unused for longest first, until so many GB remain.",
        ),
    ] = None,
) -> None:
    """List the slices that training keeps on disk, or remove them.

    They lie in MEDCYCLEGAN_CACHE, else in the user's cache folder, and are made again where they
    are needed. Each training run keeps them below MEDCYCLEGAN_CACHE_GB, 50 unless set.
    """
    if clear and limit is not None:
        raise typer.BadParameter("--clear and --limit: choose one")
    from medcyclegan.data.cache import GB, entries, limit_bytes, remove_all, slices_folder, trim

    if limit is not None and not limit >= 0:
        raise typer.BadParameter("--limit nan: must be a number of gigabytes, from 0")
    folder = slices_folder()
    allowed = limit_bytes()
    if clear:
        typer.echo(f"{folder}: removed {_amount(remove_all(folder))}")
    elif limit is not None:
        removed = trim(folder, limit * GB)
        typer.echo(f"{folder}: removed {_amount(removed)}, kept {_amount(entries(folder))}")
    else:
        found = entries(folder)
        for entry in found:
            typer.echo(_line(entry))
        typer.echo(f"{folder}: {_amount(found)}; the limit is {allowed / GB:g} GB")


def _line(entry: Entry) -> str:
    slices = "damaged" if entry.slices is None else f"{entry.slices} slices"
    days = max(0.0, time.time() - entry.used) / 86400
    return f"{entry.key[:12]}  {entry.size / 1e6:8.1f} MB  {slices:>12}  used {days:.1f} days ago"


def _amount(found: Sequence[Entry]) -> str:
    size = sum(entry.size for entry in found)
    return f"{len(found)} volumes, {size / 1e9:.2f} GB"
