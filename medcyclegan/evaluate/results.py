"""What an evaluation writes: JSON, CSV, text, plots and one page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcyclegan import __version__, files
from medcyclegan.errors import InputError
from medcyclegan.report.evaluate_page import make_page
from medcyclegan.report.evaluate_plots import draw_plots
from medcyclegan.report.evaluate_tables import all_tables, summary_table

FIGURES = "metrics.json"
PLOTS = "plots"
COLUMNS = ("metric", "row", "method", "patients", "value", "low", "high")


def check_out(out: Path, command: str) -> None:
    """Check that `out` is new, empty, or holds what the same command wrote.

    Raises:
        InputError: it holds other things.
    """
    if not out.is_dir() or _made_by(out / FIGURES) == command:
        return
    if any(not path.name.startswith(files.TEMPORARY_PREFIX) for path in out.iterdir()):
        raise InputError(
            f"{out}: is not empty, and {command} did not write it; give another folder"
        )


def write_results(out: Path, command: str, result: Mapping[str, Any]) -> str:
    """Write all that was found, each file whole, `metrics.json` last, and return the summary.

    Args:
        out: folder to write to.
        command: that made it.
        result: as `compare_methods` gives it, with what else is to be known.

    Raises:
        MedCycleGANError: the disk is full.
    """
    written = {"made_by": command, "version": __version__, **result}
    plots = draw_plots(written)
    figures = json.dumps(written, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    pictures = {f"{PLOTS}/{name}.png": png for name, png in plots.items()}
    files.write_together(
        out,
        {
            **pictures,
            "metrics.csv": _csv(written).encode(),
            "table.txt": (all_tables(written) + "\n").encode(),
            "report.html": make_page(written, plots).encode(),
            FIGURES: figures.encode(),
        },
    )
    for old in (out / PLOTS).glob("*.png"):
        if f"{PLOTS}/{old.name}" not in pictures:
            old.unlink()
    return f"{summary_table(written)}\n\nmore: {out / 'report.html'}"


def _made_by(path: Path) -> str | None:
    """Return the command that wrote an evaluation's figures; None where they are none."""
    try:
        return str(json.loads(path.read_bytes())["made_by"])
    except files.NOT_OURS:
        return None


def _csv(result: Mapping[str, Any]) -> str:
    """Return every figure on a line of its own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for metric, found in result["metrics"].items():
        for row, figures in found["rows"].items():
            for method, figure in figures["methods"].items():
                values = (figure[key] for key in ("value", "low", "high"))
                writer.writerow([metric, row, method, figures["patients"], *values])
    return stream.getvalue()
