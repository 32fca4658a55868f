"""What the image itself says of contrast medium: how much of the soft tissue is bright and smooth.

Opacified blood, and the organs it fills, make smooth areas well above unenhanced tissue (at most
75 HU). Marrow is as bright, but coarse or in a shell of brighter bone; what was drunk is beside
gas. Neither counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medcyclegan.body import body_mask, slice_tissues
from medcyclegan.phase.verdict import Evidence
from medcyclegan.slices import resample_slices, resampled_size, slice_frame, to_slices
from medcyclegan.volume import Volume

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

GRID_MM = 1.5
SLAB_MM = 5.0
MOST_SLABS = 24
SKIN_MM = 6.0
LEAST_CM2 = 0.3  # of a bright area
LEAST_SOFT_CM2 = 60.0  # of soft tissue in a slice, for large vessels to be in it
SKULL_SHARE, SKULL_CM2 = 0.09, 350.0  # so much bone in so small a slice is a head
MOST_PIXEL_MM = 3.5  # of which vessels can be made out
IN_DOUBT = 0.25  # of its weight, where large vessels would not be seen
METAL_HU, METAL_CM2 = 2500.0, 0.2  # so much in a body makes streaks, and some of them are smooth
GAS_CM2 = (0.15, 25.0)  # beside a bright area; larger ones are lungs
GAS_HU = -300.0
COARSE_SHARE, SPREAD_SHARE, SHELL_SHARE = 0.10, 0.22, 0.15
SHARES, LOG_ODDS = (0.003, 0.0125, 0.03), (-1.8, 0.0, 3.0)  # of the soft tissue; what each weighs


@dataclass(frozen=True)
class BrightTissue:
    """Bright smooth areas of a volume.

    Args:
        soft_cm2: area of soft tissue in a slice, on average.
        trunk: whether most slices would show large vessels: soft tissue enough, no head, no metal
            everywhere, and pixels of at most 3.5 mm.
        share: of the soft tissue that is bright and smooth, 0 to 1.
        level_hu: median of what is bright and smooth; NaN where nothing is.
        threshold_hu: above which it counts.
    """

    soft_cm2: float
    trunk: bool
    share: float
    level_hu: float
    threshold_hu: float


def image_evidence(volume: Volume, *, drunk: bool = False) -> list[Evidence]:
    """Return what bright smooth areas say of contrast medium.

    A share of 3 % of the soft tissue or more weighs 3, one of 1.25 % nothing, one of 0.3 % or less
    -1.8, and between them what lies between: discs of the spine are bright and smooth, too, and
    make up to 1.5 % of an abdomen. All count a quarter where no large vessels would be seen, as in
    a head, a leg or coarse pixels; what is bright does, too, where it may be in the bowel.

    Args:
        volume: CT in HU, any orientation.
        drunk: whether contrast medium was given by mouth, and none into a vein as far as is known.
    """
    found = bright_tissue(volume)
    if found.soft_cm2 < 1:
        return []
    says = f"image: {found.share:.1%} of the soft tissue bright and smooth"
    log_odds = round(float(np.interp(found.share, SHARES, LOG_ODDS)), 3)
    if log_odds > 0:
        says += f", median {found.level_hu:.0f} HU"
    else:
        says += f", above {found.threshold_hu:.0f} HU"
    if log_odds > 0 and drunk:
        return [Evidence(log_odds * IN_DOUBT, f"{says}; it may be what was drunk")]
    if found.trunk:
        return [Evidence(log_odds, says)]
    return [Evidence(log_odds * IN_DOUBT, f"{says}; large vessels would hardly be seen")]


def bright_tissue(volume: Volume) -> BrightTissue:
    """Return how much of a volume's soft tissue is bright and smooth.

    At most 24 slabs of 5 mm, evenly spread, on a grid of 1.5 mm; those with metal in the body count
    only where all have. Bright is 33 HU above the commonest soft tissue, but 80 HU at least and
    100 HU at most.
    """
    slabs = _slabs(volume)
    masks = body_mask(slabs)
    clear = _cm2(((slabs > METAL_HU) & masks).sum(axis=(1, 2))) < METAL_CM2
    if clear.any():
        slabs, masks = slabs[clear], masks[clear]
    seen = [_Slab.of(hu, mask) for hu, mask in zip(slabs, masks, strict=True)]
    tones = [slab.commonest_hu() for slab in seen]
    known = [tone for tone in tones if tone is not None]
    threshold = float(np.clip((np.median(known) if known else 50.0) + 33.0, 80.0, 100.0))
    soft = sum(int(slab.soft.sum()) for slab in seen)
    values = np.concatenate([slab.smooth[slab.bright_areas(threshold)] for slab in seen])
    return BrightTissue(
        soft_cm2=_cm2(soft) / len(seen),
        trunk=max(slice_frame(volume.array.shape, volume.affine).spacing_mm[1:]) <= MOST_PIXEL_MM
        and bool(clear.any())
        and _is_trunk(slabs, masks, seen),
        share=len(values) / max(1, soft),
        level_hu=float(np.median(values)) if len(values) else float("nan"),
        threshold_hu=threshold,
    )


def _is_trunk(slabs: Image, masks: Mask, seen: list[_Slab]) -> bool:
    tissues = slice_tissues(slabs, masks, (GRID_MM, GRID_MM))
    heads = (tissues.bone > SKULL_SHARE) & (tissues.body_cm2 < SKULL_CM2)
    enough = np.array([_cm2(int(slab.soft.sum())) >= LEAST_SOFT_CM2 for slab in seen])
    return bool((enough & ~heads).mean() >= 0.5)


@dataclass(frozen=True)
class _Slab:
    """One slab, HU on the grid of 1.5 mm, and what is seen in it."""

    hu: Image
    smooth: Image
    slope: Image  # HU per mm
    soft: Mask
    gas: Mask

    @staticmethod
    def of(hu: Image, body: Mask) -> _Slab:
        sigma = 2.0 / GRID_MM
        smooth = ndimage.gaussian_filter(hu, sigma)
        slope = ndimage.gaussian_gradient_magnitude(hu, sigma) / GRID_MM
        inside = ndimage.binary_erosion(body, _disc(SKIN_MM))
        regions, _ = ndimage.label(body & (hu < GAS_HU))
        sizes = _cm2(np.bincount(regions.ravel()))
        bubbles = (sizes < GAS_CM2[1]) & (np.arange(len(sizes)) > 0)
        return _Slab(
            hu=ndimage.gaussian_filter(hu, 1.0 / GRID_MM),
            smooth=smooth,
            slope=slope,
            soft=inside & (smooth > 0) & (smooth < 700),
            gas=bubbles[regions],
        )

    def commonest_hu(self) -> float | None:
        """Return the commonest HU of even soft tissue, None where there is hardly any."""
        even = self.smooth[self.soft & (self.slope < 8) & (self.smooth > 20) & (self.smooth < 80)]
        if len(even) < 50:
            return None
        counts, edges = np.histogram(even, bins=30, range=(20, 80))
        return float(edges[ndimage.gaussian_filter1d(counts.astype(float), 1.5).argmax()]) + 1.0

    def bright_areas(self, threshold_hu: float) -> Mask:
        """Return what is bright and smooth, (H, W)."""
        even = self.slope < np.maximum(6.0, 0.06 * self.smooth)
        core = ndimage.binary_opening(self.soft & (self.smooth > threshold_hu) & even, _disc(1.5))
        regions, _ = ndimage.label(core)
        kept = np.zeros_like(core)
        for number, place in enumerate(ndimage.find_objects(regions), 1):
            around = tuple(slice(max(0, side.start - 7), side.stop + 7) for side in place)
            area = regions[around] == number
            if _cm2(int(area.sum())) >= LEAST_CM2 and self._is_filled(area, around):
                kept[around] |= area
        return kept

    def _is_filled(self, area: Mask, around: tuple[slice, ...]) -> bool:
        """Return whether an area is even, in no brighter shell and not beside gas."""
        hu, level = self.hu[around], float(np.median(self.smooth[around][area]))
        if float(hu[area].std()) > SPREAD_SHARE * level:
            return False
        if float(_local_spread(hu)[area].mean()) > COARSE_SHARE * level:
            return False
        wide, near = (ndimage.binary_dilation(area, _disc(reach)) for reach in (7.0, 3.2))
        shell = hu[wide & ~near]
        if len(shell) and (shell > level + max(50.0, 0.25 * level)).mean() > SHELL_SHARE:
            return False
        beside = ndimage.binary_dilation(area, _disc(6.0)) & self.gas[around]
        return bool(_cm2(int(beside.sum())) < GAS_CM2[0])


def _slabs(volume: Volume) -> Image:
    """Return slabs of a volume, (S, H, W), evenly spread across its slices."""
    frame = slice_frame(volume.array.shape, volume.affine)
    slices = to_slices(volume.array, frame)
    thick = max(1, round(SLAB_MM / frame.spacing_mm[0]))
    count = min(MOST_SLABS, max(1, len(slices) // thick))
    centres = np.linspace(0, len(slices) - 1, 2 * count + 1)[1::2]
    starts = [max(0, round(centre - (thick - 1) / 2)) for centre in centres]
    slabs = np.stack([_mean(slices[start : start + thick]) for start in starts])
    plane = frame.spacing_mm[1:]
    sizes = [
        resampled_size(size, spacing, GRID_MM)
        for size, spacing in zip(slabs.shape[1:], plane, strict=True)
    ]
    return resample_slices(slabs, plane, (sizes[0], sizes[1]), (GRID_MM, GRID_MM))


def _mean(slices: npt.NDArray[Any]) -> Image:
    return slices.astype(np.float32).clip(-1024, 3071).mean(axis=0)


def _local_spread(hu: Image) -> Image:
    """Return the standard deviation in a square of 7.5 mm about each pixel, HU."""
    squares, means = ndimage.uniform_filter(hu**2, 5), ndimage.uniform_filter(hu, 5)
    return np.sqrt(np.maximum(0.0, squares - means**2))


def _disc(radius_mm: float) -> Mask:
    reach = int(np.ceil(radius_mm / GRID_MM))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (rows**2 + columns**2) * GRID_MM**2 <= radius_mm**2


def _cm2(pixels: Any) -> Any:
    return pixels * (GRID_MM**2 / 100.0)
