"""Which axes of an NRRD file run through the patient, and where: its `space` fields.

Format: https://teem.sourceforge.net/nrrd/format.html#space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from medcyclegan.errors import GeometryError, VolumeError
from medcyclegan.io.text_header import real_numbers, shown
from medcyclegan.volume import Affine

SIGNS = {  # what makes it RAS+
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
}
SIGNS |= {"lps": (-1.0, -1.0, 1.0), "ras": (1.0, 1.0, 1.0), "las": (-1.0, 1.0, 1.0)}
VECTOR = re.compile(r"\(([^()]*)\)|none")
VECTORS = re.compile(r"(\s*(\([^()]*\)|none))*\s*")
QUOTED = re.compile(r'"([^"]*)"|(\S+)')
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "", "???")
KINDS_OF_SPACE = ("domain", "space", "none", "???")
KINDS_OF_VOLUMES = ("list", "time", "domain", "space")

Vector = npt.NDArray[np.float64]


def axes_of_space(
    fields: Mapping[str, str], sizes: tuple[int, ...]
) -> tuple[tuple[int, ...], Affine, tuple[str, ...]]:
    """Return (order, affine, warnings): three axes of space first, then the others, longest first.

    Args:
        fields: name, lower case -> value.
        sizes: along each axis.

    Raises:
        VolumeError: several numbers for each voxel, such as colour.
        GeometryError: no anatomical space, not three axes in it, or lengths not in mm.
    """
    signs, components, warnings = _space(fields, len(sizes))
    vectors = _vectors(fields, len(sizes), components)
    spatial = [axis for axis, vector in enumerate(vectors) if vector[:3].any()]
    if len(spatial) != 3 or any(vectors[axis][3:].any() for axis in spatial):
        raise GeometryError(f"has {len(spatial)} axes in space, not three; set space directions")
    _check_units(fields)
    _check_spacings(fields, spatial)
    others = sorted(set(range(len(sizes))) - set(spatial), key=lambda axis: -sizes[axis])
    _check_kinds(fields, sizes, others)
    affine = np.eye(4)
    affine[:3, :3] = np.array([vectors[axis][:3] for axis in spatial]).T
    affine[:3, 3] = _vector("space origin", fields.get("space origin", ""), components)[:3]
    return (*spatial, *others), np.diag((*signs, 1.0)) @ affine, warnings


def _space(
    fields: Mapping[str, str], axes: int
) -> tuple[tuple[float, float, float], int, tuple[str, ...]]:
    """Return (signs, components of a vector, warnings)."""
    space = fields.get("space", "").lower()
    if "space directions" not in fields or "space origin" not in fields:
        raise GeometryError("has no space directions or origin: nobody knows its grid; set them")
    if space in SIGNS:
        return SIGNS[space], 3, ()
    for timed in (space.removesuffix("-time"), space.removesuffix("t")):
        if timed != space and timed in SIGNS:
            return SIGNS[timed], 4, ()
    if not space and axes == 4 and fields.get("space dimension") == "4":
        return SIGNS["lps"], 4, ("names no space: read as ITK writes it, left-posterior-superior",)
    raise GeometryError(f"has the space {shown(space)}; set left-posterior-superior")


def _vectors(fields: Mapping[str, str], axes: int, components: int) -> list[Vector]:
    text = fields["space directions"]
    words = [match.group(0) for match in VECTOR.finditer(text)]
    if not VECTORS.fullmatch(text) or len(words) != axes:
        raise GeometryError(f"has space directions {shown(text)}, not one for each of {axes} axes")
    return [
        np.zeros(components) if word == "none" else _vector("space directions", word, components)
        for word in words
    ]


def _vector(name: str, text: str, components: int) -> Vector:
    match = VECTOR.fullmatch(text.strip())
    inside = match.group(1) if match else None
    if inside is None:
        raise GeometryError(f"has {name} {shown(text)}: no vector; set it")
    return real_numbers(name, inside.replace(",", " "), components)


def _check_units(fields: Mapping[str, str]) -> None:
    for word, bare in QUOTED.findall(fields.get("space units", "")):
        if (word or bare).strip('"').lower() not in MILLIMETRES:
            raise GeometryError(f"gives lengths in {shown(word or bare)}; write it in mm")


def _check_spacings(fields: Mapping[str, str], spatial: list[int]) -> None:
    words = fields.get("spacings", "").lower().split()
    if any(axis < len(words) and words[axis] not in ("nan", "none") for axis in spatial):
        raise GeometryError("gives its voxels' size twice, as spacings and as space directions")


def _check_kinds(fields: Mapping[str, str], sizes: tuple[int, ...], others: list[int]) -> None:
    kinds = fields.get("kinds", "").split()
    for axis, kind in enumerate(kinds):
        if axis not in others and kind.lower() not in KINDS_OF_SPACE:
            raise VolumeError(f"has an axis in space of kind {shown(kind)}; write it anew")
    for axis in others:
        kind = kinds[axis] if axis < len(kinds) else ""
        if sizes[axis] > 1 and kind.lower() not in KINDS_OF_VOLUMES:
            raise VolumeError(
                f"has {sizes[axis]} numbers for each voxel (kind {shown(kind)}), not one HU; "
                "extract one component"
            )
