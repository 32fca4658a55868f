"""The demo's page: one HTML file that holds its pictures and needs nothing from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from medcyclegan.report.demo_pictures import DIFFERENCE_HU, ShownCase, case_pictures
from medcyclegan.report.demo_tables import number, words
from medcyclegan.report.panels import SHOWN_HU

TEMPLATE = "demo.html.j2"


def make_page(result: Mapping[str, Any], shown: Sequence[ShownCase], config: str) -> str:
    """Return the page as HTML.

    Args:
        result: what the demo writes to metrics.json.
        shown: cases for pictures; `result["cases"]` says the HU of each.
        config: the resolved config, YAML.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "words": words}
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    pictures = {
        case.name: [base64.b64encode(data).decode("ascii") for data in case_pictures(case)]
        for case in shown
    }
    return environment.from_string(template).render(
        result=result,
        pictures=pictures,
        config=config,
        shown_hu=SHOWN_HU,
        difference_hu=DIFFERENCE_HU,
    )
