"""The command group `config`."""

from __future__ import annotations

import json

import typer

from medcyclegan.cli.options import ConfigFile, Overrides

config_app = typer.Typer(help="What a training run is told.")


@config_app.command()
def show(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print a config as it is resolved: overrides applied, defaults written out."""
    from medcyclegan.config import load_config

    typer.echo(load_config(config, overrides or ()).to_yaml(), nl=False)


@config_app.command()
def schema() -> None:
    """Print the JSON schema of the config: every key, its type, default and meaning."""
    from medcyclegan.config import Config

    typer.echo(json.dumps(Config.model_json_schema(), indent=2))
