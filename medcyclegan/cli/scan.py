"""The command `scan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medcyclegan.cli.options import path_of, tell

if TYPE_CHECKING:
    from medcyclegan.scan import ScanRow


def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=path_of, help="Where to look for volumes.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List the volumes in a folder: grid, HU range, what speaks of contrast, problems."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv: choose one")
    from medcyclegan.scan import rows_to_csv, rows_to_json
    from medcyclegan.scan import scan as run_scan

    rows, skipped = run_scan(folder)
    for line in skipped:
        tell(line)
    if as_json:
        typer.echo(rows_to_json(rows).rstrip())
    elif as_csv:
        typer.echo(rows_to_csv(rows).rstrip())
    else:
        _print_table(rows)


def _print_table(rows: Sequence[ScanRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("volume", "format", "shape", "mm", "axes", "HU", "contrast", "problems", box=None)
    for row in rows:
        table.add_row(
            row.path,
            row.format,
            " ".join(str(size) for size in row.shape),
            " ".join(f"{length:g}" for length in row.spacing_mm),
            row.orientation,
            "" if row.hu_min is None else f"{row.hu_min:g} to {row.hu_max:g}",
            row.phase_tags,
            ("" if row.accepted else "refused: ") + "; ".join(row.problems),
        )
    unwrapped = None if sys.stdout.isatty() else 10_000  # columns
    Console(width=unwrapped, markup=False, highlight=False).print(table)
    refused = sum(not row.accepted for row in rows)
    typer.echo(f"{len(rows) - refused} volumes can be used, {refused} cannot")
