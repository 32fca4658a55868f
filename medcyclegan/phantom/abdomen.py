"""The setting of the phantom by default: an abdomen by its usual topography, with findings."""

from __future__ import annotations

from medcyclegan.phantom.anatomy import paint_patient
from medcyclegan.phantom.findings import plan_findings, planning_grid
from medcyclegan.phantom.marks import Ball, as_finding
from medcyclegan.phantom.parameters import FINDINGS, TISSUES
from medcyclegan.phantom.population import Population
from medcyclegan.phantom.setting import Painted, Setting, Streams
from medcyclegan.phantom.shapes import Grid


def paint_abdomen(grid: Grid, streams: Streams, population: Population) -> Painted:
    """Return the patient that the streams draw, with the findings that his population has.

    Where it has none, its patients have lesions of the one kind "lesion"; where it has some, those
    lesions are healthy liver.
    """
    shift = population.habitus
    painter = paint_patient(grid, streams("anatomy"), habitus_shift=shift)
    if not population.findings:
        return Painted(painter.labels)
    coarse = paint_patient(planning_grid(), streams("anatomy"), habitus_shift=shift)
    marks = plan_findings(coarse, streams("findings"), population.findings)
    for mark in marks:
        mark.paint(painter)
    balls = (mark for mark in marks if isinstance(mark, Ball) and mark.name in FINDINGS)
    return Painted(painter.labels, tuple(map(as_finding, balls)))


ABDOMEN = Setting("abdomen", TISSUES, paint_abdomen)
