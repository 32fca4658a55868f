"""Phantom patients: one case with its twin, and the cohort of unpaired domains and test twins."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from medcyclegan.phantom import acquisition
from medcyclegan.phantom.acquisition import SCANNERS, Scanner
from medcyclegan.phantom.anatomy import paint_patient
from medcyclegan.phantom.parameters import Phase
from medcyclegan.phantom.physiology import TissueMap, make_physiology
from medcyclegan.phantom.shapes import Field, Grid
from medcyclegan.volume import Labels, Provenance, Volume

FIELD_OF_VIEW_MM = 384.0
SLICE_MM = 5.0
LOWEST_MM = -50.0  # the middle of the lowest slice, before the patient's own offset
ARTERIAL_EVERY = 4  # one patient with contrast medium in so many is arterial
SHARP_SHARE = {"contrast": 0.4, "noncontrast": 0.6}  # of patients on the sharp scanner
STREAMS = {  # of random numbers; a stream with another number is another patient
    "placing": 0,
    "anatomy": 1,
    "physiology": 2,
    "texture": 3,
    "noise": 4,
    "scanner": 6,
}
FINE = 2  # the body is painted this much finer in the slice than it is scanned


@dataclass(frozen=True)
class PhantomCase:
    """One patient on one scanner, and the truth of him in another phase, on the same grid.

    Args:
        image: the acquisition, int16 HU.
        clean: the same without noise, float32 HU.
        labels: which tissue each voxel is; see `LABELS`.
        clean_twin: the patient in the other phase, without noise, float32 HU: the truth.
        phase: of the image.
        twin_phase: of the twin.
        dose: the patient's iodine per body size, 1 is usual.
        scanner: a key of `SCANNERS`.
        patient: his key.
    """

    image: Volume
    clean: Volume
    labels: Labels
    clean_twin: Volume
    phase: Phase
    twin_phase: Phase
    dose: float
    scanner: str
    patient: str


@dataclass(frozen=True)
class Cohort:
    """Unpaired training cases of two domains, and test cases; no patient is in two of them."""

    contrast: tuple[PhantomCase, ...]
    noncontrast: tuple[PhantomCase, ...]
    test: tuple[PhantomCase, ...]


def make_case(
    seed: int | np.random.SeedSequence,
    phase: Phase,
    *,
    twin_phase: Phase | None = None,
    scanner: str | None = None,
    size: int = 128,
    slices: int = 24,
) -> PhantomCase:
    """Return one phantom patient with his twin; equal arguments give equal cases.

    Args:
        seed: which patient: anatomy, tissues, dose, scanner, noise.
        phase: of the image.
        twin_phase: of the twin; by default "noncontrast", or "venous" of a non-contrast image.
        scanner: a key of `SCANNERS`; by default either, drawn from the seed.
        size: rows and columns over the field of view of 384 mm.
        slices: number of slices, 5 mm apart.
    """
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    placing = _rng(sequence, "placing")
    offsets = placing.uniform((-10.0, -8.0, -12.0), (10.0, 8.0, 12.0))
    drawn = str(placing.choice(list(SCANNERS)))
    device = SCANNERS[scanner or drawn]
    other: Phase = twin_phase or ("venous" if phase == "noncontrast" else "noncontrast")
    spacing = FIELD_OF_VIEW_MM / size
    grid = _grid(size, slices, offsets)
    fine = _grid(size * FINE, slices, offsets)
    physiology = make_physiology(_rng(sequence, "physiology"))
    patient = "-".join(["phantom", str(sequence.entropy), *map(str, sequence.spawn_key)])
    affine = np.diag([-spacing, -spacing, SLICE_MM, 1.0])
    affine[:3, 3] = (-grid.x[0], -grid.y[0], grid.z[0])
    provenance = Provenance(format="phantom", patient=patient)
    body = TissueMap(
        fine,
        paint_patient(fine, _rng(sequence, "anatomy")),
        physiology,
        _rng(sequence, "texture"),
    )
    clean = _scan(body.hu(phase), device, spacing)
    clean_twin = _scan(body.hu(other), device, spacing)

    def volume(array: npt.NDArray[np.float32] | npt.NDArray[np.int16]) -> Volume:
        return Volume(_file_order(array), affine, provenance)

    grain = acquisition.noise(clean.shape, device, spacing, _rng(sequence, "noise"))
    labels = paint_patient(grid, _rng(sequence, "anatomy"))
    return PhantomCase(
        image=volume(acquisition.whole_hu(clean + grain)),
        clean=volume(clean),
        labels=Labels(_file_order(labels), affine),
        clean_twin=volume(clean_twin),
        phase=phase,
        twin_phase=other,
        dose=physiology.dose,
        scanner=device.name,
        patient=patient,
    )


def make_cohort(
    seed: int = 0,
    *,
    train_contrast: int = 24,
    train_noncontrast: int = 24,
    test: int = 8,
    size: int = 128,
    slices: int = 24,
    workers: int = 1,
) -> Cohort:
    """Return a cohort in which every patient is another person.

    Contrast patients are portal venous, every fourth arterial; test cases are contrast patients
    with their non-contrast twins. Both domains come from both scanners in different proportions.

    Args:
        seed: of the whole cohort.
        train_contrast: number of training patients with contrast medium.
        train_noncontrast: number of training patients without.
        test: number of test patients.
        size: rows and columns of each slice.
        slices: number of slices of each volume.
        workers: processes that share the work; the cohort does not depend on it. A script that
            asks for more than one needs the guard `if __name__ == "__main__":`.
    """
    wanted = [
        *((seed, 0, number, "contrast", size, slices) for number in range(train_contrast)),
        *((seed, 1, number, "noncontrast", size, slices) for number in range(train_noncontrast)),
        *((seed, 2, number, "contrast", size, slices) for number in range(test)),
    ]
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            cases = tuple(pool.map(_cohort_case, wanted))
    else:
        cases = tuple(map(_cohort_case, wanted))
    split = train_contrast + train_noncontrast
    return Cohort(cases[:train_contrast], cases[train_contrast:split], cases[split:])


def _cohort_case(wanted: tuple[int, int, int, str, int, int]) -> PhantomCase:
    seed, role, number, domain, size, slices = wanted
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(role, number))
    arterial = number % ARTERIAL_EVERY == ARTERIAL_EVERY - 1
    phase: Phase = "noncontrast"
    if domain == "contrast":
        phase = "arterial" if arterial else "venous"
    scanner = "sharp" if _rng(sequence, "scanner").random() < SHARP_SHARE[domain] else "smooth"
    return make_case(sequence, phase, scanner=scanner, size=size, slices=slices)


def _rng(sequence: np.random.SeedSequence, stream: str) -> np.random.Generator:
    """Return one of a patient's independent sources, the same however often it is asked for."""
    key = (*sequence.spawn_key, STREAMS[stream])
    return np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=key))


def _grid(size: int, slices: int, offsets: npt.NDArray[np.float64]) -> Grid:
    """Return the voxel centres of a scan whose table stands off by `offsets` (x, y, z) mm."""
    across = (np.arange(size) - (size - 1) / 2) * (FIELD_OF_VIEW_MM / size)
    z = LOWEST_MM + offsets[2] + np.arange(slices) * SLICE_MM
    return Grid(
        z.astype(np.float32),
        (across + offsets[1]).astype(np.float32),
        (across + offsets[0]).astype(np.float32),
    )


def _scan(fine_hu: Field, scanner: Scanner, spacing_mm: float) -> Field:
    """Return a finely painted body as the scanner's noiseless slices."""
    slices, rows, columns = (n // FINE if axis else n for axis, n in enumerate(fine_hu.shape))
    mean = fine_hu.reshape(slices, rows, FINE, columns, FINE).mean(axis=(2, 4), dtype=np.float32)
    return acquisition.blur(mean, scanner, spacing_mm)


def _file_order(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return slices (S, H, W) as an array (I, J, K) whose axes run left, back and head."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))
