"""The command line: each command parses, calls one function and prints what it returns."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from medcyclegan import __version__
from medcyclegan.errors import Interrupted, MedCycleGANError

if TYPE_CHECKING:
    from medcyclegan.scan import ScanRow


def _path(typed: str | Path) -> Path:
    if not str(typed):
        raise typer.BadParameter("is empty: give a path (. is this folder)")
    return Path(typed)


OutFolder = Annotated[Path, typer.Argument(metavar="OUT", parser=_path, help="Folder to write to.")]
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

app = typer.Typer(
    help="Unpaired translation of CT volumes between domains such as contrast phases.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="What a training run is told.")
app.add_typer(config_app, name="config")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; people get one line of what went wrong.

    Args:
        arguments: of the command line, without the program's name; by default sys.argv's.
    """
    words, debug = _take_debug(sys.argv[1:] if arguments is None else list(arguments))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names that are no text
    try:
        code = app(words or ["--help"], prog_name="medcyclegan", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except TyperException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "medcyclegan")
        problem = error.format_message().rstrip(".")
        return _fail(f"{problem} (see {where} --help)", error.exit_code, debug)
    except MedCycleGANError as error:
        return _fail(str(error), error.exit_code, debug)
    except Exception as error:  # noqa: BLE001  # the last resort: no traceback unless asked for
        problem = f"medcyclegan failed: {type(error).__name__}: {error}"
        return _fail(f"{problem}; run with --debug for the traceback", 1, debug)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; goes with every command.")
    ] = False,
) -> None:
    del version, debug  # --debug is taken out of the words by `main`; the help shows it from here


@app.command()
def demo(
    out: OutFolder = Path("medcyclegan-demo"),
) -> None:
    """Show the whole story on a phantom: train, augment, evaluate, report. Needs no data."""
    from medcyclegan.demo import demo as run_demo

    if not run_demo(out, say=typer.echo):
        raise typer.Exit(1)


@app.command()
def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=_path, help="Where to look for volumes.")
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
        _tell(line)
    if as_json:
        typer.echo(rows_to_json(rows).rstrip())
    elif as_csv:
        typer.echo(rows_to_csv(rows).rstrip())
    else:
        _print_table(rows)


@app.command()
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
    from medcyclegan.train import train as run_training

    typer.echo(f"trained: {run_training(checked, resume=resume, say=typer.echo)}")


@app.command()
def augment(
    volumes: Annotated[
        Path,
        typer.Argument(
            metavar="VOLUMES", parser=_path, help="A volume, a folder of them, or a data set."
        ),
    ],
    out: OutFolder,
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=_path,
            help="Run folder, model folder or .safetensors; default: the last run.",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Domain to translate into; default: b.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", parser=_path, help="Folder of label maps to copy along, or one file."
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="Share of the change to apply, 0 to 2.")] = 1.0,
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
    with _stoppable(
        f"{out}: stopped; {'without --overwrite ' * overwrite}the same command goes on"
    ):
        from medcyclegan.augment import augment as run_augment

        summary = run_augment(
            volumes,
            out,
            checkpoint=checkpoint,
            to=to,
            labels=labels,
            strength=strength,
            device=device,
            batch_size=batch_size,
            overwrite=overwrite,
            dry_run=dry_run,
            say=_tell,
            show=typer.echo,
        )
    verb = "would be written" if dry_run else "written"
    typer.echo(
        f"{out}: {len(summary.written)} {verb}, {len(summary.skipped)} finished before, "
        f"{len(summary.failed)} failed"
    )
    if summary.failed:
        raise typer.Exit(1)


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


@contextlib.contextmanager
def _stoppable(line: str) -> Iterator[None]:
    """Say `line` when Ctrl-C, SIGTERM or SIGUSR1 stop what is inside.

    Raises:
        Interrupted: with that line, after SIGTERM and SIGUSR1.
        KeyboardInterrupt: after Ctrl-C.
    """
    caught: list[int] = []

    def stop(number: int, _frame: object) -> None:
        caught.append(number)
        raise KeyboardInterrupt  # unlike other errors, nothing on the way takes it for its own

    old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    except KeyboardInterrupt as error:
        if caught:
            raise Interrupted(line) from error
        _tell(line)
        raise
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


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


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Return the words without `--debug`, which may stand anywhere before a bare `--`."""
    end = words.index("--") if "--" in words else len(words)
    rest = [word for word in words[:end] if word != "--debug"]
    return [*rest, *words[end:]], len(rest) < end


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _fail(problem: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    _tell(" ".join(problem.splitlines()))
    return code
