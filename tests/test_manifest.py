"""The manifest: what it holds comes back, in the order of the sources, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medcyclegan.errors import InputError, VolumeError
from medcyclegan.files import sha256
from medcyclegan.manifest import (
    Entry,
    Manifest,
    Origin,
    check_paths,
    labels_beside,
    output_sha256,
)


def entry(folder: Path, source: str, *, labels: bool = False) -> Entry:
    """Write an output and return the line that describes it."""
    output = f"{source}_b.nii.gz"
    paths = [folder / output, *([folder / "labels" / output] if labels else [])]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(path.name).encode())
    return Entry(
        origin=Origin(source, "1" * 64, "2" * 64 if labels else None, "a_to_b", "3" * 64, 0.7),
        output=output,
        output_sha256=sha256(paths[0]),
        labels=f"labels/{output}" if labels else None,
        labels_sha256=sha256(paths[1]) if labels else None,
        versions={"medcyclegan": "0"},
    )


def test_entries_come_back_in_the_order_of_their_sources(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for source in ("sub/z", "b", "sub-a/y", "a"):
        manifest.add(entry(tmp_path, source, labels=source == "b"))
    again = Manifest(tmp_path)
    assert again.entries == manifest.entries
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["a", "b", "sub/z", "sub-a/y"]
    again.write()
    assert (tmp_path / "manifest.jsonl").read_text().splitlines() == lines


def test_finished_is_what_is_whole_and_of_the_same_origin(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    made = entry(tmp_path, "a", labels=True)
    manifest.add(made)
    assert manifest.is_finished(made.output, made.origin)
    assert not manifest.is_finished("b_b.nii.gz", made.origin)
    changes: tuple[dict[str, Any], ...] = (
        {"source_sha256": "4"},
        {"labels_source_sha256": None},
        {"direction": "b_to_a"},
        {"strength": 0.6},
        {"format": "dicom"},
        {"keep_identifiers": True},
    )
    for change in changes:
        assert not manifest.is_finished(made.output, replace(made.origin, **change))
    (tmp_path / "labels" / made.output).write_bytes(b"touched")
    assert not manifest.is_finished(made.output, made.origin)


def test_labels_go_with_the_entry_that_had_them(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for source in ("a", "b", "c"):
        manifest.add(entry(tmp_path, source, labels=True))
    again = Manifest(tmp_path)
    elsewhere = tmp_path / "thesis.txt"
    elsewhere.write_text("dear")
    again.add(entry(tmp_path, "a"))
    assert not (tmp_path / "labels" / "a_b.nii.gz").exists()
    stranger = again.path.read_text().replace("labels/b_b.nii.gz", "thesis.txt")
    again.path.write_text(stranger)
    Manifest(tmp_path).add(entry(tmp_path, "b"))
    assert elsewhere.exists(), "a manifest cannot make us remove what is not ours"
    output = entry(tmp_path, "labels/c")
    assert output.output == labels_beside("c_b.nii.gz")
    last = Manifest(tmp_path)
    last.add(output)
    last.add(entry(tmp_path, "c"))
    assert (tmp_path / output.output).exists(), "by now it is an image of its own"


def test_an_output_that_cannot_be_read_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(tmp_path)
    made = entry(tmp_path, "a")
    manifest.add(made)

    def deny(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    assert not manifest.is_finished(made.output, made.origin)


def test_each_way_to_lie_in_each_other_has_its_sentence(tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    for out, says in (
        (inputs, "is the input itself"),
        (inputs / "out", f"lies inside the input {inputs}"),
        (tmp_path, f"the input {inputs} lies inside it"),
    ):
        with pytest.raises(InputError) as caught:
            check_paths([inputs], out)
        assert str(caught.value).startswith(f"{out}: {says}; ")


def test_a_manifest_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    made = entry(tmp_path, "a", labels=True)
    manifest.add(made)
    line = json.loads(manifest.path.read_text())
    for name in ("format", "keep_identifiers", "label_names", "notes"):
        del line[name]
    manifest.path.write_text(json.dumps(line))
    assert Manifest(tmp_path).is_finished(made.output, made.origin)


def test_labels_are_nifti_beside_images_of_any_format(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    made = replace(entry(tmp_path, "a", labels=True), label_names={"1": "liver"}, notes=["tilted"])
    manifest.add(made)
    assert Manifest(tmp_path).entries == {made.output: made}
    for name in ("p/ct_b.nrrd", "p/ct_b.mha", "p/ct_b", "p/ct_b.nii.gz"):
        assert labels_beside(name) == "labels/p/ct_b.nii.gz"


def series(folder: Path) -> Path:
    folder.mkdir()
    for name in ("IM0002.dcm", "IM0001.dcm"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_a_series_is_whole_or_not(tmp_path: Path) -> None:
    folder = series(tmp_path / "a_b")
    whole = output_sha256(folder)
    assert whole == sha256(folder / "IM0001.dcm", folder / "IM0002.dcm")
    manifest = Manifest(tmp_path, overwrite=True)
    made = replace(entry(tmp_path, "x"), output="a_b", output_sha256=whole)
    manifest.add(made)
    assert manifest.is_finished("a_b", made.origin)
    for change in (
        lambda: (folder / "IM0002.dcm").write_bytes(b"x"),
        lambda: (folder / "IM0002.dcm").unlink(),
        lambda: (folder / "IM0001.dcm").unlink(),
    ):
        change()
        assert not manifest.is_finished("a_b", made.origin)


def test_room_is_made_where_a_series_of_ours_lies_and_nowhere_else(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    series(tmp_path / "a_b")
    manifest.make_room("nothing there")
    manifest.make_room("a_b")
    assert list(tmp_path.iterdir()) == []
    (series(tmp_path / "a_b") / "thesis.txt").write_text("dear")
    (tmp_path / "b_b").write_text("dear")
    for name in ("a_b", "b_b"):
        with pytest.raises(VolumeError, match="is in the way and no series of ours; remove it"):
            manifest.make_room(name)
    assert len(list((tmp_path / "a_b").iterdir())) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"labels": 5},
        {"output": ["a"]},
        {"output_sha256": None},
        {"strength": "much"},
        {"strength": None},
        {"format": "bmp"},
        {"direction": "sideways"},
        {"versions": []},
        {"label_names": {"1": 2}},
        {"notes": [1]},
        {"notes": 7},
        {"keep_identifiers": "no"},
        {"who": "me"},
    ],
)
def test_fields_of_other_types_are_not_ours(tmp_path: Path, change: dict[str, Any]) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(entry(tmp_path, "a"))
    line = json.loads(manifest.path.read_text()) | change
    manifest.path.write_text(json.dumps(line))
    with pytest.raises(InputError, match="line 1 cannot be read as ours"):
        Manifest(tmp_path)


@pytest.mark.parametrize(
    "line", ["no json", "[]", "{}", '{"source": "a"}', "\x00", "1", "[" * 99_999]
)
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, line: str) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(entry(tmp_path, "a"))
    whole = manifest.path.read_text()
    manifest.path.write_text(whole + line + "\n")
    with pytest.raises(InputError, match=r"line 2 cannot be read as ours.*--overwrite"):
        Manifest(tmp_path)
    assert Manifest(tmp_path, overwrite=True).entries == {}


def test_leftovers_of_a_killed_run_do_not_make_a_folder_foreign(tmp_path: Path) -> None:
    (tmp_path / ".medcyclegan-x").mkdir()
    assert Manifest(tmp_path).entries == {}
    assert Manifest(tmp_path / "not there").entries == {}
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="is not empty"):
        Manifest(tmp_path)
