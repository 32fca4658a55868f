"""The room that slices take: what is listed, what goes first, and the command that does both."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medcyclegan import cli
from medcyclegan.data.cache import Entry, entries, remove_all, slices_folder, trim
from medcyclegan.data.store import SliceStore
from medcyclegan.intensity import Window
from medcyclegan.volume import Provenance, Volume

DAY = 86400.0


@pytest.fixture
def filled() -> list[Entry]:
    """Three volumes of 4, 8 and 12 slices, used three, two and one day ago; oldest first."""
    store = SliceStore(None, Window(-200, 600))
    made: list[Entry] = []
    for number in (1, 2, 3):
        array = np.full((20, 20, 4 * number), -1000, np.int16)
        array[4:16, 4:16] = 40
        provenance = Provenance(path=Path("private/Jane_Doe.nii"), patient="Jane Doe")
        store.load(Volume(array, np.diag([-2.0, -2.0, 5.0, 1.0]), provenance))
        new = next(one.key for one in entries(store.folder) if one.key not in {e.key for e in made})
        used = time.time() - (4 - number) * DAY
        for suffix in ("npy", "json"):
            os.utime(store.folder / f"{new}.{suffix}", (used, used))
        made.append(next(one for one in entries(store.folder) if one.key == new))
    return made


def test_entries_are_listed_newest_first(filled: list[Entry]) -> None:
    assert entries(slices_folder()) == filled[::-1]
    assert [entry.slices for entry in filled] == [4, 8, 12]
    assert filled[0].size > 4 * 20 * 20 * 2
    assert entries(slices_folder() / "nowhere") == []


def test_trimming_takes_the_oldest_and_never_what_is_kept(filled: list[Entry]) -> None:
    folder = slices_folder()
    assert trim(folder, 1e9) == []
    room = filled[2].size + filled[0].size
    assert trim(folder, room, keep={filled[0].key}) == [filled[1]]
    assert entries(folder) == [filled[2], filled[0]]
    assert trim(folder, 0) == [filled[0], filled[2]]
    assert list(folder.iterdir()) == []


def test_damaged_and_older_entries_count_and_go_too(filled: list[Entry]) -> None:
    folder = slices_folder()
    (folder / f"{filled[0].key}.json").write_text("{")
    (folder / f"{filled[1].key}.json").unlink()
    assert {entry.key: entry.slices for entry in entries(folder)} == {
        filled[0].key: None,
        filled[1].key: None,
        filled[2].key: 12,
    }
    assert len(remove_all(folder)) == 3
    assert list(folder.iterdir()) == []


def test_what_interrupted_runs_left_goes_when_it_is_old(filled: list[Entry]) -> None:
    folder = slices_folder()
    for name, age in ((".medcyclegan-old", 2 * 3600), (".medcyclegan-new", 60)):
        (folder / name).mkdir()
        (folder / name / "x.npy").write_bytes(b"half")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    trim(folder, 1e9)
    assert not (folder / ".medcyclegan-old").exists()
    assert (folder / ".medcyclegan-new").exists(), "a run may be writing it"
    assert len(entries(folder)) == len(filled)


def test_the_command_lists_and_names_nobody(
    filled: list[Entry], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cache"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [entry.key[:12] for entry in filled[::-1]]
    assert "12 slices  used 1.0 days ago" in lines[0]
    assert total == f"{slices_folder()}: 3 volumes, 0.00 GB; the limit is 50 GB"
    for word in ("Jane", "Doe", "private"):
        assert word not in "".join(lines)


def test_the_command_clears_and_limits(
    filled: list[Entry], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = f"{filled[2].size / 1e9:.9f}"
    assert cli.main(["cache", "--limit", limit]) == 0
    assert "removed 2 volumes, 0.00 GB, kept 1 volumes" in capsys.readouterr().out
    assert entries(slices_folder()) == [filled[2]]
    assert cli.main(["cache", "--clear"]) == 0
    assert "removed 1 volumes" in capsys.readouterr().out
    assert entries(slices_folder()) == []
    monkeypatch.setenv("MEDCYCLEGAN_CACHE_GB", "12.5")
    assert cli.main(["cache"]) == 0
    assert "0 volumes, 0.00 GB; the limit is 12.5 GB" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--clear", "--limit", "1"], ["--limit", "-1"], ["--limit", "x"], ["--limit", "nan"]]
)
def test_the_command_refuses_what_it_cannot_do(words: list[str], filled: list[Entry]) -> None:
    assert cli.main(["cache", *words]) == 2
    assert len(entries(slices_folder())) == len(filled)


def test_the_command_loads_no_torch_and_makes_no_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from medcyclegan.cli import main; main(['cache']); "
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    environment = os.environ | {"MEDCYCLEGAN_CACHE": str(tmp_path / "none")}
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
    )
    assert not (tmp_path / "none").exists()
