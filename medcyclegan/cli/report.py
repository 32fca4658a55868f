"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcyclegan.cli.options import path_of


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", parser=path_of, help="A folder that train wrote.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", parser=path_of, help="Default: report.html in the run folder."
        ),
    ] = None,
) -> None:
    """Make one HTML page of a training run: curves, samples through time, warnings, config.

    The run may be finished, stopped or still at work.
    """
    from medcyclegan.report.run_page import write_run_report

    typer.echo(f"written: {write_run_report(run, out)}")
