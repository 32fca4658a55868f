"""Domains from the config: files, folders, globs and lists, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medcyclegan.data.index import open_domain
from medcyclegan.data.store import SliceStore
from medcyclegan.errors import InputError
from medcyclegan.intensity import Window

KEY = "domains.a.volumes"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Volumes a, b and sub/c below data/, and a text file, seen from the working directory."""
    for name in ("a", "b", "sub/c"):
        path = tmp_path / "data" / f"{name}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.full((9, 9, 3), -1000, np.int16)
        array[2:7, 2:7] = 40 + len(name)
        nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1.0, 3.0, 1.0])), path)
    (tmp_path / "data" / "notes.txt").write_text("no volume")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("volumes", "found"),
    [
        ("data", ["data/a.nii", "data/b.nii", "data/sub/c.nii"]),
        ("data/a.nii", ["data/a.nii"]),
        ("data/*.nii", ["data/a.nii", "data/b.nii"]),
        ("data/[b-z]*", ["data/b.nii", "data/sub/c.nii"]),
        ("data/**/*.nii", ["data/a.nii", "data/b.nii", "data/sub/c.nii"]),
        (["data/sub", "data/a.nii"], ["data/sub/c.nii", "data/a.nii"]),
        (["data/a.nii", "data/*.nii", "./data/b.nii"], ["data/a.nii", "data/b.nii"]),
    ],
)
def test_files_folders_globs_and_lists_name_volumes_once(
    volumes: str | list[str], found: list[str]
) -> None:
    domain = open_domain(volumes, KEY)
    assert [source.path.as_posix() for source in domain.sources] == found
    assert domain.patients == [""] * len(found)


@pytest.mark.usefixtures("tree")
def test_what_is_no_volume_is_said() -> None:
    messages = open_domain("data", KEY).messages
    assert len(messages) == 1
    assert messages[0].startswith("data/notes.txt: skipped, ")
    for name in "abc":
        Path(f"data/{name}.txt").write_text(name)
    assert open_domain("data", KEY).messages == ["data: 4 skipped, no volume by name or content"]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("volumes", "said"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("data/*.mha", r"data/\*\.mha: matches no file"),
        ("empty", "empty: holds no volume"),
        (["data/a.nii", "empty"], "empty: holds no volume"),
        ("data/notes.txt", "data/notes.txt"),
        ([], "the list is empty"),
    ],
)
def test_a_name_for_nothing_is_refused_by_key_and_path(volumes: str | list[str], said: str) -> None:
    with pytest.raises(InputError, match=f"^domains.a.volumes: .*{said}") as caught:
        open_domain(volumes, KEY)
    assert "\n" not in str(caught.value)


def test_a_path_with_the_signs_of_a_glob_is_still_a_path(tree: Path) -> None:
    (tree / "data" / "sub").rename(tree / "data [portal]")
    sources = open_domain("data [portal]", KEY).sources
    assert [source.path.as_posix() for source in sources] == ["data [portal]/c.nii"]


def test_slices_of_many_patients_matched_by_a_glob_are_many_volumes(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(real_data)
    folder = "tcga_luad_contrast/dicom_dir"
    contrast = open_domain(f"{folder}/*CONTRAST_1*", "domains.a.volumes")
    plain = open_domain(f"{folder}/*CONTRAST_0*", "domains.b.volumes")
    assert (len(contrast.sources), len(plain.sources)) == (22, 21)
    domain = SliceStore(1.5, Window(-200, 600), tmp_path / "slices").load_domain(
        "contrast", contrast.sources
    )
    assert all("was compressed with loss" in message for message in domain.messages)
    assert len(domain.volumes) == 22
    assert all(volume.facts.drawn == (0,) for volume in domain.volumes)


def test_a_glob_over_all_files_of_a_series_is_one_volume(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(real_data / "slicer")
    whole = open_domain("CTHeadAxialDicom/*.dcm", KEY).sources
    assert len(whole) == 1
    assert len(whole[0].files) > 50
    some = open_domain("CTHeadAxialDicom/CTHead1?.dcm", KEY).sources
    assert all(len(source.files) == 1 for source in some)
    assert len(some) > 5
