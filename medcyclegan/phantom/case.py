"""Phantom case: one patient on one scanner, and the truth of him in another phase."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom import acquisition
from medcyclegan.phantom.abdomen import ABDOMEN
from medcyclegan.phantom.acquisition import SCANNERS, Scanner
from medcyclegan.phantom.marks import list_findings
from medcyclegan.phantom.painter import LabelMap
from medcyclegan.phantom.parameters import LABELS, Phase
from medcyclegan.phantom.physiology import Physiology, TissueMap, make_physiology
from medcyclegan.phantom.population import PLAIN, Domain, Population, Populations
from medcyclegan.phantom.setting import Finding, Setting, Streams
from medcyclegan.phantom.shapes import Field, Grid
from medcyclegan.phantom.stars import STARS
from medcyclegan.volume import Affine, Labels, Provenance, Volume

SETTINGS: dict[str, Setting] = {setting.name: setting for setting in (ABDOMEN, STARS)}
SLICE_MM = 5.0
LOWEST_MM = -50.0  # the middle of the lowest slice, before the patient's own offset
STREAMS = {  # of random numbers; a stream with another number is another patient
    "placing": 0,
    "anatomy": 1,
    "physiology": 2,
    "texture": 3,
    "noise": 4,
    "scanner": 6,
    "findings": 7,
    "findings physiology": 8,
    "field of view": 9,
    "second noise": 10,
    "target scanner": 11,
    "target noise": 12,
}
FINE = 2  # the body is painted this much finer in the slice than it is scanned


@dataclass(frozen=True)
class PhantomCase:
    """One patient on one scanner, and the truth of him in another phase, on the same grid.

    Args:
        image: the acquisition, int16 HU.
        clean: the same without noise, float32 HU.
        labels: which tissue each voxel is; see `LABELS`.
        clean_twin: the patient in the other phase on the same scanner, without noise, float32 HU:
            the truth of a translation.
        second_twin: an acquisition of it, with noise of its own, int16 HU.
        clean_target_twin: the patient in the other phase on a scanner of the other domain, without
            noise, float32 HU.
        target_twin: an acquisition of that, with that domain's noise, int16 HU.
        phase: of the image.
        twin_phase: of the twins.
        domain: of the image.
        dose: the patient's iodine per body size, 1 is usual.
        scanner: of the image and its twin, a key of `SCANNERS`.
        target_scanner: of the target twin, likewise.
        setting: a key of `SETTINGS`.
        physiology: what the patient's tissues measure; `dose` is in it, too.
        findings: those that the scan shows.
        patient: his key.
    """

    image: Volume
    clean: Volume
    labels: Labels
    clean_twin: Volume
    second_twin: Volume
    clean_target_twin: Volume
    target_twin: Volume
    phase: Phase
    twin_phase: Phase
    domain: Domain
    dose: float
    scanner: str
    target_scanner: str
    setting: str
    physiology: Physiology
    findings: tuple[Finding, ...]
    patient: str


class Frame(NamedTuple):
    """The grid of one scan: voxel centres, their finer division, spacing (S, H, W) and affine."""

    grid: Grid
    fine: Grid
    spacing_mm: tuple[float, float, float]
    affine: Affine


def domain_of(phase: Phase) -> Domain:
    """Return the domain that images of a phase belong to."""
    return "noncontrast" if phase == "noncontrast" else "contrast"


def make_case(
    seed: int | np.random.SeedSequence,
    phase: Phase,
    *,
    twin_phase: Phase | None = None,
    scanner: str | None = None,
    populations: Populations | None = None,
    setting: str = "abdomen",
    size: int = 128,
    slices: int = 24,
) -> PhantomCase:
    """Return one phantom patient with his twins; equal arguments give equal cases.

    Args:
        seed: which patient: anatomy, tissues, dose, scanner, noise.
        phase: of the image.
        twin_phase: of the twins; by default "noncontrast", or "venous" of a non-contrast image.
        scanner: a key of `SCANNERS`; by default drawn from the seed as the population has it.
        populations: what the patients of each domain have in common; by default `PLAIN`, but with
            both scanners equally likely.
        setting: a key of `SETTINGS`.
        size: rows and columns over the field of view.
        slices: number of slices, 5 mm apart.
    """
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    streams = partial(_rng, sequence)
    other: Phase = twin_phase or ("venous" if phase == "noncontrast" else "noncontrast")
    own, target = ((populations or PLAIN)[domain_of(one)] for one in (phase, other))
    offsets, either = _placing(streams("placing"))
    drawn = own.draw_scanner(streams("scanner")) if populations else either
    device = SCANNERS[scanner or drawn]
    elsewhere = SCANNERS[target.draw_scanner(streams("target scanner"))]
    width_mm = streams("field of view").uniform(*own.field_of_view_mm)
    frame = _frame(size, slices, width_mm, offsets)
    body, labels, balls = _paint(SETTINGS[setting], frame, streams, own, {phase, other})
    clean = _scan(body.hu(phase), device, frame)
    twin_hu = body.hu(other)
    clean_twin, clean_target = (_scan(twin_hu, seen, frame) for seen in (device, elsewhere))
    patient = "-".join(["phantom", str(sequence.entropy), *map(str, sequence.spawn_key)])

    def volume(array: npt.NDArray[np.generic]) -> Volume:
        provenance = Provenance(format="phantom", patient=patient)
        return Volume(_file_order(array), frame.affine, provenance)

    def acquired(hu: Field, seen: Scanner, factor: float, stream: str) -> Volume:
        grain = acquisition.noise(hu.shape, seen, frame.spacing_mm[1], streams(stream))
        return volume(acquisition.whole_hu(hu + factor * grain))

    return PhantomCase(
        image=acquired(clean, device, own.noise, "noise"),
        clean=volume(clean),
        labels=Labels(_file_order(labels), frame.affine),
        clean_twin=volume(clean_twin),
        second_twin=acquired(clean_twin, device, own.noise, "second noise"),
        clean_target_twin=volume(clean_target),
        target_twin=acquired(clean_target, elsewhere, target.noise, "target noise"),
        phase=phase,
        twin_phase=other,
        domain=domain_of(phase),
        dose=body.physiology.dose,
        scanner=device.name,
        target_scanner=elsewhere.name,
        setting=setting,
        physiology=body.physiology,
        findings=list_findings(labels, frame.grid, frame.spacing_mm, balls),
        patient=patient,
    )


def _rng(sequence: np.random.SeedSequence, stream: str) -> np.random.Generator:
    """Return one of a patient's independent sources, the same however often it is asked for."""
    key = (*sequence.spawn_key, STREAMS[stream])
    return np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=key))


def _placing(rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], str]:
    """Return how far the table stands off, (x, y, z) mm, and one scanner or the other."""
    offsets = rng.uniform((-10.0, -8.0, -12.0), (10.0, 8.0, 12.0))
    return offsets, str(rng.choice(list(SCANNERS)))


def _paint(
    setting: Setting, frame: Frame, streams: Streams, population: Population, phases: set[Phase]
) -> tuple[TissueMap, LabelMap, tuple[Finding, ...]]:
    """Return a patient's tissues on the fine grid, his labels on the scan's, and round findings."""
    painted = setting.paint(frame.grid, streams, population)
    fine = setting.paint(frame.fine, streams, population).labels
    findings = bool(population.findings)
    if findings and "delayed" in phases:  # by then the kidneys excrete in everyone
        for labels in (painted.labels, fine):
            labels[labels == LABELS["renal_pelvis"]] = LABELS["opacified_pelvis"]
    physiology = make_physiology(
        setting,
        streams("physiology"),
        streams("findings physiology"),
        labelled_fat=findings,
    )
    body = TissueMap(frame.fine, fine, physiology, streams("texture"), setting.tissues)
    return body, painted.labels, painted.findings


def _frame(size: int, slices: int, width_mm: float, offsets: npt.NDArray[np.float64]) -> Frame:
    """Return the grid of a scan whose table stands off by `offsets` (x, y, z) mm."""
    grid, fine = (_grid(count, slices, width_mm, offsets) for count in (size, size * FINE))
    spacing = width_mm / size
    affine = np.diag([-spacing, -spacing, SLICE_MM, 1.0])
    affine[:3, 3] = (-grid.x[0], -grid.y[0], grid.z[0])
    return Frame(grid, fine, (SLICE_MM, spacing, spacing), affine)


def _grid(size: int, slices: int, width_mm: float, offsets: npt.NDArray[np.float64]) -> Grid:
    across = (np.arange(size) - (size - 1) / 2) * (width_mm / size)
    z = LOWEST_MM + offsets[2] + np.arange(slices) * SLICE_MM
    return Grid(
        z.astype(np.float32),
        (across + offsets[1]).astype(np.float32),
        (across + offsets[0]).astype(np.float32),
    )


def _scan(fine_hu: Field, scanner: Scanner, frame: Frame) -> Field:
    """Return a finely painted body as the scanner's noiseless slices."""
    slices, rows, columns = frame.grid.shape
    mean = fine_hu.reshape(slices, rows, FINE, columns, FINE).mean(axis=(2, 4), dtype=np.float32)
    return acquisition.blur(mean, scanner, frame.spacing_mm[1])


def _file_order(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return slices (S, H, W) as an array (I, J, K) whose axes run left, back and head."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))
