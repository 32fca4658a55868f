"""Numbers about volumes: one implementation of each, for the demo and for every table."""

from __future__ import annotations

from medcyclegan.metrics.by_hu import NULL_BY_SOURCE_HU
from medcyclegan.metrics.dose import DOSE_SLOPE
from medcyclegan.metrics.flicker import FLICKER, FLICKER_SOURCE
from medcyclegan.metrics.frechet import FRECHET_DISTANCE
from medcyclegan.metrics.lesions import LESIONS_INVENTED, LESIONS_KEPT, LESIONS_LOST
from medcyclegan.metrics.metric import Metric
from medcyclegan.metrics.organ_distribution import ORGAN_DISTRIBUTION
from medcyclegan.metrics.organ_hu import (
    GAP_CLOSED,
    NULL_CHANGE,
    NULL_SHIFT,
    ORGAN_ERROR,
    RIM_ERROR,
)
from medcyclegan.metrics.patches import PATCH_DISTANCE
from medcyclegan.metrics.pixelwise import MAE, NOISE_CORRECTED_ERROR, PSNR, SSIM
from medcyclegan.metrics.structure import EDGES_INVENTED, STRUCTURE_KEPT
from medcyclegan.metrics.taken_over import TAKEN_OVER
from medcyclegan.metrics.texture import TEXTURE

METRICS: dict[str, Metric] = {
    "gap_closed": GAP_CLOSED,
    "organ_error": ORGAN_ERROR,
    "rim_error": RIM_ERROR,
    "dose_slope": DOSE_SLOPE,
    "noise_corrected_error": NOISE_CORRECTED_ERROR,
    "mae": MAE,
    "psnr": PSNR,
    "ssim": SSIM,
    "null_shift": NULL_SHIFT,
    "null_change": NULL_CHANGE,
    "lesions_kept": LESIONS_KEPT,
    "lesions_lost": LESIONS_LOST,
    "lesions_invented": LESIONS_INVENTED,
    "flicker": FLICKER,
    "texture": TEXTURE,
    "patch_distance": PATCH_DISTANCE,
    "organ_distribution": ORGAN_DISTRIBUTION,
    "frechet_distance": FRECHET_DISTANCE,
    "structure_kept": STRUCTURE_KEPT,
    "edges_invented": EDGES_INVENTED,
    "null_by_source_hu": NULL_BY_SOURCE_HU,
    "flicker_source": FLICKER_SOURCE,
    "taken_over": TAKEN_OVER,
}
"""Every figure of merit by its name in tables; a new one is a file and a line here."""
