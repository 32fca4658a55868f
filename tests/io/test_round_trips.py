"""What is written is read back: every format, any grid, and from format to format."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medcyclegan.io import WRITERS, file_name, read_labels, read_volume, write_labels, write_volume
from medcyclegan.slices import slice_frame
from medcyclegan.volume import Labels, Volume, closest_axes
from tests.hostile.grids import check_same_voxels
from tests.hostile.made import Array, ct

FILES = [name for name, writer in WRITERS.items() if writer.suffixes]
TYPES = ("int16", "int32", "float32")
LABEL_TYPES = ("uint8", "int8", "int16", "uint16", "int32", "float32")


@st.composite
def grids(draw: st.DrawFn, most_lean: float = 1.0) -> Array:
    """Any right-angled grid: turned, flipped, permuted, of uneven spacing, far from the origin."""
    angles = [draw(st.floats(-most_lean, most_lean)) for _ in range(3)]
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = [index for index in range(3) if index != axis]
        step = np.eye(3)
        step[[one, other], [one, other]] = np.cos(angle)
        step[one, other], step[other, one] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    turn = turn[:, draw(st.permutations(range(3)))] * draw(
        st.tuples(*[st.sampled_from([-1, 1])] * 3)
    )
    spacing = [draw(st.floats(0.2, 8)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = [draw(st.floats(-900, 900)) for _ in range(3)]
    return affine


@st.composite
def arrays(draw: st.DrawFn, types: tuple[str, ...] = TYPES) -> Array:
    """CT of any small shape and of any type that is written as it is."""
    shape = draw(st.integers(8, 12)), draw(st.integers(8, 12)), draw(st.integers(1, 5))
    type_ = draw(st.sampled_from(types))
    array: Array = ct(shape, draw(st.integers(0, 9))).astype(type_)
    if type_ == "int32":
        array[4, 4, 0] = 40_000  # or it would be written as int16
    if type_ == "float32":
        array += np.float32(draw(st.floats(-0.49, 0.49)))
    return array


def check_through(volume: Volume, formats: list[str]) -> None:
    """Check that a volume survives being written and read in one format after the other."""
    with tempfile.TemporaryDirectory() as name:
        copy = volume
        for step, format_ in enumerate(formats):
            path = Path(name, str(step), file_name("ct", format_))
            write_volume(copy, path, file_format=format_)
            copy = read_volume(path)
        check_same_voxels(copy, volume.array, volume.affine)


@pytest.mark.parametrize("format_", FILES)
@settings(max_examples=25)
@given(array=arrays(), affine=grids())
def test_a_file_gives_back_its_volume(format_: str, array: Array, affine: Array) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, file_name("ct", format_))
        write_volume(Volume(array, affine), path)
        copy = read_volume(path)
        assert np.abs(copy.affine - affine).max() < 1e-4
        assert copy.array.dtype == array.dtype
        assert np.array_equal(copy.array, array)


@settings(max_examples=25)
@given(
    array=arrays(("int16",)),
    affine=grids(most_lean=0.3),
    others=st.tuples(*[st.sampled_from(FILES)] * 2),
)
def test_dicom_and_files_turn_into_one_another(
    array: Array, affine: Array, others: tuple[str, str]
) -> None:
    array = np.moveaxis(array, 2, closest_axes(affine)[0].index(2))
    assume(slice_frame(array.shape, affine).plane == "axial")  # all that a new series can be
    check_through(Volume(array, affine), [others[0], "dicom", others[1], "dicom"])


@pytest.mark.parametrize("format_", FILES)
@settings(max_examples=15)
@given(affine=grids(), type_=st.sampled_from(LABEL_TYPES), seed=st.integers(0, 99))
def test_a_file_gives_back_its_labels(format_: str, affine: Array, type_: str, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 120, (5, 4, 3)).astype(type_)
    image = Volume(ct((5, 4, 3)), affine)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, file_name("labels", format_))
        write_labels(Labels(array, affine), path, like=image)
        copy = read_labels(path)
        assert copy.array.dtype == array.dtype
        assert np.array_equal(copy.array, array)
        assert np.abs(copy.affine - affine).max() < 1e-4


@pytest.mark.parametrize("format_", [*FILES, "dicom"])
def test_equal_volumes_give_equal_bytes(format_: str, tmp_path: Path) -> None:
    volume = Volume(ct((9, 8, 3)), np.diag([-0.8, -0.8, 2.0, 1.0]))
    written = []
    for name in ("one", "other"):
        write_volume(volume, tmp_path / name / file_name("ct", format_), file_format=format_)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append([(path.name, path.read_bytes()) for path in files])
    assert written[0] == written[1]
