"""The command `scan`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medcyclegan.cli.options import path_of, tell
from medcyclegan.cli.stopping import stoppable

if TYPE_CHECKING:
    from medcyclegan.scan import OrganLabels, ScanRow


def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=path_of, help="Where to look for volumes.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    write_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=path_of, help="Write a training config of what is surely either."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", parser=path_of, help="Label maps: their organs' HU tell the phase."
        ),
    ] = None,
    tissues: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=path_of, help="YAML of what label values mean."),
    ] = None,
    resample_tilt: Annotated[
        bool, typer.Option("--resample-tilt", help="Straighten series with gantry tilt.")
    ] = False,
    split_4d: Annotated[
        bool, typer.Option("--split-4d", help="Take files of several volumes apart.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one for each core.")
    ] = None,
) -> None:
    """List the volumes in a folder: grid, HU range, contrast phase and problems."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv: choose one")
    if tissues is not None and labels is None:
        raise typer.BadParameter("--tissues needs --labels")
    with stoppable(f"{folder}: stopped; nothing was written"):
        from medcyclegan.io import ReadOptions
        from medcyclegan.scan import cores, propose_config, rows_to_csv, rows_to_json
        from medcyclegan.scan import scan as run_scan

        options = ReadOptions(resample_tilt=resample_tilt, split_4d=split_4d)
        with _progress() as progress:
            rows, skipped = run_scan(
                folder,
                options,
                labels=_organ_labels(labels, tissues),
                workers=workers or cores(),
                progress=progress,
            )
        proposal = None
        if write_config is not None:
            proposal = propose_config(rows, folder, write_config, options)
    for line in skipped:
        tell(line)
    if as_json or as_csv:
        typer.echo((rows_to_json if as_json else rows_to_csv)(rows).rstrip())
    else:
        _print_table(rows)
    if proposal is not None:
        for line in proposal.left_out:
            tell(line)
        counts = ", ".join(f"{count} {name}" for name, count in proposal.patients.items())
        tell(f"{write_config}: written; patients: {counts}; left out: {len(proposal.left_out)}")


def _organ_labels(labels: Path | None, tissues: Path | None) -> OrganLabels | None:
    from medcyclegan.config.tissues import load_tissues
    from medcyclegan.scan import OrganLabels

    if labels is None:
        return None
    known = {} if tissues is None else load_tissues(tissues).organs
    return OrganLabels(labels, {name: tuple(values) for name, values in known.items()})


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield what moves a progress bar on stderr; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        known: dict[str, object] = {}

        def move(what: str, done: int, of: int) -> None:
            if what not in known:
                known[what] = bars.add_task(what, total=of)
            bars.update(known[what], completed=done, total=of)  # type: ignore[arg-type]  # a TaskID

        yield move


def _print_table(rows: Sequence[ScanRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = ("volume", "format", "shape", "mm", "axes", "HU", "region", "phase", "sure", "problems")
    table = Table(*names, box=None)
    for row in rows:
        table.add_row(
            row.path,
            row.format,
            " ".join(str(size) for size in row.shape),
            " ".join(f"{length:g}" for length in row.spacing_mm),
            row.orientation,
            "" if row.hu_min is None else f"{row.hu_min:g} to {row.hu_max:g}",
            row.region,
            row.phase if row.accepted else "",
            f"{row.confidence:.2f}" if row.accepted else "",
            ("" if row.accepted else "refused: ") + "; ".join(row.problems),
        )
    unwrapped = None if sys.stdout.isatty() else 10_000  # columns
    Console(width=unwrapped, markup=False, highlight=False).print(table)
    refused = sum(not row.accepted for row in rows)
    typer.echo(f"{len(rows) - refused} volumes can be used, {refused} cannot")
