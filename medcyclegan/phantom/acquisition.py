"""How a scanner sees the body: its kernel's blur and its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Hu = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scanner:
    """A scanner with one reconstruction kernel.

    Args:
        name: what tables call it.
        blur_mm: Gaussian sigma of the kernel in the slice, mm.
        noise_hu: least and greatest noise SD in soft tissue, HU; each acquisition has its own.
        noise_mm: Gaussian sigma of the kernel's noise, mm: how coarse its grain is.
    """

    name: str
    blur_mm: float
    noise_hu: tuple[float, float]
    noise_mm: float


SCANNERS: dict[str, Scanner] = {
    "smooth": Scanner("smooth", blur_mm=1.7, noise_hu=(8.0, 13.0), noise_mm=1.9),
    "sharp": Scanner("sharp", blur_mm=1.1, noise_hu=(12.0, 18.0), noise_mm=1.1),
}


def blur(hu: Hu, scanner: Scanner, spacing_mm: float) -> Hu:
    """Return slices as a noiseless scanner would show them.

    Args:
        hu: (S, H, W).
        scanner: its kernel is applied in the slice.
        spacing_mm: of rows and columns, mm.
    """
    sigma = scanner.blur_mm / spacing_mm
    return ndimage.gaussian_filter(hu, (0.0, sigma, sigma), mode="nearest", truncate=3.0)


def noise(
    shape: tuple[int, int, int], scanner: Scanner, spacing_mm: float, rng: np.random.Generator
) -> Hu:
    """Return noise with the scanner's spectrum, HU, (S, H, W).

    White noise is shaped in the slice by `sqrt(f) * exp(-(2 pi sigma f)^2 / 2)`: the ramp of
    filtered back-projection times the kernel (Riederer, Pelc and Chesler 1978, Phys Med Biol
    23:446-454).
    """
    rows = np.fft.fftfreq(shape[1], spacing_mm)[:, None]
    columns = np.fft.rfftfreq(shape[2], spacing_mm)[None, :]
    frequency = np.hypot(rows, columns)
    shape_of = np.sqrt(frequency + 0.01) * np.exp(
        -0.5 * (2 * np.pi * scanner.noise_mm * frequency) ** 2
    )
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = fft.rfft2(white, axes=(1, 2)) * shape_of.astype(np.float32)
    grain = fft.irfft2(spectrum, s=shape[1:], axes=(1, 2))
    return (grain * (rng.uniform(*scanner.noise_hu) / grain.std())).astype(np.float32)


def whole_hu(hu: Hu) -> npt.NDArray[np.int16]:
    """Return HU as a scanner stores them: whole, and never below -1024."""
    return np.rint(hu).clip(-1024, 3071).astype(np.int16)
