"""Volumes named by tables: the rows that are meant, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medcyclegan.config import ReadingConfig, TableConfig
from medcyclegan.data.index import open_domain, patient_key
from medcyclegan.errors import InputError
from medcyclegan.io import read_source, write_volume
from medcyclegan.scan import rows_to_csv, scan
from medcyclegan.volume import Volume

KEY = "domains.a.volumes"
ROWS = """\
path,phase,kvp,accepted,patient
scans/a.nii,contrast,120,True,p1
scans/b.nii,noncontrast,100,True,p1
"scans/c, d.nii", Contrast ,120.0,true,p2
scans/e.nii,contrast,80,False,p3
"""


def volume(level: int = 40, slices: int = 3) -> Volume:
    array = np.full((9, 9, slices), -1000, np.int16)
    array[2:7, 2:7] = level
    return Volume(array, np.diag([-1.0, -1.0, 3.0, 1.0]))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table and its volumes below study/, seen from the working directory above."""
    (tmp_path / "study" / "scans").mkdir(parents=True)
    for level, name in enumerate(("a", "b", "c, d", "e")):
        image = volume(40 + level)
        nibabel.save(
            nibabel.Nifti1Image(image.array, image.affine),
            tmp_path / "study" / "scans" / f"{name}.nii",
        )
    (tmp_path / "study" / "cases.csv").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(**options: Any) -> TableConfig:
    return TableConfig.model_validate({"csv": "study/cases.csv"} | options)


def names(*tables: TableConfig | str) -> list[str]:
    return [source.path.name for source in open_domain(list(tables), KEY).sources]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, ["a.nii", "b.nii", "c, d.nii", "e.nii"]),
        ({"phase": "contrast"}, ["a.nii", "c, d.nii", "e.nii"]),
        ({"phase": "contrast", "accepted": True}, ["a.nii", "c, d.nii"]),
        ({"phase": "contrast", "accepted": "true"}, ["a.nii", "c, d.nii"]),
        ({"kvp": 120}, ["a.nii", "c, d.nii"]),
        ({"kvp": [80, 100]}, ["b.nii", "e.nii"]),
        ({"patient": ["p1", "P3"]}, ["a.nii", "b.nii", "e.nii"]),
    ],
)
def test_rows_are_chosen_by_what_their_cells_say(where: dict[str, Any], found: list[str]) -> None:
    assert names(table(where=where)) == found


@pytest.mark.usefixtures("tree")
def test_a_table_names_patients_and_stands_among_paths() -> None:
    named = table(patient="patient", where={"phase": "contrast"})
    domain = open_domain(["study/scans/b.nii", named], KEY)
    assert [source.path.name for source in domain.sources] == [
        "b.nii",
        "a.nii",
        "c, d.nii",
        "e.nii",
    ]
    assert domain.patients == ["", *map(patient_key, ("p1", "p2", "p3"))]
    both = open_domain(["study/scans", named], KEY)
    assert sorted(both.patients) == sorted(["", *map(patient_key, ("p1", "p2", "p3"))])


def test_paths_are_relative_to_the_table_else_to_here_or_to_the_folder_said(tree: Path) -> None:
    (tree / "elsewhere").mkdir()
    (tree / "study" / "cases.csv").rename(tree / "elsewhere" / "cases.csv")
    moved = {"csv": "elsewhere/cases.csv"}
    with pytest.raises(
        InputError, match=r"line 2: 'scans/a.nii': no such .* below elsewhere or \."
    ):
        names(table(**moved))
    assert len(names(table(**moved, folder="study"))) == 4
    (tree / "study" / "scans").rename(tree / "scans")
    assert len(names(table(**moved))) == 4
    with pytest.raises(InputError, match="no such file or folder below study;"):
        names(table(**moved, folder="study"))
    absolute = f"path\n{tree / 'scans' / 'b.nii'}\n"
    (tree / "elsewhere" / "cases.csv").write_text(absolute)
    assert names(table(**moved)) == ["b.nii"]


def test_a_table_of_scan_is_read_as_it_is_printed(tree: Path) -> None:
    (tree / "scan.csv").write_text(rows_to_csv(scan(Path("study")).rows))
    rows = TableConfig(csv="scan.csv", folder="study", where={"accepted": "true"})
    assert names(rows) == ["a.nii", "b.nii", "c, d.nii", "e.nii"]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"csv": "study/none.csv"}, "study/none.csv: cannot be read (No such file or directory)"),
        ({"csv": "study"}, "study: cannot be read (Is a directory)"),
        ({"column": "pth"}, "has no column 'pth' (did you mean 'path'?)"),
        (
            {"patient": "xyz"},
            "has no column 'xyz'; it has 'path', 'phase', 'kvp', 'accepted', 'patient'",
        ),
        ({"series": "uid"}, "has no column 'uid'"),
        ({"where": {"phse": "x"}}, "has no column 'phse' (did you mean 'phase'?)"),
        (
            {"where": {"phase": "contrst"}},
            "no row has contrst in 'phase' (did you mean 'contrast'?); there: 'Contrast', "
            "'contrast', 'noncontrast'",
        ),
        (
            {"where": {"phase": "noncontrast", "accepted": False}},
            "no row has all that phase, accepted must say",
        ),
    ],
)
def test_what_a_config_asks_of_a_table_and_is_not_there(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        names(table(**options))
    assert str(caught.value).startswith(f"{KEY}: study")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("path\n", "has no row below its header"),
        ("path;phase\nscans/a.nii;x\n", "is not separated by commas"),
        ("path,phase\nscans/a.nii\n", "line 2: has 1 cells, the header 2"),
        ("path\nscans/c, d.nii\n", "a path with a comma needs quotes"),
        ("path,path\nscans/a.nii,x\n", "has 2 columns 'path'"),
        ("path,x\n,1\n", "line 2: column 'path' is empty"),
        ('"a\nname",x\nscans/a.nii,1\n', "has no column 'path'; it has 'a\\nname', 'x'"),
        ("path,patient\nscans/a.nii, \n", "line 2: column 'patient' is empty"),
        ('path\n"scans/a.nii\n', "is no CSV"),
        ("path\nscans/a.nii\0\n", ""),
        ("path\n\nscans/z.nii\n", "line 3: 'scans/z.nii': no such file or folder"),
        ("path\nscans/*.nii\n", "line 2: 'scans/*.nii': no such file or folder"),
    ],
)
def test_a_table_at_fault_is_refused_by_line(tree: Path, text: str, said: str) -> None:
    (tree / "study" / "cases.csv").write_bytes(text.encode())
    options = {"patient": "patient"} if "patient" in text else {}
    with pytest.raises(InputError, match=f"^{KEY}: study/cases.csv: ") as caught:
        names(table(**options))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text_is_refused(tree: Path) -> None:
    (tree / "study" / "cases.csv").write_bytes(b"path\nscans/\xff.nii\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        names(table())
    (tree / "study" / "cases.csv").write_bytes("\ufeffpath\nscans/a.nii\n".encode())
    assert names(table()) == ["a.nii"], "a mark at the beginning, as spreadsheets write it"


def test_a_volume_of_two_patients_is_refused(tree: Path) -> None:
    (tree / "study" / "cases.csv").write_text(ROWS + "scans/a.nii,contrast,120,True,p9\n")
    with pytest.raises(InputError, match=r"study/scans/a.nii: is given to two patients"):
        names(table(patient="patient"))
    assert len(names(table())) == 4


def test_patients_of_scan_are_those_of_the_files(tree: Path) -> None:
    """So that a table for one domain and a folder for the other still part by patient."""
    write_volume(volume(40, 4), tree / "study" / "series", file_format="dicom")
    (tree / "scan.csv").write_text(rows_to_csv(scan(Path("study/series")).rows))
    rows = TableConfig(csv="scan.csv", folder="study", patient="patient")
    domain = open_domain(rows, KEY)
    assert domain.patients == [read_source(domain.sources[0]).provenance.patient]
    assert patient_key("p1") != "p1"


@pytest.fixture
def folder_of_two_series(tree: Path) -> tuple[str, str]:
    """Two series in the one folder study/two; returns their UIDs."""
    for level in (0, 1):
        write_volume(volume(40 + level, 4), tree / "series" / str(level), file_format="dicom")
        for path in (tree / "series" / str(level)).iterdir():
            (tree / "study" / "two").mkdir(exist_ok=True)
            path.rename(tree / "study" / "two" / f"{level}_{path.name}")
    sources = open_domain("study/two", KEY).sources
    assert len(sources) == 2
    levels = {int(read_source(source).array.max()): source.uid for source in sources}
    return levels[40], levels[41]


def test_one_of_several_series_in_a_folder_is_named_or_refused(
    tree: Path, folder_of_two_series: tuple[str, str]
) -> None:
    lower, upper = folder_of_two_series
    cases = tree / "study" / "cases.csv"
    cases.write_text(f"path,uid,phase\ntwo,{lower},plain\ntwo,{upper},contrast\n")
    chosen = table(where={"phase": "contrast"})
    with pytest.raises(InputError, match=r"line 3: study/two: holds 2 volumes .* say series:"):
        names(chosen)
    chosen = table(where={"phase": "contrast"}, series="uid")
    (source,) = open_domain(chosen, KEY).sources
    assert read_source(source).array.max() == 41
    assert len(open_domain(table(), KEY).sources) == 2, "where all are meant nothing is unclear"
    cases.write_text("path,uid,phase\ntwo,1.2.3,contrast\n")
    with pytest.raises(InputError, match=r"holds no volume of series 1\.2\.3"):
        names(chosen)


def test_a_row_names_the_series_in_a_folder_not_what_lies_below(tree: Path) -> None:
    write_volume(volume(40, 4), tree / "study" / "p", file_format="dicom")
    write_volume(volume(41, 4), tree / "study" / "p" / "later", file_format="dicom")
    (tree / "study" / "cases.csv").write_text("path\np\n")
    (source,) = open_domain(table(), KEY).sources
    assert read_source(source).array.max() == 40
    (tree / "study" / "cases.csv").write_text("path\nscans\n")
    assert len(names(table())) == 4, "a folder that holds no series stands for all below it"


def test_a_file_of_several_volumes_is_split_on_request(tree: Path) -> None:
    array = np.stack([volume(40 + n).array for n in range(3)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1.0, 3.0, 1.0])), tree / "4d.nii")
    sources = open_domain("4d.nii", KEY, ReadingConfig(split_4d=True)).sources
    assert [read_source(source).array.max() for source in sources] == [40, 41, 42]
