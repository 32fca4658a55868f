from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.errors import InputError, VolumeError
from medcyclegan.io import ReadOptions, find_volumes, read_source, read_volume, write_volume
from medcyclegan.volume import Volume

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
WriteSeries = Callable[..., list[Path]]
AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])


@pytest.fixture
def nifti(make_ct: MakeCT) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        write_volume(Volume(make_ct(), AFFINE), path)
        return path

    return write


def names(root: Path) -> list[tuple[str, str]]:
    return [(str(source.relative), source.stem) for source in find_volumes(root).sources]


def test_a_tree_is_searched_in_order_with_names_that_mirror_it(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, nifti: Callable[[Path], Path]
) -> None:
    nifti(tmp_path / "b.nii.gz")
    nifti(tmp_path / "a" / "case.1.nii.gz").rename(tmp_path / "a" / "case.1.NII.GZ")
    write_series(tmp_path / "a" / "series", make_ct(), AFFINE)
    one = write_series(tmp_path / "a" / "single", make_ct()[:, :, :1], AFFINE)
    one[0].rename(one[0].with_name("CT.1.2.3"))
    assert names(tmp_path) == [
        ("a", "case.1"),
        ("a", "series"),
        ("a/single", "CT.1.2.3"),
        (".", "b"),
    ]
    for source in find_volumes(tmp_path).sources:
        volume = read_source(source)
        assert volume.provenance.path == source.path
        assert source.path.is_relative_to(tmp_path)


def test_a_root_may_be_a_file_or_a_series(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, nifti: Callable[[Path], Path]
) -> None:
    write_series(tmp_path / "series", make_ct(), AFFINE)
    (source,) = find_volumes(tmp_path / "series").sources
    assert (source.path, source.stem) == (tmp_path / "series", "series")
    assert source.relative == PurePosixPath(".")
    (source,) = find_volumes(nifti(tmp_path / "ct.nii.gz")).sources
    assert (source.path, source.stem) == (tmp_path / "ct.nii.gz", "ct")


def test_paths_are_as_the_user_typed_them(
    tmp_path: Path, nifti: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nifti(tmp_path / "in" / "ct.nii.gz")
    monkeypatch.chdir(tmp_path)
    (source,) = find_volumes(Path("in")).sources
    assert str(source.path) == "in/ct.nii.gz"
    monkeypatch.chdir(tmp_path / "in")
    (source,) = find_volumes(Path(".")).sources
    assert str(source.path) == "ct.nii.gz"


@pytest.mark.parametrize("typed", [".", "..", "../series"])
def test_a_series_is_found_from_within(
    tmp_path: Path,
    make_ct: MakeCT,
    write_series: WriteSeries,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
) -> None:
    def nameless(dataset: Any, k: int) -> None:
        del dataset.PatientID, dataset.StudyInstanceUID

    write_series(tmp_path / "series", make_ct(), AFFINE, change=nameless)
    (tmp_path / "series" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "series" / ("sub" if typed == ".." else ""))
    (source,) = find_volumes(Path(typed)).sources
    assert (source.path, source.stem) == (Path(typed), "series")
    assert source.relative == PurePosixPath(".")
    volume = read_source(source)
    np.testing.assert_array_equal(volume.array, make_ct())
    assert volume.provenance.patient


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nii", "ct.mha", "ct.nrrd", "ct.mhd", "ct.nhdr"])
def test_names_need_not_be_text(tmp_path: Path, make_ct: MakeCT, name: str) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(make_ct().transpose(2, 1, 0))
    SimpleITK.WriteImage(image, str(tmp_path / name))
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    folder.mkdir()
    for path in list(tmp_path.glob("ct.*")):
        path.rename(folder / path.name)
    odd = folder / os.fsdecode(b"se\xe9rie_" + name.encode())
    (folder / name).rename(odd)
    (source,) = find_volumes(tmp_path).sources
    assert source.path == odd
    volume = read_source(source)
    np.testing.assert_array_equal(volume.array, make_ct())
    assert volume.provenance.patient


@pytest.mark.parametrize("header", ["ct.mhd", "ct.nhdr", "ct.hdr", "CT.HDR"])
def test_voxels_beside_their_header_belong_to_it(
    tmp_path: Path, make_ct: MakeCT, header: str
) -> None:
    import SimpleITK

    suffix = ".img" if header.lower() == "ct.hdr" else ".raw"
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / header.lower()
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(make_ct().transpose(2, 1, 0)), str(path))
    if header != path.name:
        path.rename(folder / header)
        (folder / "ct.img").rename(folder / "CT.img")
    found = find_volumes(folder)
    (source,) = found.sources
    assert [file.name for file in source.files] == [header, Path(header).stem + suffix]
    assert found.skipped == ()
    np.testing.assert_array_equal(read_source(source).array, make_ct())
    source.files[1].unlink()
    (folder / "other.raw").write_bytes(b"of no header")
    found = find_volumes(folder)
    assert [path.name for path, _ in found.skipped] == ["other.raw"]
    (source,) = found.sources
    assert source.files == (folder / header,)
    with pytest.raises(VolumeError, match="beside"):
        read_source(source)


def test_voxels_may_have_a_name_in_any_letters(tmp_path: Path, make_ct: MakeCT) -> None:
    import SimpleITK

    path = tmp_path / "M\u00fcller.mhd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(make_ct().transpose(2, 1, 0)), str(path))
    np.testing.assert_array_equal(read_volume(path).array, make_ct())


def test_volumes_that_share_a_stem_are_told_apart(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, nifti: Callable[[Path], Path]
) -> None:
    import SimpleITK

    nifti(tmp_path / "ct.nii.gz")
    image = SimpleITK.GetImageFromArray(make_ct().transpose(2, 1, 0))
    SimpleITK.WriteImage(image, str(tmp_path / "ct.mha"))
    assert names(tmp_path) == [(".", "ct_mha"), (".", "ct_nii")]
    nifti(tmp_path / "ct.nii")
    write_series(tmp_path / "ct", make_ct(), AFFINE)
    assert sorted(stem for _, stem in names(tmp_path)) == [
        "ct_dicom",
        "ct_mha",
        "ct_nii",
        "ct_niigz",
    ]
    nifti(tmp_path / "ct_nii.nii")
    assert len(set(names(tmp_path))) == 5


def test_several_series_in_one_folder_take_their_numbers(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    def number(value: int) -> Callable[[Any, int], None]:
        return lambda dataset, k: setattr(dataset, "SeriesNumber", value)

    for count, value in enumerate((3, 5, 5)):
        paths = write_series(
            tmp_path / f"p{count}", make_ct(seed=count), AFFINE, change=number(value)
        )
        for path in paths:
            target = tmp_path / "all" / f"{count}{path.name}"
            target.parent.mkdir(exist_ok=True)
            shutil.move(path, target)
    assert sorted(names(tmp_path / "all")) == [(".", "all_3"), (".", "all_5"), (".", "all_5_2")]


def test_slices_of_many_patients_in_one_folder_are_many_volumes(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for patient in range(4):
        (path,) = write_series(tmp_path / "x", make_ct(seed=patient)[:, :, :1], AFFINE)
        shutil.move(path, folder / f"ID_{patient}.dcm")
    assert names(folder) == [(".", f"ID_{patient}") for patient in range(4)]


def test_what_does_not_claim_to_be_ct_is_skipped_with_its_reason(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, nifti: Callable[[Path], Path]
) -> None:
    paths = write_series(tmp_path / "ct", make_ct(), AFFINE)
    shutil.copy(paths[2], tmp_path / "ct" / "JM.dcm")
    for name, change in (
        ("mr", lambda dataset, k: setattr(dataset, "Modality", "MR")),
        ("scout", lambda dataset, k: setattr(dataset, "ImageType", ["ORIGINAL", "LOCALIZER"])),
        ("dose", lambda dataset, k: setattr(dataset, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")),
    ):
        (path,) = write_series(tmp_path / name, make_ct()[:, :, :1], AFFINE, change=change)
        shutil.move(path, tmp_path / "ct" / f"{name}.dcm")
        (tmp_path / name).rmdir()
    for name in ("notes.txt", "report.pdf", "DICOMDIR", "empty.zip", "empty", "empty.dcm"):
        content = "" if name.startswith("empty") else "text that is no volume at all"
        (tmp_path / "ct" / name).write_text(content)
    nifti(tmp_path / "._ct.nii.gz")
    nifti(tmp_path / ".medcyclegan-x" / "ct.nii.gz")
    nifti(tmp_path / ".hidden" / "ct.nii.gz")
    (tmp_path / "link").symlink_to(tmp_path / "ct")
    os.mkfifo(tmp_path / "ct" / "pipe.nii.gz")
    (tmp_path / "ct" / "broken.nii.gz").symlink_to(tmp_path / "nowhere")
    found = find_volumes(tmp_path)
    assert [source.path for source in found.sources] == [tmp_path / "ct"]
    assert found.refused == ()
    reasons = {path.name: reason for path, reason in found.skipped}
    assert reasons == {
        "JM.dcm": "an exact copy of IM0002.dcm",
        "mr.dcm": "no CT (modality MR)",
        "scout.dcm": "a localizer",
        "dose.dcm": "no CT image (SOP class 1.2.840.10008.5.1.4.1.1.7)",
        "notes.txt": "no volume by name or content",
        "report.pdf": "no volume by name or content",
        "DICOMDIR": "no volume by name or content",
        "empty.zip": "an empty file",
        "empty": "an empty file",
        "empty.dcm": "an empty file",
        "._ct.nii.gz": "a hidden file",
        "link": "a link to a folder",
        ".hidden": "a hidden folder",
        "pipe.nii.gz": "no regular file",
        "broken.nii.gz": "no regular file",
    }
    np.testing.assert_array_equal(read_source(found.sources[0]).array, make_ct())


def test_what_claims_to_be_a_volume_and_is_none_is_refused(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, nifti: Callable[[Path], Path]
) -> None:
    nifti(tmp_path / "good.nii.gz")
    (tmp_path / "text.dcm").write_text("this is no DICOM file at all" * 9)
    (tmp_path / "text.zip").write_text("this is no archive at all" * 9)
    twice = write_series(tmp_path / "twice", make_ct(), AFFINE)
    more = write_series(tmp_path / "more", make_ct(seed=1)[:, :, :1], AFFINE)[0]
    import pydicom

    dataset = pydicom.dcmread(more)
    dataset.SeriesInstanceUID = pydicom.dcmread(twice[0]).SeriesInstanceUID
    dataset.save_as(tmp_path / "twice" / "other.dcm")
    shutil.rmtree(tmp_path / "more")
    write_series(tmp_path / "gap", make_ct(), AFFINE)[3].unlink()
    found = find_volumes(tmp_path)
    assert [source.stem for source in found.sources] == ["good"]
    reasons = {path.name: reason for path, reason in found.refused}
    assert reasons.keys() == {"text.dcm", "text.zip", "twice", "gap"}
    assert "same place" in reasons["twice"]
    assert "1 missing" in reasons["gap"]
    with pytest.raises(VolumeError, match="gap: has uneven slices"):
        read_volume(tmp_path / "gap")


def test_nothing_there_or_nothing_in_it_is_one_line(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries, nifti: Callable[[Path], Path]
) -> None:
    with pytest.raises(InputError, match="none: no such file or folder"):
        find_volumes(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        find_volumes(tmp_path / ("x" * 5000))
    with pytest.raises(InputError, match="holds no volume"):
        find_volumes(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match=r"holds no CT volume \(1 of 1 files"):
        find_volumes(tmp_path)
    with pytest.raises(InputError, match=r"a\.txt: is no CT volume"):
        find_volumes(tmp_path / "a.txt")

    def change(dataset: Any, k: int) -> None:
        dataset.Modality = "MR"

    write_series(tmp_path / "mr", make_ct(), AFFINE, change=change)
    with pytest.raises(InputError, match="modality MR"):
        find_volumes(tmp_path / "mr")
    nifti(tmp_path / "one.nii")
    nifti(tmp_path / "two.nii")
    with pytest.raises(InputError, match="holds 2 volumes"):
        read_volume(tmp_path)


def test_patients_are_kept_apart_by_path_where_the_format_names_none(
    tmp_path: Path, nifti: Callable[[Path], Path]
) -> None:
    one = read_volume(nifti(tmp_path / "p1" / "ct.nii.gz"))
    other = read_volume(nifti(tmp_path / "p2" / "ct.nii.gz"))
    assert one.provenance.patient != other.provenance.patient
    assert one.provenance.patient == read_volume(tmp_path / "p1").provenance.patient


def test_a_folder_that_cannot_be_entered_is_refused(
    tmp_path: Path, nifti: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nifti(tmp_path / "open" / "ct.nii.gz")
    (tmp_path / "shut").mkdir()
    enter = os.scandir

    def scandir(path: str) -> Any:  # root may enter any folder, so permissions would not do
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return enter(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_volumes(tmp_path)
    assert [path.name for path, _ in found.refused] == ["shut"]


def test_a_root_that_cannot_be_entered_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(path: object) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    enter = Path.is_dir
    monkeypatch.setattr(os, "scandir", shut)
    monkeypatch.setattr(
        Path, "is_dir", lambda path: shut(path) if path.name == "imagesTr" else enter(path)
    )
    found = find_volumes(tmp_path)
    assert [(path, "denied" in reason) for path, reason in found.refused] == [(tmp_path, True)]


def test_a_folder_too_deep_to_name_is_refused(
    tmp_path: Path, nifti: Callable[[Path], Path]
) -> None:
    nifti(tmp_path / "ct.nii.gz")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 240, dir_fd=descriptor)
        inner = os.open("d" * 240, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    found = find_volumes(tmp_path)
    assert [source.stem for source in found.sources] == ["ct"]
    assert ["too long" in reason for _, reason in found.refused] == [True]


def test_a_data_set_is_searched_for_its_training_images(
    tmp_path: Path, nifti: Callable[[Path], Path]
) -> None:
    for name in ("case_0000", "case_0001", "other_0000"):
        nifti(tmp_path / "imagesTr" / f"{name}.nii.gz")
    nifti(tmp_path / "labelsTr" / "case.nii.gz")
    nifti(tmp_path / "imagesTs" / "more_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(
        '{"channel_names": {"0": "CT", "1": "MR"}, "labels": {"background": 0, "liver": 1}}'
    )
    found = find_volumes(tmp_path)
    assert [(str(source.relative), source.stem) for source in found.sources] == [
        ("imagesTr", "case_0000"),
        ("imagesTr", "other_0000"),
    ]
    ((path, reason),) = found.skipped
    assert path.name == "case_0001.nii.gz"
    assert "MR" in reason
    assert found.data_set is not None
    assert found.data_set.names == {1: "liver"}
    assert find_volumes(tmp_path / "imagesTr").data_set is None


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_a_file_of_several_volumes_is_split_where_asked(
    tmp_path: Path, make_ct: MakeCT, suffix: str
) -> None:
    import SimpleITK

    parts = [
        SimpleITK.GetImageFromArray(make_ct(seed=seed).transpose(2, 1, 0)) for seed in range(3)
    ]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(parts), str(tmp_path / f"ct{suffix}"))
    (source,) = find_volumes(tmp_path).sources
    with pytest.raises(VolumeError):
        read_source(source)
    found = find_volumes(tmp_path, ReadOptions(split_4d=True))
    assert [source.stem for source in found.sources] == ["ct_v1", "ct_v2", "ct_v3"]
    assert [source.part for source in found.sources] == [0, 1, 2]
    volumes = [read_source(source) for source in found.sources]
    for seed, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume.array, make_ct(seed=seed))
    assert len({volume.provenance.patient for volume in volumes}) == 1
    with pytest.raises(VolumeError, match="no longer holds a volume 9"):
        read_source(replace(found.sources[0], part=8))


def test_real_tree(real_data: Path) -> None:
    found = find_volumes(real_data)
    refused = {path.relative_to(real_data).as_posix(): reason for path, reason in found.refused}
    assert {
        name: word for name, word in REFUSED.items() if word in refused.get(name, "")
    } == REFUSED
    assert refused.keys() == REFUSED.keys()
    flat = [source for source in found.sources if "tcga" in str(source.path)]
    assert len(flat) == 40
    skipped = [reason for path, reason in found.skipped if "tcga" in str(path)]
    assert len(skipped) == 3, "byte-identical copies under another name"
    stems = {(source.relative, source.stem) for source in found.sources}
    assert len(stems) == len(found.sources)
    (mixed,) = (s for s in found.sources if s.path.name == "dicom_mixed_localizer_mr")
    assert len(mixed.files) == 8
    (series,) = (s for s in found.sources if s.path.name == "dicom_duplicate_slice")
    assert len(series.files) == 20


REFUSED = {
    "cornerstone": "same place",
    "dcm_qa_ct/In/GE": "gantry tilt of 18.5 degrees, and uneven slices",
    "derived_bad/dicom_missing_slice": "4 mm between",
    "derived_bad/dicom_no_ipp/a.dcm": "nobody knows where it lies",
    "dicom2nifti/failing/gantrytilting/001": "gantry tilt of 14.0",
    "dicom2nifti/failing/notavolume/001": "same place",
    "dicom2nifti/failing/sliceincrement/001": "10 mm between",
    "dicom2nifti/failing/sliceincrement/002": "gantry tilt of 15.5",
    "dicom_numpy/dupe-positions.zip": "same place, CT26.dcm (slice 9) and CT28.dcm",
}
