"""The segmentation protocol's page: one HTML file that needs nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from medcyclegan.report.demo_tables import number, words
from medcyclegan.report.protocol_tables import (
    DOMAINS,
    MEAN,
    arms_table,
    gap_line,
    organs_table,
    references_table,
    steps_line,
    training_table,
)

TEMPLATE = "protocol.html.j2"
LEFT, WIDTH, ROW = 230.0, 480.0, 30.0  # of a chart: room for names, for the scale, for each arm


class Mark(NamedTuple):
    """One arm in a chart, in pixels."""

    title: str
    y: float
    x: float
    low: float
    high: float
    label: str


class Chart(NamedTuple):
    """Mean Dice of all arms with intervals, in pixels.

    Args:
        height: of the picture.
        marks: an arm each.
        ticks: place and text.
        guide: where the standard arm lies.
    """

    height: float
    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]
    guide: float


def make_page(result: Mapping[str, Any], config: str) -> str:
    """Return the page as HTML.

    Args:
        result: what the protocol writes to results.json.
        config: the resolved config, YAML.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "words": words}
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        result=result,
        config=config,
        domains=DOMAINS,
        charts={domain: make_chart(result, domain) for domain in DOMAINS},
        arms={domain: arms_table(result, domain) for domain in DOMAINS},
        organs={domain: organs_table(result, domain) for domain in DOMAINS},
        surfaces={domain: organs_table(result, domain, "surface_mm") for domain in DOMAINS},
        references={domain: references_table(result, domain) for domain in DOMAINS},
        training=training_table(result),
        gaps={domain: gap_line(result, domain) for domain in DOMAINS},
        steps=steps_line(result),
        left=LEFT,
        width=WIDTH,
    )


def make_chart(result: Mapping[str, Any], domain: str) -> Chart:
    """Return where the arms' mean Dice and its intervals lie in a picture.

    The scale begins at the tenth below the lowest interval and ends at 1.
    """
    figures = {arm: found[domain][MEAN]["dice"] for arm, found in result["arms"].items()}
    lows = [figure["low"] for figure in figures.values() if figure["low"] is not None]
    least = min(int(min(lows, default=0.0) * 10), 9) / 10

    def place(value: float | None) -> float:
        return LEFT + WIDTH * ((value or 0.0) - least) / (1 - least)

    marks = [
        Mark(
            result["arms"][arm]["title"],
            ROW * (index + 0.5),
            place(figure["value"]),
            place(figure["low"]),
            place(figure["high"]),
            number(figure["value"], 3),
        )
        for index, (arm, figure) in enumerate(figures.items())
        if figure["value"] is not None
    ]
    tenths = range(round(least * 10), 11)
    ticks = [(place(tenth / 10), f"{tenth / 10:.1f}") for tenth in tenths]
    height = ROW * len(figures)
    return Chart(height, marks, ticks, place(figures["standard"]["value"]))
