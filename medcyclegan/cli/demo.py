"""The command `demo`."""

from __future__ import annotations

from pathlib import Path

import typer

from medcyclegan.cli.options import OutFolder


def demo(
    out: OutFolder = Path("medcyclegan-demo"),
) -> None:
    """Show the whole story on a phantom: train, augment, evaluate, report. Needs no data."""
    from medcyclegan.demo import demo as run_demo

    if not run_demo(out, say=typer.echo):
        raise typer.Exit(1)
