"""An evaluation's page: one HTML file that holds its plots and needs nothing from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from medcyclegan.report.evaluate_tables import figure, ideal_of, interval, title_of, words

TEMPLATE = "evaluate.html.j2"


def make_page(result: Mapping[str, Any], plots: Mapping[str, bytes]) -> str:
    """Return the page as HTML.

    Args:
        result: what `evaluate` writes to metrics.json; with `expectations`, these come first.
        plots: name -> PNG.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": figure, "interval": interval, "words": words}
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    summary = result["summary"]
    names = list(dict.fromkeys(name for figures in summary.values() for name in figures))
    return environment.from_string(template).render(
        result=result,
        method=result["method"],
        names=names,
        titles={name: title_of(name, result["metrics"]) for name in names},
        ideals={name: ideal_of(name, result["metrics"]) for name in names},
        plots={name: base64.b64encode(data).decode("ascii") for name, data in plots.items()},
    )
