"""Whether voxels can be CT in Hounsfield units at all.

Nothing in most files says what the numbers mean, so the numbers themselves are asked. Any CT of a
patient shows air, lung or fat well below water; what shows none of them is an offset, rescaled or
masked CT, another modality or a label map, unless it is a crop from inside soft tissue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import IntensityError

PADDING_HU = -1500.0  # scanners fill the corners outside the field of view with -2000, -3024...
AIR_HU = -850.0  # noise and calibration included, air is below this
LEAN_HU = -200.0  # fat and all that is denser is above this
METAL_HU = 4000.0  # denser than any tissue; metal and clipped noise reach it in few voxels
MOST_HU = 32767  # metal never comes near it
FARTHEST_HU = 1e6  # no 16-bit number times a scanner's slope gets there
MOST_SPREAD = 0.05  # padding is one value or two; only what interpolation blurs them to is others
RIPPLE_HU = 8.0  # splines ring: far from the edge of padding, by less than this
MOST_ZEROS = 0.2  # noise spreads even a bath of water over many values
MOST_SAMPLES = 2_000_000


def check_hu(array: npt.NDArray[Any]) -> None:
    """Check that voxels can be CT in HU.

    Accepted: CT of any body part, air alone, padding below -1500 HU, metal in a few voxels, a
    crop from inside soft tissue. The range is read from every voxel, shares from at most two
    million of them, evenly spread.

    Args:
        array: voxels, any shape and real type.

    Raises:
        IntensityError: not a number somewhere, one constant that is not air, a label map, an
            8-bit picture, normalised values, an offset of about 1024 or an intercept applied
            twice, HU times ten, an inverted or masked image, MR, PET or anything else that shows
            neither air nor soft tissue.
    """
    _check_finite(array)
    low, high = float(array.min()), float(array.max())
    if max(-low, high) > FARTHEST_HU:
        raise IntensityError(
            f"holds values from {low:g} to {high:g}: not HU; rescale it, or replace those beyond "
            f"{FARTHEST_HU:.0f} (air is -1000)"
        )
    if high <= AIR_HU:
        _check_air(low, high)
        return
    step = max(1, array.size // MOST_SAMPLES)
    sample = array.ravel(order="K")[::step].astype(np.float32)
    _check_padding(sample)
    sample = sample[sample > PADDING_HU]
    if low == high or not sample.size:
        raise IntensityError(f"holds nothing but {high:g}: no CT; leave it out")
    _check_scale(sample, low, high)
    if _share(sample, METAL_HU, np.inf) > 0.02:
        raise IntensityError(
            f"has {_share(sample, METAL_HU, np.inf):.0%} of its voxels above {METAL_HU:g}: not HU; "
            "rescale it with its slope and intercept"
        )
    if _share(sample, 850, 1200) > 0.1 and _share(sample, PADDING_HU, AIR_HU) < 0.02:
        raise IntensityError(
            f"holds values from {low:g} to {high:g}, {_share(sample, 850, 1200):.0%} of them near "
            "1024 and hardly any near -1000: not HU; subtract 1024 or set the intercept to -1024"
        )
    _check_background(sample, low, high)
    if _share(sample, PADDING_HU, LEAN_HU) < 0.02:
        _check_without_air(sample, low, high)


def _check_finite(array: npt.NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        raise IntensityError(
            f"has {count} voxels that are not a finite number; replace them (air is -1000)"
        )


def _check_air(low: float, high: float) -> None:
    if high <= PADDING_HU:
        raise IntensityError(f"holds only padding ({low:g} to {high:g}): no CT; leave it out")


def _check_padding(sample: npt.NDArray[np.float32]) -> None:
    """Refuse what is far below air and as uneven as an image: HU that were scaled or shifted."""
    below = sample[sample <= PADDING_HU]
    _, counts = np.unique(np.rint(below / RIPPLE_HU), return_counts=True)
    spread = float(np.sort(counts)[:-2].sum()) / sample.size
    if spread > MOST_SPREAD:
        low = below.min()
        raise IntensityError(
            f"has {spread:.0%} of its voxels spread from {low:g} to {PADDING_HU:g}, far below "
            "air: not HU, but HU times ten or with the intercept applied twice; rescale it"
        )


def _check_scale(sample: npt.NDArray[np.float32], low: float, high: float) -> None:
    span = f"holds values from {low:g} to {high:g}"
    whole = bool((sample == np.rint(sample)).all())
    if whole and low == 0 and high <= 255:
        what = "a label map" if len(np.unique(sample)) <= 128 else "an 8-bit picture"
        raise IntensityError(f"{span}: {what}, not HU; give the CT in HU it was made from")
    if low > AIR_HU and float(sample.max() - sample.min()) < 60:
        raise IntensityError(f"{span}: normalised, not HU; give the CT before normalisation")


def _check_background(sample: npt.NDArray[np.float32], low: float, high: float) -> None:
    """Refuse a background of 0, which in HU is water, even around a patient with lungs."""
    zero = float((sample == 0).mean())
    if zero > MOST_ZEROS:
        raise IntensityError(
            f"holds values from {low:g} to {high:g}, {zero:.0%} of them exactly 0: masked CT or "
            "MR, not CT in HU; fill the background of a CT with -1024"
        )


def _check_without_air(sample: npt.NDArray[np.float32], low: float, high: float) -> None:
    span = f"holds values from {low:g} to {high:g} and no air, lung or fat below {LEAN_HU:g}"
    soft = _share(sample, LEAN_HU, 300)
    fat = _share(sample, LEAN_HU, -50)
    dark = _share(sample, -20, 10)  # CSF and bile in a CT, the background of an MR
    if soft < (0.6 if fat > 0.03 else 0.95) or dark > 0.25:
        raise IntensityError(
            f"{span}: MR, PET or rescaled CT, not CT in HU; leave it out, or rescale it to HU"
        )


def _share(sample: npt.NDArray[np.float32], low: float, high: float) -> float:
    return float(((sample >= low) & (sample < high)).mean())


def odd_hu(array: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return what is odd about voxels that `check_hu` accepts, one line each.

    >>> odd_hu(np.array([-1000, 64511]))
    ('1 voxels above 32767 HU: unsigned values that were once negative?',)
    """
    if array.max() <= AIR_HU:
        return ("nothing but air: no patient is in it",)
    count = int(np.count_nonzero(array > MOST_HU))
    return (f"{count} voxels above {MOST_HU} HU: unsigned values that were once negative?",) * (
        count > 0
    )
