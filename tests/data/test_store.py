"""The slice store: read once, shared, never wrong."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from medcyclegan.data.cache import cache_folder, entries, trim
from medcyclegan.data.store import SliceStore, StoredVolume
from medcyclegan.data.transforms import ExtractSlicesd, ReadVolumed, read
from medcyclegan.errors import InputError, MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.io import find_volumes, write_volume
from medcyclegan.io.stored import ReadOptions
from medcyclegan.volume import Provenance, Volume

WINDOW = Window(-200.0, 600.0)


def body(shape: tuple[int, int, int] = (30, 24, 6), hu: int = 40, patient: str = "p") -> Volume:
    """A block of tissue in air; the first slice is air alone, the second shows a mere finger."""
    array = np.full(shape, -1000, np.int16)
    array[4:-4, 4:-4, 1:] = hu
    array[:, :, 1] = -1000
    array[10:13, 10:13, 1] = hu
    return Volume(array, np.diag([-2.0, -2.0, 5.0, 1.0]), Provenance(patient=patient))


def write_nifti(path: Path, volume: Volume) -> None:
    nibabel.save(nibabel.Nifti1Image(volume.array, volume.affine), path)


@pytest.fixture
def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    reads: list[object] = []

    def counted(item: str | Path | Volume) -> Volume:
        reads.append(item)
        return read(item)

    monkeypatch.setattr("medcyclegan.data.store.read", counted)
    return reads


def equal(one: StoredVolume, other: StoredVolume) -> bool:
    return one.facts == other.facts and np.array_equal(one.slices, other.slices)


def test_slices_are_those_of_the_transforms_in_whole_hu(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(0, 400, (17, 19, 4)).astype(np.float32)
    volume = Volume(array, np.diag([0.9, -0.8, 3.0, 1.0]))
    stored = SliceStore(1.3, WINDOW, tmp_path / "slices").load(volume)
    clipped = Volume(array.clip(WINDOW.low_hu, WINDOW.high_hu), volume.affine)
    data = ExtractSlicesd("ct", 1.3)(ReadVolumed("ct")({"ct": clipped}))
    np.testing.assert_array_equal(stored.slices, np.rint(data["ct"][0].numpy()))
    assert stored.slices.dtype == np.int16
    assert stored.facts.spacing_mm == pytest.approx((3.0, 1.3, 1.3))
    assert stored.facts.plane == "axial"


def test_metal_beyond_the_window_does_not_bleed(tmp_path: Path) -> None:
    array = np.full((8, 8, 2), 40, np.int16)
    array[3, 3] = 30000
    stored = SliceStore(2.0, WINDOW, tmp_path / "slices").load(Volume(array, np.eye(4)))
    assert stored.slices.max() < WINDOW.high_hu
    assert stored.slices.min() == 40


def test_slices_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    slices = SliceStore(None, WINDOW, tmp_path / "slices").load(body()).slices
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(tmp_path) in maps.read_text()
    assert slices.flags.c_contiguous, "a slice lies in one piece"
    with pytest.raises(ValueError, match="read-only"):
        slices[0, 0, 0] = 0


def test_volumes_that_are_open_hold_no_file_open(tmp_path: Path) -> None:
    """A process may have a thousand files open, and a cohort more volumes than that."""
    descriptors = Path("/dev/fd")
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    before = len(list(descriptors.iterdir()))
    kept = [store.load(body(hu=hu)) for hu in range(20)]
    assert len(list(descriptors.iterdir())) == before
    assert [int(one.slices.max()) for one in kept] == list(range(20))


def test_tissues_of_each_slice_are_kept(tmp_path: Path) -> None:
    array = np.full((40, 40, 3), -1000, np.int16)
    array[5:35, 5:35, :2] = 40
    array[10:20, 10:20, 1] = -800
    volume = Volume(array, np.diag([-2.0, -2.0, 5.0, 1.0]))
    tissues = SliceStore(None, WINDOW, tmp_path / "slices").load(volume).facts.tissues
    assert len(tissues) == 3
    assert tissues[0] == pytest.approx((36, 0, 0, 1, 0), rel=0.01)
    lung = 1 / 9
    assert tissues[1] == pytest.approx((36, lung, 0, 1 - lung, 0), rel=0.01), (
        "of HU, not of the window"
    )
    assert tissues[2] == (0, 0, 0, 0, 0)


def test_slices_with_next_to_no_body_are_not_drawn(tmp_path: Path) -> None:
    stored = SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    assert stored.facts.drawn == (2, 3, 4, 5)
    assert stored.facts.boxes[3] == (4, 20, 4, 26)


def test_a_volume_is_read_once(tmp_path: Path, count_reads: list[object]) -> None:
    first = SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    again = SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    assert equal(first, again)
    assert len(count_reads) == 1


def test_other_voxels_spacing_geometry_or_patient_are_another_entry(
    tmp_path: Path, count_reads: list[object]
) -> None:
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    stretched = Volume(body().array, np.diag([-2.0, -2.0, 4.0, 1.0]), body().provenance)
    for volume in (body(), body(hu=41), stretched, body(patient="q")):
        store.load(volume)
    SliceStore(3.0, WINDOW, tmp_path / "slices").load(body())
    SliceStore(None, Window(-160, 600), tmp_path / "slices").load(body())
    assert len(count_reads) == 6


def test_a_volume_is_called_as_it_was_given_but_not_in_the_store(tmp_path: Path) -> None:
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    planted = []
    for name in ("SMITH_JOHN", "elsewhere"):
        write_nifti(tmp_path / f"{name}.nii", body())
        (source,) = find_volumes(tmp_path / f"{name}.nii").sources
        planted.append(store.load(source))
    assert [one.name for one in planted] == [
        str(tmp_path / f"{name}.nii") for name in ("SMITH_JOHN", "elsewhere")
    ]
    assert planted[0].file == planted[1].file, "one entry, two names"
    for path in (tmp_path / "slices").iterdir():
        assert b"SMITH" not in path.read_bytes()
    assert store.load(body()).name == "a volume made in memory"


def test_volumes_of_one_file_are_of_one_patient(tmp_path: Path) -> None:
    phases = np.stack([body(hu=hu).array for hu in (40, 180)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(phases, np.diag([-2.0, -2.0, 5.0, 1.0])), tmp_path / "4d.nii")
    sources = find_volumes(tmp_path / "4d.nii", ReadOptions(split_4d=True)).sources
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    plain, enhanced = (store.load(source) for source in sources)
    assert not np.array_equal(plain.slices, enhanced.slices)
    assert plain.facts.patient == enhanced.facts.patient


def test_a_series_that_names_no_patient_is_told_by_its_content(tmp_path: Path) -> None:
    keys = set()
    for folder in ("here", "there"):
        write_volume(body(), tmp_path / folder, file_format="dicom")
        for file in (tmp_path / folder).iterdir():
            dataset = pydicom.dcmread(file)
            dataset.PatientID = dataset.StudyInstanceUID = ""
            dataset.save_as(file)
        (source,) = find_volumes(tmp_path / folder).sources
        slices = tmp_path / f"slices of {folder}"
        keys.add(SliceStore(None, WINDOW, slices).load(source).facts.patient)
    assert len(keys) == 1


@pytest.mark.parametrize(
    "damage", ["flip", "truncate", "lose", "json", "facts", "boxes", "tissues", "type"]
)
def test_a_damaged_entry_is_made_anew_with_a_warning(tmp_path: Path, damage: str) -> None:
    warnings: list[str] = []
    folder = tmp_path / "slices"
    good = SliceStore(None, WINDOW, folder, warnings.append).load(body())
    good = StoredVolume(np.array(good.slices), good.facts)
    array_path, facts_path = next(folder.glob("*.npy")), next(folder.glob("*.json"))
    data, facts = bytearray(array_path.read_bytes()), json.loads(facts_path.read_bytes())
    if damage == "flip":
        data[-7] ^= 1
        array_path.write_bytes(data)
    elif damage == "truncate":
        array_path.write_bytes(data[:-100])
    elif damage == "lose":
        array_path.unlink()
    elif damage == "json":
        facts_path.write_bytes(facts_path.read_bytes()[:-20])
    elif damage == "facts":
        facts_path.write_text(json.dumps({"crc32": facts["crc32"]}))
    elif damage == "tissues":
        facts_path.write_text(
            json.dumps(facts | {"tissues": [row[1:] for row in facts["tissues"]]})
        )
    elif damage == "type":
        np.save(array_path, good.slices.astype(np.float32))
    else:
        facts_path.write_text(json.dumps(facts | {"boxes": facts["boxes"][1:]}))
    assert not warnings
    assert equal(SliceStore(None, WINDOW, folder, warnings.append).load(body()), good)
    assert len(warnings) == 1
    assert str(array_path) in warnings[0]
    assert equal(SliceStore(None, WINDOW, folder, warnings.append).load(body()), good)
    assert len(warnings) == 1, "what was made anew is whole"


def test_damage_is_told_to_the_log_by_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    next((tmp_path / "slices").glob("*.npy")).write_bytes(b"")
    SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    assert "read anew" in caplog.text


def test_an_interrupted_entry_is_no_entry(tmp_path: Path, count_reads: list[object]) -> None:
    SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    next((tmp_path / "slices").glob("*.json")).unlink()  # it is written last
    SliceStore(None, WINDOW, tmp_path / "slices").load(body())
    assert len(count_reads) == 2
    assert not list((tmp_path / "slices").glob(".medcyclegan-*"))


def test_two_processes_share_a_store(tmp_path: Path) -> None:
    script = """
import sys, zlib
import numpy as np
from pathlib import Path
from medcyclegan.data.store import SliceStore
from medcyclegan.intensity import Window
from medcyclegan.volume import Volume
def complain(line):
    raise SystemExit(line)
store = SliceStore(1.5, Window(-200, 600), Path(sys.argv[1]), complain)
for seed in range(8):
    array = np.random.default_rng(seed).integers(-200, 500, (40, 40, 8)).astype(np.int16)
    print(zlib.crc32(store.load(Volume(array, np.diag([-1.0, -1.0, 3.0, 1.0]))).slices))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "slices")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 8
    assert len(list((tmp_path / "slices").iterdir())) == 16


def test_the_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCYCLEGAN_CACHE", str(tmp_path / "cache"))
    store = SliceStore(None, WINDOW)
    assert store.folder == tmp_path / "cache" / "slices"
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    store.folder.chmod(0o755)
    assert stat.S_IMODE(SliceStore(None, WINDOW).folder.stat().st_mode) == 0o700
    monkeypatch.delenv("MEDCYCLEGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "xdg" / "medcyclegan"


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MedCycleGANError, match="MEDCYCLEGAN_CACHE"):
        SliceStore(None, WINDOW, tmp_path / "file" / "slices")


def test_a_file_that_moves_is_the_same_and_one_that_changes_is_not(
    tmp_path: Path, count_reads: list[object]
) -> None:
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    (tmp_path / "a").mkdir()
    write_nifti(tmp_path / "a" / "ct.nii.gz", body())
    first = store.load(find_volumes(tmp_path / "a").sources[0])
    os.rename(tmp_path / "a" / "ct.nii.gz", tmp_path / "a" / "other.nii.gz")
    moved = store.load(find_volumes(tmp_path / "a").sources[0])
    assert equal(first, moved)
    assert len(count_reads) == 1
    write_nifti(tmp_path / "a" / "other.nii.gz", body(hu=60))
    changed = store.load(find_volumes(tmp_path / "a").sources[0])
    assert changed.slices.max() == 60
    assert changed.facts.patient != first.facts.patient


def test_voxels_beside_their_header_count_as_content(tmp_path: Path) -> None:
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    for hu in (40, 60):
        volume = body(hu=hu)
        nibabel.save(nibabel.Nifti1Pair(volume.array, volume.affine), tmp_path / "ct.hdr")
        source = next(s for s in find_volumes(tmp_path).sources if s.path.name == "ct.hdr")
        assert store.load(source).slices.max() == hu


def test_a_domain_goes_on_without_what_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_nifti(tmp_path / "in" / "good.nii.gz", body())
    write_nifti(
        tmp_path / "in" / "empty.nii.gz", Volume(np.full_like(body().array, -1000), np.eye(4))
    )
    whole = (tmp_path / "in" / "good.nii.gz").read_bytes()
    (tmp_path / "in" / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    sources = find_volumes(tmp_path / "in").sources
    assert len(sources) == 3
    domain = SliceStore(None, WINDOW, tmp_path / "slices").load_domain("contrast", sources)
    assert len(domain.volumes) == 1
    assert len(domain.messages) == 3  # one that the empty volume is odd, one that it is left out
    for name in ("empty.nii.gz", "cut.nii.gz"):
        assert any(str(tmp_path / "in" / name) in message for message in domain.messages)
    with pytest.raises(InputError, match=r"domain contrast: .*cut\.nii\.gz"):
        SliceStore(None, WINDOW, tmp_path / "slices").load_domain("contrast", sources[:1])
    with pytest.raises(InputError, match="domain contrast"):
        SliceStore(None, WINDOW, tmp_path / "slices").load_domain("contrast", [])


def test_what_the_reader_found_odd_is_said_each_time(tmp_path: Path) -> None:
    odd = Volume(body().array, body().affine, Provenance(warnings=("has an offset",)))
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    for _ in range(2):
        assert "has an offset" in store.load_domain("a", [odd]).messages[0]


def test_a_patient_named_from_outside_goes_before_the_files_own(tmp_path: Path) -> None:
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    domain = store.load_domain("a", [body(), body(hu=50, patient="q")], ["named", ""])
    assert [volume.facts.patient for volume in domain.volumes] == ["named", "q"]
    again = store.load_domain("a", [body()])
    assert again.volumes[0].facts.patient == "p", "the store keeps what the file says"


def used_days_ago(folder: Path, days: float) -> None:
    """Set back the last use of all entries."""
    then = time.time() - days * 86400
    for path in folder.iterdir():
        os.utime(path, (then, then))


def test_what_was_not_used_for_longest_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "slices"
    for days, hu in ((3, 1), (2, 2), (1, 3)):
        store = SliceStore(None, WINDOW, tmp_path / str(hu))
        store.load(body(hu=hu))
        used_days_ago(store.folder, days)
        folder.mkdir(exist_ok=True)
        for path in store.folder.iterdir():
            path.rename(folder / path.name)
    newest_first = [entry.key for entry in entries(folder)]
    size = entries(folder)[0].size
    monkeypatch.setenv("MEDCYCLEGAN_CACHE_GB", str(2.5 * size / 1e9))
    store = SliceStore(None, WINDOW, folder)
    store.load(body(hu=1))  # the oldest is of use again
    assert entries(folder)[0].key == newest_first[2]
    store.trim()
    assert {entry.key for entry in entries(folder)} == {newest_first[0], newest_first[2]}


def test_a_run_keeps_all_it_uses_even_above_the_limit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCYCLEGAN_CACHE_GB", "1e-6")
    warnings: list[str] = []
    store = SliceStore(None, WINDOW, tmp_path / "slices", warnings.append)
    kept = [store.load(body(hu=hu)) for hu in (1, 2)]
    store.trim()
    assert len(entries(store.folder)) == 2
    assert len(warnings) == 1
    assert "MEDCYCLEGAN_CACHE_GB" in warnings[0]
    other = SliceStore(None, WINDOW, tmp_path / "slices", warnings.append)
    other.load(body(hu=3))
    other.trim()
    assert len(entries(store.folder)) == 1
    assert [int(one.slices.max()) for one in kept] == [1, 2], "what is open stays readable"


def test_an_entry_that_another_run_removes_is_made_again_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    store = SliceStore(None, WINDOW, tmp_path / "slices", warnings.append)
    store.load(body())
    loads = json.loads

    def and_then_gone(text: bytes) -> object:
        trim(store.folder, 0)
        monkeypatch.setattr("medcyclegan.data.store.json.loads", loads)
        return loads(text)

    monkeypatch.setattr("medcyclegan.data.store.json.loads", and_then_gone)
    assert store.load(body()).facts.drawn == (2, 3, 4, 5)
    assert not warnings


@pytest.mark.parametrize("typed", ["much", "-1", "nan"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setenv("MEDCYCLEGAN_CACHE_GB", typed)
    with pytest.raises(InputError, match=f"MEDCYCLEGAN_CACHE_GB={typed}: must be a number"):
        SliceStore(None, WINDOW)
