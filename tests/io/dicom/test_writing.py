from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcyclegan.errors import GeometryError, InputError, IntensityError, MedCycleGANError
from medcyclegan.io import find_volumes, read_volume, write_volume
from medcyclegan.io.dicom.writing import axial_slices
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Provenance, Volume, grid_distance_voxels

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]

UNKNOWN_TO_THE_JUDGE = (
    "(0x0008,0x001c)"  # SyntheticData: the standard has it, Debian's 2022 not yet
)
MOST_ANGLE = 0.3  # radians, of an oblique volume


def turned(angles: tuple[float, float, float], spacing: tuple[float, float, float]) -> Array:
    """An affine turned about all three axes."""
    affine = np.eye(4)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = [n for n in range(3) if n != axis]
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, :3] *= spacing
    affine[:3, 3] = (-101.25, 37.123456789, 12.5)
    return affine


def a_volume(array: Array, affine: Array | None = None, patient: str = "phantom-0-2-3") -> Volume:
    affine = np.diag([-0.8, -0.8, 5.0, 1.0]) if affine is None else affine
    return Volume(array, affine, Provenance(patient=patient))


def in_space(volume: Volume) -> tuple[Array, Array]:
    """The voxels as slices in standard order, and where their first one lies."""
    slices = axial_slices(volume.array, volume.affine)
    return slices.hu, slices.affine


def write(volume: Volume, folder: Path) -> None:
    write_volume(volume, folder, file_format="dicom")


ANGLES = st.tuples(*[st.floats(-MOST_ANGLE, MOST_ANGLE)] * 3)
ORDERS = st.permutations([0, 1, 2])
FLIPS = st.tuples(*[st.booleans()] * 3)


@given(ANGLES, ORDERS, FLIPS)
def test_standard_order_moves_no_voxel(
    angles: tuple[float, float, float], order: list[int], flips: tuple[bool, bool, bool]
) -> None:
    affine = turned(angles, (0.9, 1.1, 1.3))[:, [*order, 3]]
    affine[:3, :3] *= np.where(flips, -1, 1)
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    slices = axial_slices(array, affine)
    assert np.array_equal(slices.hu, to_slices(array, slice_frame(array.shape, affine)))
    own = np.linalg.inv(affine)
    for (k, j, i), value in np.ndenumerate(slices.hu):
        place = own @ slices.affine @ [i, j, k, 1]
        assert np.allclose(place[:3], np.unravel_index(value, array.shape), atol=1e-9)
    steps = slices.affine[:3, :3] / np.linalg.norm(slices.affine[:3, :3], axis=0)
    assert (np.diag(steps) * [-1, -1, 1] > 0.7).all(), "columns left, rows back, slices up"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_what_is_read_back_has_the_same_voxels_in_the_same_places(
    order: tuple[int, int, int], make_ct: MakeCT, tmp_path: Path
) -> None:
    affine = turned((0.1, -0.2, 0.15), (0.8, 0.7, 1.0))[:, [*order, 3]]
    volume = a_volume(make_ct((14, 12, 9)), affine)
    write(volume, tmp_path / "case")
    back = read_volume(tmp_path / "case")
    assert back.orientation == "LPS"
    hu, grid = in_space(volume)
    assert np.array_equal(to_slices(back.array, slice_frame(back.array.shape, back.affine)), hu)
    assert grid_distance_voxels(grid, back.affine, back.array.shape) < 1e-6
    assert back.array.dtype == np.int16


def test_a_series_is_one_volume_named_like_its_folder(make_ct: MakeCT, tmp_path: Path) -> None:
    write(a_volume(make_ct()), tmp_path / "images" / "case-7")
    found = find_volumes(tmp_path / "images")
    assert [(source.stem, str(source.relative)) for source in found.sources] == [("case-7", ".")]
    assert not found.refused
    assert not found.skipped


def test_all_of_int16_survives_and_floats_are_rounded(tmp_path: Path) -> None:
    array = np.full((8, 8, 3), -1000, np.float32)
    array[2:6, 2:6] = 40.4
    array[3, 3] = (-1024, 3071.5, 20000)
    write(a_volume(array), tmp_path / "case")
    files = sorted((tmp_path / "case").iterdir())
    stored = [pydicom.dcmread(path).pixel_array for path in files]
    assert np.array_equal(np.stack(stored), np.rint(array).astype(np.int16).transpose(2, 1, 0))


def test_it_says_that_it_is_synthetic_and_names_nobody(make_ct: MakeCT, tmp_path: Path) -> None:
    write(a_volume(make_ct(), patient="../Doe\\Jane"), tmp_path / "case")
    dataset = pydicom.dcmread(tmp_path / "case" / "IM0001.dcm")
    assert dataset.SyntheticData == "YES"
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert dataset.BurnedInAnnotation == "NO"
    assert dataset.RescaleType == "HU"
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert dataset.SOPClassUID == pydicom.uid.CTImageStorage
    assert "Doe" not in str(dataset)
    assert dataset.PatientName == f"{dataset.PatientID}^synthetic"
    assert not [element for element in dataset if element.tag.is_private]
    assert not any(dataset[name].value for name in ("StudyDate", "PatientBirthDate"))


def test_equal_volumes_give_equal_bytes_and_others_other_series(
    make_ct: MakeCT, tmp_path: Path
) -> None:
    other = a_volume(make_ct(seed=1))
    for name, volume in {"a": a_volume(make_ct()), "b": a_volume(make_ct()), "c": other}.items():
        write(volume, tmp_path / name)
    one, two, three = (sorted((tmp_path / name).iterdir()) for name in "abc")
    assert [path.name for path in one] == [f"IM{number:04d}.dcm" for number in range(1, 7)]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    sets = [pydicom.dcmread(path) for path in (*one, *three)]
    assert len({dataset.SOPInstanceUID for dataset in sets}) == 12
    assert len({dataset.SeriesInstanceUID for dataset in sets}) == 2
    assert len({dataset.StudyInstanceUID for dataset in sets}) == 1, "one patient"
    assert len({dataset.FrameOfReferenceUID for dataset in sets}) == 1


def sheared(degrees: float) -> Array:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[0, 1] = np.tan(np.radians(degrees))
    return affine


@pytest.mark.parametrize(
    ("affine", "value", "error", "expected"),
    [
        (turned((0, 0, 0), (0.8, 5.0, 0.8)), 0, GeometryError, "is a stack of coronal slices"),
        (turned((0, 0, 0), (5.0, 0.8, 0.8)), 0, GeometryError, "is a stack of sagittal slices"),
        (sheared(0.4), 0, GeometryError, "rows and columns are not at right angles"),
        (np.eye(4), 40000.0, IntensityError, "-1000 to 40000 HU do not fit into 16 bits"),
        (np.eye(4), np.nan, IntensityError, "not a finite number"),
    ],
)
def test_what_dicom_cannot_say_is_refused(
    affine: Array, value: float, error: type[MedCycleGANError], expected: str, tmp_path: Path
) -> None:
    array = np.full((20, 20, 10), -1000.0, np.float32)
    array[3, 3, 3] = value
    with pytest.raises(error, match=expected) as caught:
        write(a_volume(array, affine), tmp_path / "case")
    assert str(caught.value).startswith(f"{tmp_path / 'case'}: ")
    assert not list(tmp_path.iterdir())


def test_a_little_shear_is_straightened(make_ct: MakeCT, tmp_path: Path) -> None:
    write(a_volume(make_ct(), sheared(0.05)), tmp_path / "case")
    orientation = pydicom.dcmread(tmp_path / "case" / "IM0001.dcm").ImageOrientationPatient
    assert abs(np.dot(orientation[:3], orientation[3:])) < 1e-9


def test_a_folder_that_holds_something_is_left_alone(make_ct: MakeCT, tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    write(a_volume(make_ct()), tmp_path / "case")
    before = {path: path.read_bytes() for path in (tmp_path / "case").iterdir()}
    with pytest.raises(InputError, match="is there already"):
        write(a_volume(make_ct(seed=1)), tmp_path / "case")
    assert {path: path.read_bytes() for path in (tmp_path / "case").iterdir()} == before


def test_a_failure_half_way_leaves_no_folder(
    make_ct: MakeCT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = pydicom.Dataset.save_as

    def fail_later(self: pydicom.Dataset, stream: BinaryIO, **options: Any) -> None:
        if Path(stream.name).name == "IM0003.dcm":
            raise OSError(28, "No space left on device")
        save(self, stream, **options)

    monkeypatch.setattr(pydicom.Dataset, "save_as", fail_later)
    with pytest.raises(MedCycleGANError, match=r"case: cannot write \(No space left on device\)"):
        write(a_volume(make_ct()), tmp_path / "case")
    assert not list(tmp_path.iterdir())


OBLIQUE = turned((0.2, -0.1, 0.25), (0.8, 0.7, 2.5))


@pytest.mark.judge
@pytest.mark.parametrize("affine", [np.diag([-0.8, -0.8, 5.0, 1.0]), OBLIQUE])
def test_dciodvfy_finds_no_error(
    affine: Array, judge: Callable[[str], str], make_ct: MakeCT, tmp_path: Path
) -> None:
    write(a_volume(make_ct(), affine), tmp_path / "case")
    for path in sorted((tmp_path / "case").iterdir()):
        done = subprocess.run(
            [judge("dciodvfy"), path], capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        assert "CTImage" in lines, "it was recognised"
        errors = [line for line in lines if line.startswith("Error")]
        assert not [line for line in errors if UNKNOWN_TO_THE_JUDGE not in line]


@pytest.mark.judge
@pytest.mark.parametrize("affine", [np.diag([-0.8, -0.8, 5.0, 1.0]), OBLIQUE])
def test_dcm2niix_reads_the_same_voxels_in_the_same_places(
    affine: Array, judge: Callable[[str], str], make_ct: MakeCT, tmp_path: Path
) -> None:
    volume = a_volume(make_ct(), affine)
    write(volume, tmp_path / "case")
    command = [judge("dcm2niix"), "-o", str(tmp_path), "-f", "judged", str(tmp_path / "case")]
    subprocess.run(command, capture_output=True, check=True)
    back = read_volume(tmp_path / "judged.nii")
    (hu, grid), (own_hu, own_grid) = in_space(back), in_space(volume)
    assert np.array_equal(hu, own_hu)
    assert grid_distance_voxels(own_grid, grid, volume.array.shape) < 1e-3
