from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.errors import InputError, VolumeError
from medcyclegan.io import archive, find_volumes, read_source, read_volume, write_volume
from medcyclegan.volume import Volume

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
WriteSeries = Callable[..., list[Path]]
Spoil = Callable[[zipfile.ZipFile], None]
AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any) -> Any:
    """Unpack into a folder of the test's own, which must be empty afterwards."""
    folder = tmp_path_factory.mktemp("unpacked")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def zip_folder(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive_:
        for path in sorted(folder.rglob("*")):
            archive_.write(path, path.relative_to(folder).as_posix())
    shutil.rmtree(folder)
    return target


def test_a_zip_of_a_series_is_that_series(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "x" / "deep" / "in", make_ct(), AFFINE)
    (tmp_path / "x" / "read.me").write_text("text")
    (tmp_path / "data").mkdir()
    path = zip_folder(tmp_path / "x", tmp_path / "data" / "Patient.1.ZIP")
    found = find_volumes(tmp_path)
    (source,) = found.sources
    assert (source.path, source.files, source.stem) == (path, (path,), "Patient.1")
    assert source.relative == PurePosixPath("data")
    assert source.members == tuple(f"deep/in/IM{k:04d}.dcm" for k in range(6))
    assert found.skipped == ((path / "read.me", "no volume by name or content"),)
    volume = read_source(source)
    np.testing.assert_array_equal(volume.array, make_ct())
    np.testing.assert_allclose(volume.affine, AFFINE)
    assert volume.provenance.path == path
    np.testing.assert_array_equal(read_volume(path).array, make_ct())


def test_an_archive_may_hold_several_volumes_of_any_format(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    import SimpleITK

    for number, folder in ((4, "a"), (9, "b"), (9, "c")):

        def change(dataset: Any, k: int, number: int = number) -> None:
            dataset.SeriesNumber = number

        write_series(tmp_path / "x" / folder, make_ct(seed=number), AFFINE, change=change)
    write_series(tmp_path / "x" / "d", make_ct(seed=1)[:, :, :1], AFFINE)
    write_volume(Volume(make_ct(seed=2), AFFINE), tmp_path / "x" / "e" / "ct.nii.gz")
    image = SimpleITK.GetImageFromArray(make_ct(seed=3).transpose(2, 1, 0))
    SimpleITK.WriteImage(image, str(tmp_path / "x" / "raw.mhd"))
    zip_folder(tmp_path / "x", tmp_path / "all.zip")
    found = find_volumes(tmp_path)
    stems = {source.stem: source for source in found.sources}
    assert sorted(stems) == ["all_4", "all_9", "all_9_2", "all_IM0000", "all_ct", "all_raw"]
    assert {source.relative for source in found.sources} == {PurePosixPath(".")}
    assert found.refused == found.skipped == ()
    for stem, seed in (("all_4", 4), ("all_9", 9), ("all_ct", 2), ("all_raw", 3)):
        np.testing.assert_array_equal(read_source(stems[stem]).array, make_ct(seed=seed))
    with pytest.raises(InputError, match=r"all\.zip: holds 6 volumes"):
        read_volume(tmp_path / "all.zip")


def test_messages_name_archive_and_member(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    def spoil(dataset: Any, k: int) -> None:
        if k == 3:
            dataset.PixelData = dataset.PixelData[:20]

    write_series(tmp_path / "x" / "s", make_ct(), AFFINE, change=spoil)
    path = zip_folder(tmp_path / "x", tmp_path / "cut.zip")
    (source,) = find_volumes(path).sources
    with pytest.raises(VolumeError) as error:
        read_source(source)
    assert str(error.value).startswith(f"{path}: s/IM0003.dcm: ")
    write_series(tmp_path / "x" / "s", make_ct(), AFFINE)[3].unlink()
    path = zip_folder(tmp_path / "x", tmp_path / "gap.zip")
    found = find_volumes(path)
    ((where, reason),) = found.refused
    assert where == path
    assert reason.startswith("s: has uneven slices: 5 mm between IM0002.dcm (slice 3)")


def test_a_damaged_member_is_refused_by_name(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "x", make_ct(), AFFINE)
    path = zip_folder(tmp_path / "x", tmp_path / "ct.zip")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive_:
        start = archive_.getinfo("IM0002.dcm").header_offset + 100
    path.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])
    ((where, reason),) = find_volumes(path).refused
    assert where == path
    assert reason.startswith("IM0002.dcm: cannot be unpacked (")
    path.write_bytes(whole[:-900])
    with pytest.raises(VolumeError, match=r"ct\.zip: is damaged or no zip archive"):
        read_volume(path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(VolumeError, match=r"ct\.zip: is damaged or no zip archive"):
        read_volume(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="an empty file"):
        find_volumes(path)


def link(opened: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(info, "/etc/passwd")


def fifo(opened: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("fifo")
    info.external_attr = (stat.S_IFIFO | 0o777) << 16
    opened.writestr(info, "")


def twice(opened: zipfile.ZipFile) -> None:
    opened.writestr("ct.nii", b"1")
    opened.writestr("./ct.nii", b"1")


def encrypted(opened: zipfile.ZipFile) -> None:
    opened.writestr("secret.dcm", b"1")
    opened.getinfo("secret.dcm").flag_bits |= 1


def named(name: str) -> Spoil:
    return lambda opened: opened.writestr(name, b"1")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (named("/etc/ct.nii"), "'/etc/ct.nii' with an absolute path"),
        (named("C:ct.nii"), "'C:ct.nii' with an absolute path"),
        (named("\\\\host\\ct.nii"), "with an absolute path"),
        (named("../ct.nii"), "'../ct.nii' that points outside"),
        (named("a/../../ct.nii"), "that points outside"),
        (named("a\\..\\ct.nii"), "that points outside"),
        (named("more.Zip"), "'more.Zip' as an archive within"),
        (named("./"), "without a name"),
        (link, "'link' as a link"),
        (fifo, "'fifo' as something that is no file"),
        (twice, "'./ct.nii' a second time"),
        (encrypted, "'secret.dcm' encrypted"),
    ],
)
def test_what_is_no_plain_file_in_an_archive_is_refused(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, spoil: Spoil, says: str
) -> None:
    write_series(tmp_path / "in" / "x", make_ct(), AFFINE)
    path = zip_folder(tmp_path / "in" / "x", tmp_path / "in" / "ct.zip")
    with zipfile.ZipFile(path, "a") as opened:
        spoil(opened)
    with pytest.raises(VolumeError) as error:
        read_volume(path)
    assert str(error.value).startswith(f"{path}: holds ")
    assert says in str(error.value)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["ct.zip", "in"]


def test_names_may_be_written_as_windows_does(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    paths = write_series(tmp_path / "x", make_ct(), AFFINE)
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as opened:
        opened.writestr("in\\", b"")
        for path in paths[:3]:
            opened.write(path, f"in\\{path.name}")
        for path in paths[3:]:
            opened.write(path, f"./in//{path.name}")
    shutil.rmtree(tmp_path / "x")
    (source,) = find_volumes(tmp_path).sources
    assert source.members[0] == "in/IM0000.dcm"
    np.testing.assert_array_equal(read_source(source).array, make_ct())


def test_what_a_killed_run_left_unpacked_is_removed_by_the_next(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "x", make_ct(), AFFINE)
    path = zip_folder(tmp_path / "x", tmp_path / "ct.zip")
    with archive.unpacked(path) as in_use:
        os.utime(in_use, (0, 0))
        left, young = (in_use.with_name(f".medcyclegan-zip-{name}") for name in ("left", "young"))
        for folder in (left, young):
            folder.mkdir()
        (left / "ct.dcm").write_bytes(b"of a patient")
        os.utime(left, (0, 0))
        read_volume(path)
        assert not left.exists()
        assert young.exists()
        assert in_use.exists()
        young.rmdir()


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ct.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a", b"1")
        opened.writestr("a/b.nii", b"1")
    with pytest.raises(VolumeError, match=r"ct\.zip: a/b\.nii: cannot be unpacked"):
        read_volume(path)


def test_bombs_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ct.nii", bytes(1 << 22))
    monkeypatch.setattr(archive, "SUSPICIOUS_BYTES", 1 << 20)
    with pytest.raises(VolumeError, match=r"bomb\.zip: declares 0 GiB in a file of 0 MiB"):
        read_volume(path)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 0)
    with pytest.raises(VolumeError, match=r"bomb\.zip: holds 1 files, more than 0"):
        read_volume(path)


@pytest.mark.parametrize("declared", [100, 9000])
def test_members_are_of_the_size_they_declare(tmp_path: Path, declared: int) -> None:
    path = tmp_path / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ct.nii", bytes(5000))
        opened.getinfo("ct.nii").file_size = declared
    with pytest.raises(VolumeError, match=r"lie\.zip: ct\.nii: (cannot be unpacked|is not of)"):
        read_volume(path)


def test_too_little_room_is_said_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("ct.nii", bytes(5000))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100))
    with pytest.raises(VolumeError, match="set TMPDIR"):
        read_volume(path)


def test_no_temporary_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as opened:
        opened.writestr("ct.nii", bytes(5000))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(VolumeError, match=r"ct\.zip: cannot be unpacked .* set TMPDIR"):
            read_volume(tmp_path / "ct.zip")


def test_an_archive_that_changed_after_the_search_is_refused(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "x", make_ct(), AFFINE)
    path = zip_folder(tmp_path / "x", tmp_path / "ct.zip")
    (source,) = find_volumes(path).sources
    write_series(tmp_path / "x", make_ct()[:, :, :4], AFFINE)
    zip_folder(tmp_path / "x", path)
    with pytest.raises(VolumeError, match="no longer holds"):
        read_source(source)


def test_an_archive_without_volumes_is_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    with pytest.raises(InputError, match=r"none\.zip: is no CT volume: an empty archive"):
        find_volumes(tmp_path / "none.zip")
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as opened:
        opened.writestr("a.txt", "text")
        opened.writestr("._ct.nii.gz", "text")
    with pytest.raises(InputError, match="holds no CT volume"):
        find_volumes(tmp_path)


def test_real_archive(real_data: Path) -> None:
    path = real_data / "dicom_numpy" / "dupe-positions.zip"
    ((where, reason),) = find_volumes(path).refused
    assert where == path
    assert "same place, CT26.dcm (slice 9) and CT28.dcm" in reason
    assert os.fspath(tempfile.gettempdir()) not in reason
