from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.io import Found, find_volumes, read_source
from medcyclegan.io.stored import ReadOptions

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
WriteSeries = Callable[..., list[Path]]
Change = Callable[[Any, int], None]
AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])
UID = "1.2.826.0.1.3680043.8.498.1"


def setting(**fields: Any) -> Change:
    """Set fields of a data set, those that are callable to what they make of the slice's index."""

    def change(dataset: Any, k: int) -> None:
        dataset.SeriesInstanceUID = UID
        for name, value in fields.items():
            setattr(dataset, name, value(k) if callable(value) else value)

    return change


def into(folder: Path, paths: list[Path], prefix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.move(path, folder / f"{prefix}{path.name}")
    paths[0].parent.rmdir()


def refusals(found: Found) -> dict[str, str]:
    return {path.name: reason for path, reason in found.refused}


def test_a_series_over_several_folders_is_one_volume(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    paths = write_series(tmp_path / "x", make_ct(), AFFINE)
    for k, path in enumerate(paths):
        target = tmp_path / "p1" / "all" / ("a", "b", "c/d")[k % 3] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    (tmp_path / "x").rmdir()
    found = find_volumes(tmp_path)
    (source,) = found.sources
    assert found.refused == found.skipped == ()
    assert (source.path, source.stem) == (tmp_path / "p1" / "all", "all")
    assert source.relative == PurePosixPath("p1")
    assert [file.name for file in source.files] == [path.name for path in paths]
    np.testing.assert_array_equal(read_source(source).array, make_ct())


def test_two_halves_that_leave_a_gap_stay_apart(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    paths = write_series(tmp_path / "a", make_ct(shape=(14, 12, 7)), AFFINE)
    (tmp_path / "b").mkdir()
    for path in paths[4:]:
        shutil.move(path, tmp_path / "b" / path.name)
    paths[3].unlink()
    found = find_volumes(tmp_path)
    assert [(s.stem, len(s.files)) for s in found.sources] == [("a", 3), ("b", 3)]


def test_two_slices_in_two_folders_are_no_stack(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    one, other = write_series(tmp_path / "a", make_ct()[:, :, :2], AFFINE)
    (tmp_path / "b").mkdir()
    shutil.move(other, tmp_path / "b" / other.name)
    assert [source.files for source in find_volumes(tmp_path).sources] == [
        (one,),
        (tmp_path / "b" / other.name,),
    ]


def test_copies_of_a_series_in_other_folders_are_volumes_of_their_own(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "a", make_ct(), AFFINE)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    found = find_volumes(tmp_path)
    assert [source.stem for source in found.sources] == ["a", "b"]
    assert found.skipped == ()


def test_patients_who_share_a_series_uid_are_not_mixed(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    one = write_series(tmp_path / "x", make_ct(), AFFINE, change=setting(PatientID="P1"))
    into(tmp_path / "all", one, "a")
    up = AFFINE.copy()
    up[2, 3] = 6 * 2.5
    other = write_series(tmp_path / "x", make_ct(), up, change=setting(PatientID="P2"))
    into(tmp_path / "all", other, "b")
    found = find_volumes(tmp_path)
    assert [len(source.files) for source in found.sources] == [6, 6]
    assert len({read_source(source).provenance.patient for source in found.sources}) == 2


@pytest.mark.parametrize(
    "clue",
    [
        {"AcquisitionNumber": lambda phase: phase},
        {"TemporalPositionIdentifier": lambda phase: phase},
        {"AcquisitionDateTime": lambda phase: f"2020010112{30 - phase}00.5"},
        {"AcquisitionTime": lambda phase: f"12{30 - phase}00"},
    ],
)
def test_phases_under_one_uid_are_told_apart(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, clue: dict[str, Any]
) -> None:
    for phase in (2, 10):
        fields = {name: of(phase) for name, of in clue.items()}
        paths = write_series(tmp_path / "x", make_ct(seed=phase), AFFINE, change=setting(**fields))
        into(tmp_path / "liver", paths, f"{phase}_")
    found = find_volumes(tmp_path)
    assert found.refused == ()
    assert [source.stem for source in found.sources] == ["liver_3", "liver_3_2"]
    assert {source.path for source in found.sources} == {tmp_path / "liver"}
    earlier, later = (2, 10) if "AcquisitionNumber" in clue or "Temporal" in str(clue) else (10, 2)
    for source, phase in zip(found.sources, (earlier, later), strict=True):
        np.testing.assert_array_equal(read_source(source).array, make_ct(seed=phase))


@pytest.mark.parametrize(
    "fields",
    [
        {},  # nothing tells them apart
        {"AcquisitionNumber": lambda k: k + 1},  # each slice is an acquisition
        {"AcquisitionNumber": lambda k: 1 + (k == 2)},  # uneven parts
    ],
)
def test_phases_that_nothing_tells_apart_are_refused(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, fields: dict[str, Any]
) -> None:
    for phase in (1, 2):
        paths = write_series(tmp_path / "x", make_ct(seed=phase), AFFINE, change=setting(**fields))
        into(tmp_path / "liver", paths, f"{phase}_")
    found = find_volumes(tmp_path)
    assert found.sources == ()
    assert (
        "same place, 1_IM0000.dcm (slice 1) and 2_IM0000.dcm (and 5 more"
        in refusals(found)["liver"]
    )


def test_the_same_instance_with_another_header_is_a_copy(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    import pydicom

    paths = write_series(tmp_path / "s", make_ct(), AFFINE)
    for name in ("again.dcm", "more.dcm"):
        dataset = pydicom.dcmread(paths[2])
        dataset.StationName = name
        dataset.save_as(tmp_path / "s" / name)
    found = find_volumes(tmp_path)
    (source,) = found.sources
    assert len(source.files) == 6
    assert {path.name: reason for path, reason in found.skipped} == {
        "again.dcm": "the same instance as IM0002.dcm, with the same pixels",
        "more.dcm": "the same instance as IM0002.dcm, with the same pixels",
    }
    np.testing.assert_array_equal(read_source(source).array, make_ct())


@pytest.mark.parametrize("place", [2, 9])
def test_one_instance_uid_for_two_images_is_refused(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, place: int
) -> None:
    import pydicom

    paths = write_series(tmp_path / "s", make_ct(shape=(14, 12, 10)), AFFINE)
    original, changed = pydicom.dcmread(paths[2]), pydicom.dcmread(paths[place])
    changed.SOPInstanceUID = original.SOPInstanceUID
    if place == 2:
        changed.RescaleIntercept = -1000
    changed.save_as(paths[place] if place != 2 else tmp_path / "s" / "changed.dcm")
    found = find_volumes(tmp_path)
    assert found.sources == ()
    assert "two different images under one SOPInstanceUID" in refusals(found)["s"]


def test_a_slice_that_cannot_be_placed_condemns_its_series(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    def spoil(dataset: Any, k: int) -> None:
        if k == 5:
            del dataset.ImagePositionPatient

    write_series(tmp_path / "s", make_ct(), AFFINE, change=spoil)
    found = find_volumes(tmp_path)
    assert found.sources == ()
    reason = refusals(found)["s"]
    assert str(tmp_path / "s" / "IM0005.dcm") in reason
    assert "nobody knows where it lies" in reason


def test_shuffled_names_and_numbers_do_not_matter(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "s", make_ct(), AFFINE, order=[3, 0, 5, 1, 4, 2])
    (source,) = find_volumes(tmp_path).sources
    np.testing.assert_array_equal(read_source(source).array, make_ct())


def test_tilted_series_are_volumes_where_they_may_be_resampled(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    tilted = AFFINE.copy()
    tilted[1, 2] = 1.0
    write_series(tmp_path / "s", make_ct(), tilted)
    found = find_volumes(tmp_path)
    assert "gantry tilt of 21.8 degrees" in refusals(found)["s"]
    assert "--resample-tilt" in refusals(found)["s"]
    found = find_volumes(tmp_path, ReadOptions(resample_tilt=True))
    assert found.refused == ()
    volume = read_source(found.sources[0])
    assert any("gantry tilt of 21.8" in warning for warning in volume.provenance.warnings)
    assert len(volume.provenance.headers) == volume.array.shape[2]


def test_slices_without_a_patient_id_are_of_the_one_patient_of_their_series(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    change = setting(PatientID=lambda k: ("", "P1")[k % 2])
    write_series(tmp_path / "a", make_ct(), AFFINE, change=change)
    write_series(tmp_path / "b", make_ct(), AFFINE, change=setting(PatientID="P1"))
    one, other = (read_source(source) for source in find_volumes(tmp_path).sources)
    assert one.array.shape == other.array.shape == make_ct().shape
    assert one.provenance.patient == other.provenance.patient


def test_a_slice_without_a_patient_id_is_of_neither_of_two_patients(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    change = setting(PatientID=lambda k: ("P1", "P1", "", "", "P2", "P2")[k])
    write_series(tmp_path / "a", make_ct(), AFFINE, change=change)
    assert [len(source.files) for source in find_volumes(tmp_path).sources] == [2, 2, 2]
