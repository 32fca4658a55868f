"""The command `augment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcyclegan.cli.options import FileFormat, OutFolder, path_of, tell
from medcyclegan.cli.stopping import stoppable


def augment(
    volumes: Annotated[
        Path,
        typer.Argument(
            metavar="VOLUMES", parser=path_of, help="A volume, a folder of them, or a data set."
        ),
    ],
    out: OutFolder,
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=path_of,
            help="Run folder, model folder or .safetensors; default: the last run.",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Domain to translate into; default: b.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", parser=path_of, help="Folder of label maps to copy along, or one file."
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="Share of the change to apply, 0 to 2.")] = 1.0,
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="Of the translated volumes; labels are NIfTI.")
    ] = "nifti",
    keep_identifiers: Annotated[
        bool,
        typer.Option(
            "--keep-identifiers", help="DICOM out keeps names, IDs, dates and descriptions."
        ),
    ] = False,
    resample_tilt: Annotated[
        bool,
        typer.Option("--resample-tilt", help="Straighten series with gantry tilt, not refuse."),
    ] = False,
    split_4d: Annotated[
        bool, typer.Option("--split-4d", help="Take files of several volumes apart, not refuse.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Slices at once.")] = 8,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write to OUT whatever it holds.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check all, list what would be written, write nothing."),
    ] = False,
) -> None:
    """Translate volumes into the other domain, each on its own grid."""
    with stoppable(f"{out}: stopped; {'without --overwrite ' * overwrite}the same command goes on"):
        from medcyclegan.augment import augment as run_augment
        from medcyclegan.io.stored import ReadOptions

        summary = run_augment(
            volumes,
            out,
            checkpoint=checkpoint,
            to=to,
            labels=labels,
            strength=strength,
            file_format=file_format,
            keep_identifiers=keep_identifiers,
            options=ReadOptions(resample_tilt=resample_tilt, split_4d=split_4d),
            device=device,
            batch_size=batch_size,
            overwrite=overwrite,
            dry_run=dry_run,
            say=tell,
            show=typer.echo,
        )
    verb = "would be written" if dry_run else "written"
    typer.echo(
        f"{out}: {len(summary.written)} {verb}, {len(summary.skipped)} finished before, "
        f"{len(summary.failed)} failed"
    )
    if summary.failed:
        raise typer.Exit(1)
