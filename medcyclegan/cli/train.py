"""The command `train`."""

from __future__ import annotations

from typing import Annotated

import typer

from medcyclegan.cli.options import ConfigFile, Overrides
from medcyclegan.cli.stopping import stoppable


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the run folder.")
    ] = False,
) -> None:
    """Train networks that translate between two sets of volumes."""
    from medcyclegan.config import load_config

    checked = load_config(config, overrides or ())  # a bad config is refused before torch loads
    with stoppable(f"{checked.output}: stopped before the first step; go on with --resume"):
        from medcyclegan.train import train as run_training

        run_training(checked, resume=resume, say=typer.echo)
