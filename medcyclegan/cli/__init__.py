"""The command line: each command parses, calls one function and prints what it returns."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from medcyclegan import __version__
from medcyclegan.cli import augment, cache, config, demo, evaluate, phantom, report, scan, train
from medcyclegan.cli.options import tell
from medcyclegan.errors import MedCycleGANError

app = typer.Typer(
    help="Unpaired translation of CT volumes between domains such as contrast phases.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(phantom.phantom)
app.command()(scan.scan)
app.command()(train.train)
app.command()(augment.augment)
app.command()(report.report)
app.command()(cache.cache)
app.add_typer(evaluate.evaluate_app, name="evaluate")
app.add_typer(config.config_app, name="config")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; people get one line of what went wrong.

    Args:
        arguments: of the command line, without the program's name; by default sys.argv's.
    """
    words, debug = _take_debug(sys.argv[1:] if arguments is None else list(arguments))
    _open_closed_streams()
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


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Return the words without `--debug`, which may stand anywhere before a bare `--`."""
    end = words.index("--") if "--" in words else len(words)
    rest = [word for word in words[:end] if word != "--debug"]
    return [*rest, *words[end:]], len(rest) < end


def _open_closed_streams() -> None:
    """Let what goes to a stream that the caller closed (`>&-`) vanish, as to /dev/null.

    Descriptors 0 to 2 are taken as well, lest a file opened later become the standard output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:  # the lowest that is free
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def _fail(problem: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    tell(" ".join(problem.splitlines()))
    return code
