"""The command group `evaluate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medcyclegan.cli.options import OutFolder, Overrides, path_of
from medcyclegan.cli.stopping import stoppable

if TYPE_CHECKING:
    from medcyclegan.intensity import Window

evaluate_app = typer.Typer(
    help="Measure translated volumes, beside the baselines that any method has to beat."
)


def _window(typed: str) -> Window:
    from medcyclegan.errors import MedCycleGANError
    from medcyclegan.intensity import Window

    try:
        low, high = (float(end) for end in typed.split(":"))
        if not math.isfinite(high - low):
            raise ValueError("an end that is no number")
        return Window(low, high)
    except (ValueError, MedCycleGANError) as error:
        problem = f"{typed!r}: give LOW:HIGH in HU, such as -200:600"
        raise typer.BadParameter(problem, param_hint="--window") from error


def _folder(help_text: str) -> typer.models.OptionInfo:
    return typer.Option(metavar="PATH", parser=path_of, help=help_text)


@evaluate_app.callback(invoke_without_command=True)
def evaluate(
    context: typer.Context,
    *,
    translated: Annotated[
        Path | None, _folder("What augment wrote, or volumes named like their sources.")
    ] = None,
    out: Annotated[Path | None, _folder("Folder to write to.")] = None,
    cohort: Annotated[
        Path | None, _folder("What phantom wrote: sources, labels, twins in one.")
    ] = None,
    sources: Annotated[Path | None, _folder("Or the volumes that were translated.")] = None,
    twins: Annotated[Path | None, _folder("The same patients in the other domain.")] = None,
    labels: Annotated[Path | None, _folder("Label maps of the sources.")] = None,
    tissues: Annotated[Path | None, _folder("YAML of which label values are measured.")] = None,
    targets: Annotated[Path | None, _folder("Other patients in the other domain.")] = None,
    target_labels: Annotated[Path | None, _folder("Label maps of those.")] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="LOW:HIGH", help="HU that networks see; default: -200:600."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws behind the intervals.")] = 0,
) -> None:
    """Measure translated volumes, beside the baselines that any method has to beat.

    With a cohort that phantom wrote, or with twins, against the exact truth; without, against
    other patients in the other domain.
    """
    if context.invoked_subcommand is not None:
        _check_alone(context)
        return
    if translated is None or out is None:
        raise typer.BadParameter("give --translated and --out")
    seen = None if window is None else _window(window)
    with stoppable(f"{out}: stopped; nothing was written"):
        from medcyclegan.evaluate import evaluate as run_evaluation

        run_evaluation(
            translated,
            out,
            cohort=cohort,
            sources=sources,
            twins=twins,
            labels=labels,
            tissues=tissues,
            targets=targets,
            target_labels=target_labels,
            window=seen,
            seed=seed,
            say=typer.echo,
        )


@evaluate_app.command()
def cheats(
    out: OutFolder,
    patients: Annotated[int, typer.Option(min=4, help="How many to make.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the patients.")] = 0,
) -> None:
    """Show on a phantom that the metrics catch cheats; exit code 1 if they do not."""
    with stoppable(f"{out}: stopped; nothing was written"):
        from medcyclegan.proof.cheats import cheats as run_cheats

        as_expected = run_cheats(out, patients=patients, seed=seed, say=typer.echo)
    if not as_expected:
        raise typer.Exit(1)


@evaluate_app.command()
def segmentation(
    config: Annotated[
        str,
        typer.Option(
            "--config", metavar="FILE", help="A YAML file, or one of those shipped: phantom.yaml."
        ),
    ],
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the arms that are not finished.")
    ] = False,
) -> None:
    """Train segmentation networks with and without translations: does augmentation help?"""
    from medcyclegan.config.segmentation import load_protocol

    out = load_protocol(config, overrides or ()).output  # refused, if bad, before torch loads
    with stoppable(f"{out}: stopped; the same command with --resume goes on"):
        from medcyclegan.proof.protocol import run_protocol

        run_protocol(config, overrides or (), resume=resume, say=typer.echo)
    typer.echo(f"done: {out}")


def _check_alone(context: typer.Context) -> None:
    """Refuse options that a command of the group would not see."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = name.replace("_", "-")
            raise typer.BadParameter(
                f"--{option} stands before {context.invoked_subcommand}; see its own options"
            )
